"""The Wasserstein-2 benchmark: learned maps against known ones."""
