"""Side by side with OTT-JAX, POT and diffusers, in one run; a peer may be absent."""
