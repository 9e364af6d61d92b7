"""Deb, 2025: generative modeling and parabolic PDEs; Sinkhorn flows and their limits."""
