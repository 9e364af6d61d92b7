"""KRCO22's random densities, their encoders, and an encoder compiled once for all of them."""

from collections.abc import Callable
from dataclasses import dataclass, field

import equinox as eqx
import jax
import numpy as np

from brenier.maps import Composition
from brenier.measures import TensorTrain
from brenier.numerics import in_blocks
from brenier.problems import QuarticMixture, quartic_mixture, random_tensor_train
from brenier.velocities import FlowMap, TensorTrainVelocity, tensor_train_encoder

REACH = 8.0


@dataclass(frozen=True)
class Setting:
    """How the densities of one dimension are solved.

    ``nodes`` along each axis, as in the paper (in d = 3 more: some densities have details that 100
    nodes do not hold to the tolerance); ``padding`` of ranks and lattices; ``stages`` of signal;
    ``block``, the points mapped at once: many where each is quick, few where an audit that asks for
    a handful would wait for all.
    """

    nodes: int
    tolerance: float
    padding: tuple[int, int]
    stages: tuple[float, ...]
    block: int


SETTINGS = {
    2: Setting(250, 1e-11, (16, 32), (0.9,), 256),
    3: Setting(120, 1e-10, (16, 16), (0.9, 0.6), 64),
    7: Setting(50, 1e-10, (2, 16), (), 256),
}


def density(seed: int, dimension: int) -> tuple[TensorTrain, QuarticMixture | None]:
    """The density of that seed as a tensor train, and as a function where it is one of (14)."""
    setting = SETTINGS[dimension]
    if dimension > 3:
        law = random_tensor_train(
            dimension, seed=seed, nodes=setting.nodes, tolerance=setting.tolerance
        )
        return law, None
    function = quartic_mixture(dimension, seed=seed)
    corner = np.full(dimension, REACH)
    law = TensorTrain.from_log_density(
        function, -corner, corner, [setting.nodes] * dimension, tolerance=setting.tolerance
    )
    return law, function


def encoder(law: TensorTrain) -> Composition:
    """Of any of the densities, to 1e-8."""
    setting = SETTINGS[law.dimension]
    return tensor_train_encoder(law, tolerance=1e-9, stages=setting.stages, padding=setting.padding)


def paths(law: TensorTrain, x: jax.Array, count: int = 40) -> jax.Array:
    """The points on their way from a = 1 to a = 0, (n, count, d)."""
    flow = FlowMap(TensorTrainVelocity(law), 1.0, 0.0, tolerance=1e-9)
    return flow.path(x, np.linspace(1.0, 0.0, count))


@dataclass
class Blocks:
    """A map and its Jacobian over NumPy clouds of any size, block by block; what is known is kept.

    An audit asks for the same points several times, and for a few points now and then.
    """

    map: Composition
    kept: dict[tuple[str, bytes], np.ndarray] = field(default_factory=dict)

    def __call__(self, x: np.ndarray) -> np.ndarray:
        return self._over("images", _images, x)

    def jacobian(self, x: np.ndarray) -> np.ndarray:
        """DT (n, d, d), entry (i, j) = ∂T_i/∂x_j."""
        return self._over("jacobians", _jacobians, x)

    def _over(self, name: str, function: Callable, x: np.ndarray) -> np.ndarray:
        # Every cloud is cut into blocks of one size, so that one compilation serves.
        def known(block: jax.Array) -> np.ndarray:
            key = (name, np.asarray(block).tobytes())
            if key not in self.kept:
                self.kept[key] = np.asarray(function(self.map, block))
            return self.kept[key]

        return in_blocks(known, x, SETTINGS[x.shape[1]].block)


@eqx.filter_jit
def _images(map: Composition, x: jax.Array) -> jax.Array:
    return jax.vmap(map.apply)(x)


@eqx.filter_jit
def _jacobians(map: Composition, x: jax.Array) -> jax.Array:
    return jax.vmap(map.point_jacobian)(x)
