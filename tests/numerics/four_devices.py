"""Run by ``test_devices.py`` where JAX has four devices: the cases named, on one and shared.

Prints what each case found as JSON.
"""

import json
import sys
import threading
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import brenier
from brenier._arithmetic import in_own_arithmetic
from brenier.flows import FlowMatching, HeldOutDual, MatchingLoss, SemiDual
from brenier.functionals import MMD, AbstractFunctional, GaussianKernel, InteractionEnergy, Moving
from brenier.images import (
    DDPM,
    HostNetwork,
    ImageModel,
    TrainingSettings,
    UNet,
    UNetSettings,
    fit_images,
)
from brenier.maps import EntropicMap, GradientMap
from brenier.measures import Empirical
from brenier.numerics import (
    _blocks,
    _devices,
    barycentric_projection,
    cast_floats,
    conjugate,
    copy_to_all,
    energy_distance_squared,
    entropic_potential,
    in_blocks,
    mean_distance,
    self_transport,
    sinkhorn,
    split_rows,
)
from brenier.potentials import AbstractPotential, LogSumExp, Quadratic
from brenier.velocities import CosineSchedule, FlowMap, NetworkVelocity

RANDOM = np.random.default_rng(0)


def random_network(settings: UNetSettings) -> UNet:
    """One whose output is not 0, as that of a new one is."""
    net = UNet.random(jax.random.key(0), settings)
    draw = lambda leaf: leaf + 0.1 * RANDOM.normal(size=leaf.shape).astype(np.float32)  # noqa: E731
    return jax.tree.map(draw, net)


# Rows that four does not divide.
X, Y = RANDOM.normal(size=(601, 2)), RANDOM.normal(size=(443, 2)) * [2.0, 0.5] + 1.0
B, G = RANDOM.random(443), 0.1 * RANDOM.normal(size=443)
B /= B.sum()
IMAGES = RANDOM.uniform(size=(30, 8, 8, 1))
BENT = LogSumExp.identity(jax.random.key(0), 2, 5)
# A user's arrays, on devices of their own choice.
with jax.enable_x64(True):
    FAR = jax.device_put(X, jax.devices()[2])
UNET = random_network(UNetSettings(width=4, multipliers=(1,)))
BEND = lambda a, image, label: jnp.sin(image)  # noqa: E731
HALF = HostNetwork(lambda signals, images, labels: 0.5 * images)
SLOPE = jax.device_put(jnp.ones(2), jax.devices()[0])

# What ``on_all_cores`` gives to the threads of a CPU.
over_many = in_own_arithmetic(_blocks._shared)

WORTH, SHARED_CORES = dict(_devices._WORTH), set(_devices._ON_SHARED_CORES)
share = _devices._shared
shared = 0


def counted(*args: Any) -> Any:
    global shared
    shared += 1
    return share(*args)


_devices._shared = counted


def times_shared(call: Callable[[], Any]) -> int:
    before = shared
    call()
    return shared - before


def compared(call: Callable[[], Any]) -> dict[str, Any]:
    """How far one device and four are apart, in roundings of the largest number of an array."""
    _devices._WORTH["cpu"] = 2**60
    one = jax.tree.leaves(eqx.filter(call(), eqx.is_array_like))
    _devices._WORTH["cpu"] = 0
    # The factorisations here are too small to wait for each other.
    _devices._ON_SHARED_CORES.clear()
    many: list[Any] = []
    times = times_shared(
        lambda: many.extend(jax.tree.leaves(eqx.filter(call(), eqx.is_array_like)))
    )
    _devices._WORTH.update(WORTH)
    _devices._ON_SHARED_CORES.update(SHARED_CORES)
    apart, back = 0.0, True
    for a, b in zip(one, many, strict=True):
        if isinstance(a, jax.Array):
            back &= a.devices() == b.devices() and a.committed == b.committed
            back &= a.dtype == b.dtype and a.shape == b.shape
        single = np.asarray(a).dtype == np.float32
        unit = float(np.finfo(np.float32 if single else float).eps)
        a, b = np.asarray(a, float), np.asarray(b, float)
        apart = max(apart, float(np.abs(a - b).max() / max(np.abs(a).max(), 1e-300)) / unit)
    return {"apart": apart, "shared": times, "back": bool(back)}


def fit(potential: AbstractPotential) -> Any:
    looks = []
    solution = brenier.solve(
        Empirical(X), Empirical(Y), method=SemiDual(steps=6, batch=37, refinements=0),
        initial=GradientMap(potential), key=jax.random.key(0),
        metric=HeldOutDual(X[:51], Y[:49]), blocks=2, callback=lambda p: looks.append(p.map),
    )  # fmt: skip
    single = jax.tree.leaves(solution.map)[0].dtype
    return solution.map, looks, np.asarray(solution.stats["history"], single)


def fit_velocity() -> Any:
    method = FlowMatching(steps=3, batch=37)
    velocity = NetworkVelocity.random(jax.random.key(1), np.zeros(2), np.ones(()), width=8, depth=1)
    times = (np.arange(51) + 0.5) / 51
    solution = brenier.solve(
        Empirical(X), Empirical(Y), method=method, initial=FlowMap(velocity, 0.0, 1.0),
        key=jax.random.key(0), metric=MatchingLoss(X[:51], Y[:51], times), blocks=1,
    )  # fmt: skip
    return solution.map, solution.stats["history"]


