"""What a one-shot generator is compared with: each is fitted to the same data, then samples."""

import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KernelDensity

from brenier import Generator
from brenier.flows import FlowMatching, fit_velocity
from brenier.measures import Empirical, Gaussian
from brenier.velocities import AtomsDecoder

# (data, number of samples, seed) -> samples.
Sampler = Callable[[np.ndarray, int, int], np.ndarray]


def one_shot(source: str = "isotropic", **settings) -> Sampler:
    """The map of Sinkhorn's flow that ``brenier.Generator`` makes with these settings."""

    def sample(data, count, seed):
        fitted = Generator(source=source, random_state=seed, **settings).fit(data)
        return np.asarray(fitted.sample(count, random_state=seed + 1))

    return sample


def drawn_again(data: np.ndarray, count: int, seed: int) -> np.ndarray:
    """The training data, with replacement: what a generator that only remembers would give."""
    return np.random.default_rng(seed).choice(data, count)


def gaussian(data: np.ndarray, count: int, seed: int) -> np.ndarray:
    """N(mean, covariance)."""
    random = np.random.default_rng(seed)
    return random.multivariate_normal(data.mean(axis=0), np.cov(data.T), count)


def kernel_density(data: np.ndarray, count: int, seed: int) -> np.ndarray:
    """A Gaussian kernel of the bandwidth with the best held-out likelihood."""
    scale = np.sqrt(data.var(axis=0).mean())
    grid = {"bandwidth": scale * np.geomspace(0.03, 1.0, 14)}
    search = GridSearchCV(KernelDensity(), grid, cv=3).fit(data)
    return search.best_estimator_.sample(count, random_state=seed)


def atoms_decoder(data: np.ndarray, count: int, seed: int) -> np.ndarray:
    """The decoder of the diffusion of the data, in closed form: it knows nothing but them."""
    mean, scale = data.mean(axis=0), np.sqrt(data.var(axis=0).mean())
    decoder = AtomsDecoder(Empirical((data - mean) / scale), tolerance=1e-4)
    noise = jax.random.normal(jax.random.key(seed), (count, data.shape[1]))
    return mean + scale * np.asarray(decoder(noise))


def trained_velocity(steps: int, width: int) -> Sampler:
    """A network trained by flow matching from noise, the learned decoder of a diffusion."""

    def sample(data, count, seed):
        mean, scale = data.mean(axis=0), np.sqrt(data.var(axis=0).mean())
        keys = jax.random.split(jax.random.key(seed), 2)
        points = jnp.asarray((data - mean) / scale, jnp.float32)
        noise = Gaussian(
            jnp.zeros(data.shape[1], jnp.float32), jnp.eye(data.shape[1], dtype=jnp.float32)
        )
        fitted = fit_velocity(
            noise,
            points,
            key=keys[0],
            method=FlowMatching(steps=steps),
            coupling="independent",
            width=width,
            samples=20_000,
        )
        return mean + scale * np.asarray(fitted.map(noise.sample(keys[1], count)), np.float64)

    return sample


def timed(sampler: Sampler, data: np.ndarray, count: int, seed: int) -> tuple[np.ndarray, float]:
    """The samples, and the seconds of fit and sampling together, compilation included."""
    started = time.perf_counter()
    return sampler(data, count, seed), time.perf_counter() - started
