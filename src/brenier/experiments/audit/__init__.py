"""The audit itself: its coverage where the defect is known, and certificates of learned maps."""
