"""Side by side with OTT-JAX, POT and diffusers, in one run, where they are installed."""
