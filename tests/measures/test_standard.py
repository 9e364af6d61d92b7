"""The standard normal law is the Gaussian of that name, without its matrix."""

import jax
import numpy as np

from brenier.measures import Gaussian, StandardNormal


def test_it_is_the_gaussian_of_that_name():
    own, other = StandardNormal(3), Gaussian.standard(3)
    x = own.sample(jax.random.key(0), 5)
    np.testing.assert_array_equal(x, other.sample(jax.random.key(0), 5))
    np.testing.assert_allclose(own.log_density(x), other.log_density(x), rtol=1e-14)
    np.testing.assert_array_equal(own.score(x), -x)
