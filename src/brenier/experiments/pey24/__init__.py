"""Peyré, 2024: diffusion models and optimal transport."""
