"""Dumont, Lacombe and Vialard, 2026: learning Monge maps with constrained drifting models."""
