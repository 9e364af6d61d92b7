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
