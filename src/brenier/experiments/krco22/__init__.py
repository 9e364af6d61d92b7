"""Khrulkov et al., 2022: understanding DDPM latent codes through optimal transport."""
