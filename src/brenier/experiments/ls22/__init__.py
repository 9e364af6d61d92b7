"""Lavenant and Santambrogio, 2022: the Fokker-Planck flow map is not optimal transport."""
