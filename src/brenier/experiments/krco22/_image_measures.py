"""What the image experiment measures of a model: exactness, likelihood, and its samples."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from scipy.spatial.distance import cdist

from brenier.estimators import energy_score
from brenier.images import ImageModel, bits_per_dimension
from brenier.measures import Gaussian

# Some images, on which DDIM with each number of steps is compared with the flow at this tolerance,
# and whose bits are taken as in ``brenier ddpm``. DDIM's order is that between the last two numbers
# of steps: on MNIST it is 0.5 at 50 steps, and 0.9 at 1600.
_FEW, _LADDER, _TOLERANCE = 8, (50, 200, 800, 1600), 1e-6
_TRACE_DIMENSION, _PROBES, _BITS_TOLERANCE = 128, 8, 1e-3


def largest_error(back: np.ndarray, x: np.ndarray) -> float:
    """The largest of ‖back − x‖ / ‖x‖."""
    return float(np.max(np.linalg.norm(back - x, axis=1) / np.linalg.norm(x, axis=1)))


def accuracies(model: ImageModel, x: np.ndarray) -> dict[str, Any]:
    """The flow there and back in float64; DDIM's error against it, and the order it comes to."""
    x = x[:_FEW]
    flow = model.encoder(tolerance=_TOLERANCE)
    codes = np.asarray(flow(jnp.asarray(x, jnp.float64)))
    back = np.asarray(flow.inverse()(jnp.asarray(codes)))
    errors = [
        largest_error(np.asarray(model.ddim_encoder(steps)(jnp.asarray(x))), codes)
        for steps in _LADDER
    ]
    return {
        "flow_round_trip_error": largest_error(back, x.astype(np.float64)),
        "ddim_errors": dict(zip(map(str, _LADDER), errors, strict=True)),
        "ddim_order": float(np.log(errors[-2] / errors[-1]) / np.log(_LADDER[-1] / _LADDER[-2])),
    }


def bits(model: ImageModel, x: np.ndarray, kept: np.ndarray, seed: int) -> dict[str, float]:
    """Bits per dimension of held-out images: the model's, and a Gaussian's fitted to training."""
    x = x[:_FEW]
    d, key = model.dimension, jax.random.key(seed)
    own = np.asarray(
        bits_per_dimension(
            model,
            x.astype(np.float32),
            key=key,
            tolerance=_BITS_TOLERANCE,
            probes=None if d <= _TRACE_DIMENSION else _PROBES,
        )
    )
    # Both see noise uniform over one grey level, whose variance is a third of its half squared.
    half = 1.0 / (model.levels - 1)
    normal = Gaussian(
        kept.mean(axis=0, dtype=np.float64),
        np.cov(kept.T.astype(np.float64)) + half**2 / 3.0 * np.eye(d),
    )
    noise = np.random.default_rng(seed).uniform(-half, half, x.shape)
    log_density = np.asarray(normal.log_density(jnp.asarray(x + noise)))
    theirs = (np.log(0.5 / half) - log_density / d) / np.log(2.0)
    return {
        "bits": float(own.mean()),
        "bits_stderr": float(own.std(ddof=1) / np.sqrt(len(own))),
        "bits_gaussian": float(theirs.mean()),
        "bits_saved": float(theirs.mean() - own.mean()),
    }


def likeness(samples: np.ndarray, x: np.ndarray, kept: np.ndarray, seed: int) -> dict[str, float]:
    """How far from held-out images x are samples, training images, and draws of a Gaussian?

    The training images are the best that can be had; the Gaussian is fitted to them. Squared energy
    distances without bias, 0 up to noise where the laws are one, with a bootstrap's standard error:
    in pixel space they see means and covariances above all. And the share of images whose nearest
    neighbour is of their own kind (Lopez-Paz and Oquab, 2017): 1/2 where the laws are one.
    """
    random = np.random.default_rng(seed)
    n = min(len(x), len(samples), len(kept))
    x, samples, kept = (cloud.astype(np.float64) for cloud in (x[:n], samples[:n], kept))
    mean = kept.mean(axis=0)
    normal = mean + random.normal(size=(n, len(kept))) @ (kept - mean) / np.sqrt(len(kept))
    drawn = [
        -energy_score(*(cloud[random.integers(n, size=n)] for cloud in (samples, x)))
        for _ in range(20)
    ]
    own, best, worst = (-energy_score(cloud, x) for cloud in (samples, kept[:n], normal))
    error = float(np.std(drawn, ddof=1))
    near = {
        "": _nearest(samples, x),
        "_training": _nearest(kept[:n], x),
        "_gaussian": _nearest(normal, x),
    }
    return {
        "energy_distance": own,
        "energy_distance_stderr": error,
        "energy_in_errors": own / error,
        "energy_distance_training": best,
        "energy_distance_gaussian": worst,
        **{f"nearest{name}": share for name, share in near.items()},
        "nearest_over_gaussian": (near[""] - 0.5) / (near["_gaussian"] - 0.5),
    }


def _nearest(a: np.ndarray, b: np.ndarray) -> float:
    """The share of points of both clouds whose nearest other point is of their own cloud."""
    both = np.concatenate([a, b])
    distances = cdist(both, both)
    np.fill_diagonal(distances, np.inf)
    first = np.arange(len(both)) < len(a)
    return float(np.mean(first[np.argmin(distances, axis=1)] == first))
