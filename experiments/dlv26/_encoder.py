"""The probability-flow encoder of a Gaussian mixture, as a reference map."""

import numpy as np
from scipy.integrate import solve_ivp

from brenier.measures import GaussianMixture


def mixture_encoder(mixture: GaussianMixture, x: np.ndarray) -> np.ndarray:
    """E(x), to N(0, I), by the regular form (3.12) of MATH_3 from α = 1 to 0.

    dx/dα = Σ_i r_i(x, α) C_i⁻¹(α(Σ_i − I)x + m_i), C_i = I + α²(Σ_i − I).
    """
    means = np.asarray(mixture.means)
    factors = np.asarray(mixture.factors)
    log_weights = np.asarray(mixture.log_weights)
    identity = np.eye(means.shape[1])
    excess = factors @ factors.transpose(0, 2, 1) - identity

    def velocity(alpha: float, flat: np.ndarray) -> np.ndarray:
        x = flat.reshape(-1, means.shape[1])
        covariances = identity + alpha**2 * excess
        precisions = np.linalg.inv(covariances)
        centred = x[:, None] - alpha * means
        squares = np.einsum("nki,kij,nkj->nk", centred, precisions, centred)
        logits = log_weights - 0.5 * (squares + np.linalg.slogdet(covariances)[1])
        shares = np.exp(logits - logits.max(axis=1, keepdims=True))
        shares /= shares.sum(axis=1, keepdims=True)
        drift = alpha * np.einsum("kij,nj->nki", excess, x) + means
        return np.einsum("nk,kij,nkj->ni", shares, precisions, drift).ravel()

    path = solve_ivp(velocity, (1.0, 0.0), x.ravel(), method="DOP853", rtol=1e-8, atol=1e-8)
    if not path.success:
        raise RuntimeError(f"the encoder's ODE stopped: {path.message}")
    return path.y[:, -1].reshape(x.shape)
