"""Learn, compute and certify optimal transport (Monge) maps."""

import jax

# The dtype follows the input only where JAX may hold float64.
jax.config.update("jax_enable_x64", True)
