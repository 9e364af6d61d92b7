"""Mirror flows of points."""

import numpy as np
import pytest

from brenier.flows import euclidean_mirror_flow


@pytest.mark.slow
def test_mirrors_of_points():
    def half(x):
        return 0.5 * x @ x

    # The other mirrors of Deb25 are in the experiment.
    times = np.array([0.5, 2.0])
    found = euclidean_mirror_flow(half, lambda x: x[0] ** 4, [1.0], times)[:, 0]
    np.testing.assert_allclose(found, np.sqrt(1.0 - times / 6.0), atol=1e-8)
    with pytest.raises(ValueError, match="mirror: got a function whose Hessian"):
        euclidean_mirror_flow(half, lambda x: -half(x), [1.0], times)


@pytest.mark.slow
def test_times_that_are_not_reached():
    def half(x):
        return 0.5 * x @ x

    with pytest.raises(ValueError, match=r"times: got \[2.0, 1.0\]; wants increasing times"):
        euclidean_mirror_flow(half, half, [1.0], [2.0, 1.0])
    # √(1 − t/6) is 0 at 6, and so is the mirror's second derivative.
    with pytest.raises(RuntimeError, match="did not reach the last time"):
        euclidean_mirror_flow(half, lambda x: x[0] ** 4, [1.0], [7.0])
