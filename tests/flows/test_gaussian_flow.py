"""The parabolic flow and Sinkhorn's sweeps between Gaussians."""

import numpy as np
import pytest

from brenier.flows import flow_measure, gaussian_parabolic_flow, gaussian_sinkhorn_flow
from brenier.measures import Gaussian

F = np.array([[1.0, 0.6], [0.6, 2.0]])
G = np.array([[3.0, -0.8], [-0.8, 0.7]])
PAIR = (
    Gaussian(np.array([0.3, -0.2]), np.linalg.inv(F)),
    Gaussian(np.array([1.0, 2.0]), np.linalg.inv(G)),
)


def test_gaussians_obey_the_matrix_equation():
    step = 1e-4
    ends = [gaussian_parabolic_flow(*PAIR, 0.7 + t) for t in (-step, 0.0, step)]
    a, b = np.asarray(ends[1].matrix), np.asarray(ends[1].offset)
    # Central differences err by step² times third derivatives of a few units.
    slope = (ends[2].matrix - ends[0].matrix) / (2 * step)
    np.testing.assert_allclose(slope, F - a @ G @ a, atol=1e-6)
    slope = (ends[2].offset - ends[0].offset) / (2 * step)
    wanted = -F @ PAIR[0].mean - a @ G @ (b - PAIR[1].mean)
    np.testing.assert_allclose(slope, wanted, atol=1e-6)
    # Reference values of Theory, G2; and no digits are lost at large times.
    np.testing.assert_allclose(
        gaussian_parabolic_flow(*PAIR, 1.0).matrix,
        [[0.673060909, 0.496118864], [0.496118864, 1.836602425]],
        atol=1e-9,
    )
    end = gaussian_parabolic_flow(*PAIR, 500.0)
    np.testing.assert_allclose(end.matrix @ G @ end.matrix, F, atol=1e-13)
    rho = flow_measure(end, PAIR[1])
    np.testing.assert_allclose(rho.covariance, PAIR[0].covariance, atol=1e-13)
    np.testing.assert_allclose(rho.mean, PAIR[0].mean, atol=1e-13)


def test_sinkhorn_between_gaussians_contracts_at_its_rate_towards_its_fixed_point():
    f, g, eps = 1.0, 4.0, 0.1
    source, target = Gaussian.standard(1), Gaussian(np.zeros(1), np.array([[0.25]]))
    fixed = -0.5 * eps * f + np.sqrt(0.25 * eps**2 * f**2 + f / g)
    theta = 2.0 * np.arcsinh(0.5 * eps * np.sqrt(f * g))
    gaps = [
        float(gaussian_sinkhorn_flow(source, target, k, epsilon=eps).matrix[0, 0]) - fixed
        for k in (30, 31)
    ]
    assert gaps[1] / gaps[0] == pytest.approx(np.exp(-2 * theta), abs=1e-6)


def test_a_time_below_zero_is_refused():
    with pytest.raises(ValueError, match="time: got -1"):
        gaussian_parabolic_flow(*PAIR, -1.0)
