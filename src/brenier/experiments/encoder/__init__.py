"""Encoders of diffusions, and how far from optimal they are: Theory, chapter 3."""