def train() -> Any:
    """A network of images; its sums are of float32, like its weights."""
    solution = fit_images(
        IMAGES, np.arange(30) % 2, key=jax.random.key(0),
        settings=TrainingSettings(
            method=DDPM(steps=3, batch=7),
            network=UNetSettings(width=4, multipliers=(1,)),
            checks=1,
        ),
    )  # fmt: skip
    return solution.map, np.asarray(solution.stats["history"], np.float32)


def model(network: Any) -> ImageModel:
    return ImageModel(network, (8, 8, 1), "v", CosineSchedule())


def codes(map: Any) -> Any:
    """Of images in blocks, as the command line takes them."""
    points = (2.0 * IMAGES.reshape(30, 64) - 1.0).astype(np.float32)
    return in_blocks(lambda rows: over_many(map.apply, rows, 4096, map.passes), points, 7)


def plan(max_iterations: int, penalty: float | None = None) -> Any:
    return sinkhorn(
        X, Y, None, B, epsilon=0.3, block=100, max_iterations=max_iterations,
        source_penalty=penalty, target_penalty=penalty,
    )  # fmt: skip


def mmd(functional: AbstractFunctional) -> Any:
    given = Moving(X), Empirical(Y, B)
    key = jax.random.key(0)
    return functional.value(*given, key=key), functional.gradient(*given, key=key)


CASES: dict[str, Callable[[], Any]] = {
    "streamed plan": lambda: plan(max_iterations=1000)[:2],
    "unbalanced plan": lambda: plan(max_iterations=1000, penalty=1.0)[:2],
    "error of a rough plan": lambda: plan(max_iterations=1).error,
    "potential": lambda: entropic_potential(X, Y, G, B, epsilon=0.3),
    "projection of three": lambda: barycentric_projection(X[:3], Y, G, epsilon=0.3),
    "mean distance": lambda: (mean_distance(X, Y), mean_distance(X)),
    "mean distance, far": lambda: mean_distance(FAR),
    "energy distance": lambda: energy_distance_squared(X, Y, None, B),
    "self transport": lambda: self_transport(X, epsilon=0.3, block=100)[:2],
    "conjugates": lambda: conjugate(BENT.value, Y, tolerance=1e-9)[:2],
    "L-BFGS": lambda: conjugate(lambda x: x @ x + SLOPE @ x, Y, method="lbfgs")[:2],
    "gradient": lambda: over_many(GradientMap(BENT).apply, X, 1024, 1),
    "entropic map": lambda: over_many(EntropicMap(Y, G, 0.3).apply, X, 1024, 1),
    "held-out dual": lambda: HeldOutDual(X, Y).terms(BENT),
    "steps": lambda: fit(Quadratic.identity(2)),
    "steps in single precision": lambda: fit(cast_floats(Quadratic.identity(2), jnp.float32)),
    "maximum mean discrepancy": lambda: mmd(MMD()),
    "of a kernel": lambda: mmd(MMD(GaussianKernel(0.5))),
    "interaction": lambda: mmd(InteractionEnergy(lambda z: jnp.log(z @ z + SLOPE @ SLOPE))),
    "flow matching": fit_velocity,
    "training of images": train,
    "codes": lambda: codes(model(UNET).ddim_encoder(3)),
    "images": lambda: codes(model(BEND).encoder(tolerance=1e-3).inverse()),
    "codes by the host": lambda: codes(model(HALF).ddim_encoder(3)),
}


def decisions() -> dict[str, int]:
    """How often work is shared, by the thresholds as they are."""

    def many() -> None:
        mean_distance(X, Y)

    def few() -> None:
        mean_distance(X[:99], Y[:99])

    def factorisations() -> None:
        CASES["conjugates"]()

    def traced() -> None:
        jax.jit(lambda z: z + mean_distance(X, Y))(0.0)

    def split() -> None:
        mean_distance(split_rows(X), copy_to_all(Y))

    def on_the_device_named() -> None:
        with jax.default_device(jax.devices()[1]):
            assert mean_distance(X, Y).devices() == {jax.devices()[1]}

    def while_another_thread_has_them() -> None:
        with _devices._FREE:
            mean_distance(X, Y)

    def by_two_threads() -> None:
        threads = [threading.Thread(target=many) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    calls = (
        many, few, factorisations, traced, split, on_the_device_named,
        while_another_thread_has_them, by_two_threads,
    )  # fmt: skip
    return {call.__name__: times_shared(call) for call in calls}


def rows() -> dict[str, Any]:
    """How many rows each of four devices has, of so many; and a plan, in memory, of some."""
    parts = {
        str(n): [shard.data.shape[0] for shard in split_rows(np.ones((n, 2))).addressable_shards]
        for n in (1, 3, 4, 6, 7, 8)
    }
    before = shared
    whole, split = (
        np.asarray(sinkhorn(place(X[:402]), place(Y[:201]), epsilon=0.3).f)
        for place in (np.asarray, split_rows)
    )
    return {"parts": parts, "apart": float(np.abs(whole - split).max()), "shared": shared - before}


if __name__ == "__main__":
    cases = {name: compared(CASES[name]) for name in sys.argv[1:]}
    report = {"devices": jax.device_count(), "known": [*CASES], "cases": cases}
    print(json.dumps(report | {"decisions": decisions(), "rows": rows()}))
