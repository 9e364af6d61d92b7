"""The maps of the gallery: problems, how each map is made, and what is known of its defect."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from scipy.spatial import cKDTree

import brenier
from brenier.exact import solve_assignment
from brenier.experiments.audit._knothe import knothe
from brenier.flows import FlowMatching, MatchingLoss, fit_velocity
from brenier.maps import AffineMap, EntropicMap
from brenier.measures import Empirical, Gaussian, quasi_sample
from brenier.numerics import gaussian_map_matrix, inverse_sqrtm_spd, sqrtm_spd
from brenier.problems import Problem, problem
from brenier.velocities import FlowMap

Map = Callable[[np.ndarray], Any]

# The problems, in words.
NOISE, MODES, GAUSSIANS = ("noise to modes, d = 2", "modes to modes, d = 2", "Gaussians, d = 10")
_BANK = {NOISE: "convex-2", MODES: "convex-mixture-2", GAUSSIANS: "gaussian-10"}
# Points a side that a map is learned from: by networks, by plans.
_LEARNED, _PLANNED = 4096, 2000
# Points of the means by which a defect is known, and of a straightness; nodes in time.
_MANY, _TRAVELLERS, _NODES = 2**17, 1000, 16


@dataclass(frozen=True, kw_only=True)
class Exhibit:
    """A map as it is audited.

    Attributes:
        name: in words.
        problem: one of ``NOISE``, ``MODES``, ``GAUSSIANS`` or an image law.
        seconds: of the processor, to make it.
        map: T; None where there are only pairs.
        pairs: fresh x and T(x), where there is no map.
        straightness: E∫‖(X₁ − X₀) − v(t, X_t)‖² dt, of a flow.
        known: its defect, and the share of what it moves beyond one shift; None where not known.
    """

    name: str
    problem: str
    seconds: float
    map: Map | None = None
    pairs: tuple[np.ndarray, np.ndarray] | None = None
    straightness: float | None = None
    known: tuple[float, float] | None = None


@cache
def problem_of(name: str) -> Problem:
    """The problem of the bank behind the words."""
    return problem(_BANK[name])


def learning_points(name: str, seed: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Points that maps are learned from, n a side; audits draw others."""
    own = problem_of(name)
    keys = jax.random.split(jax.random.fold_in(jax.random.key(seed), 1))
    x, y = (np.asarray(m.sample(k, n)) for m, k in zip((own.source, own.target), keys, strict=True))
    return x, y


def straightness(flow: FlowMap, x: np.ndarray) -> float:
    """E∫‖(X₁ − X₀) − v(t, X_t)‖² dt over the flow's trajectories from x: 0 where they are straight.

    Liu, Gong, Liu (2023), section 3. Gauss-Legendre in time.
    """
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    times, weights = 0.5 * (nodes + 1.0), 0.5 * weights
    path = np.asarray(flow.path(x, np.append(times, 1.0)))
    chord = path[:, -1] - x
    off = [
        np.mean(np.sum((chord - np.asarray(flow.velocity(t, path[:, i]))) ** 2, axis=1))
        for i, t in enumerate(times)
    ]
    return float(weights @ np.array(off))


def affine_of_metric(source: Gaussian, target: Gaussian, metric: np.ndarray) -> AffineMap:
    """The optimal map between Gaussians for the cost ⟨x − y, A(x − y)⟩: A^{-1/2} M A^{1/2}.

    M is the optimal matrix for ‖x − y‖² between the two after x ↦ A^{1/2}x.
    """
    root, inverse = sqrtm_spd(jnp.asarray(metric)), inverse_sqrtm_spd(jnp.asarray(metric))
    first, second = (root @ law.covariance @ root for law in (source, target))
    matrix = inverse @ gaussian_map_matrix(first, second) @ root
    return AffineMap(matrix, target.mean - matrix @ source.mean)


def _seen_from_outside(map: Map) -> Map:
    """A map as a plain function: the audit gives no credit for how it was made."""
    return lambda x: np.asarray(map(x))


def _known(map: Map, own: Problem, seed: int) -> tuple[float, float]:
    """The defect of a map that reaches the target: D = 2E⟨X, T*(X) − T(X)⟩, as E‖T‖² = E‖T*‖²."""
    assert own.map is not None
    assert isinstance(own.source, Gaussian)
    key = jax.random.fold_in(jax.random.key(seed), 2)
    x = np.asarray(quasi_sample(own.source, _MANY, key=key))
    images, best = np.asarray(map(x)), np.asarray(own.map(x))
    defect = 2.0 * float(np.mean(np.sum((x - x.mean(axis=0)) * (best - images), axis=1)))
    return defect, defect / float(np.sum((images - x).var(axis=0)))


def _of_gaussians(map: AffineMap, own: Problem) -> tuple[float, float]:
    """The same in closed form: D = 2(tr A S − tr M S), A optimal, M the map's matrix."""
    assert isinstance(own.source, Gaussian)
    assert isinstance(own.map, AffineMap)
    covariance, matrix = np.asarray(own.source.covariance), np.asarray(map.matrix)
    defect = 2.0 * float(np.trace((np.asarray(own.map.matrix) - matrix) @ covariance))
    moved = (matrix - np.eye(len(matrix))) @ covariance @ (matrix - np.eye(len(matrix))).T
    return defect, defect / float(np.trace(moved))


def _monge(seed: int) -> Iterator[Exhibit]:
    own = problem_of(NOISE)
    assert own.map is not None
    yield Exhibit(
        name="the Monge map itself",
        problem=NOISE,
        seconds=0.0,
        map=_seen_from_outside(own.map),
        known=(0.0, 0.0),
    )


def _matched(name: str, coupling: str, seed: int) -> Iterator[Exhibit]:
    """Flow matching with a network, as its users do it."""
    flow, seconds = _fitted_flow(name, coupling, seed)
    words = {"independent": "independent", "minibatch": "minibatch OT"}[coupling]
    yield _flow_exhibit(f"flow matching, {words}", name, flow, seconds, seed)


def _fitted_flow(name: str, coupling: str, seed: int) -> tuple[FlowMap, float]:
    began = time.process_time()
    x, y = learning_points(name, seed, _LEARNED)
    key = jax.random.fold_in(jax.random.key(seed), 3)
    flow = fit_velocity(x, y, key=key, coupling=coupling).map
    return flow, time.process_time() - began


def _flow_exhibit(words: str, name: str, flow: FlowMap, seconds: float, seed: int) -> Exhibit:
    x = problem_of(name).source.sample(jax.random.fold_in(jax.random.key(seed), 4), _TRAVELLERS)
    bent = straightness(flow, np.asarray(x))
    return Exhibit(name=words, problem=name, seconds=seconds, map=flow, straightness=bent)


def _rectified(seed: int) -> Iterator[Exhibit]:
    """Flow matching, then twice more on the pairs (z, T(z)) of the flow before."""
    flow, seconds = _fitted_flow(MODES, "independent", seed)
    yield _flow_exhibit("rectified flow, round 1", MODES, flow, seconds, seed)
    for turn in (2, 3):
        began = time.process_time()
        flow = reflowed(flow, learning_points(MODES, seed + turn, _LEARNED)[0], seed)
        seconds += time.process_time() - began
        yield _flow_exhibit(f"rectified flow, round {turn}", MODES, flow, seconds, seed)


def reflowed(flow: FlowMap, z: np.ndarray, seed: int, *, steps: int = 3000) -> FlowMap:
    """The flow trained on, from where it is, with its own ends as pairs."""
    ends, rows = np.asarray(flow(z)), jnp.arange(len(z))
    times = (np.arange(len(z)) + 0.5) / len(z)
    key = jax.random.fold_in(jax.random.key(seed), 5)
    return brenier.solve(
        Empirical(z),
        Empirical(ends),
        method=FlowMatching(pairs=(rows, rows), steps=steps),
        initial=flow,
        key=key,
        metric=MatchingLoss(jnp.asarray(z), jnp.asarray(ends), jnp.asarray(times)),
    ).map


def _entropic(seed: int) -> Iterator[Exhibit]:
    began = time.process_time()
    map = EntropicMap.from_samples(*learning_points(NOISE, seed, _PLANNED))
    seconds = time.process_time() - began
    yield Exhibit(
        name="entropic map",
        problem=NOISE,
        seconds=seconds,
        map=_seen_from_outside(map),
        known=(0.0, 0.0),
    )


def _barycentric(seed: int) -> Iterator[Exhibit]:
    """Sinkhorn's barycentric images; new points go with their nearest one, as in POT."""
    began = time.process_time()
    x, y = learning_points(NOISE, seed, _PLANNED)
    moved = np.asarray(EntropicMap.from_samples(x, y)(x)) - x
    tree = cKDTree(x)
    yield Exhibit(
        name="Sinkhorn barycentric",
        problem=NOISE,
        seconds=time.process_time() - began,
        map=lambda points: points + moved[tree.query(points)[1]],
    )


def _icnn(seed: int) -> Iterator[Exhibit]:
    began = time.process_time()
    x, y = learning_points(NOISE, seed, _LEARNED)
    fitted = brenier.MongeMap(candidates=("network",), random_state=seed).fit(x, y)
    yield Exhibit(
        name="ICNN, semi-dual",
        problem=NOISE,
        seconds=time.process_time() - began,
        map=_seen_from_outside(fitted.transform),
        known=(0.0, 0.0),
    )


def _rearrangement(seed: int) -> Iterator[Exhibit]:
    own, began = problem_of(NOISE), time.process_time()
    assert own.map is not None
    map = knothe(own.map.potential)  # type: ignore[attr-defined]
    yield Exhibit(
        name="Knothe-Rosenblatt",
        problem=NOISE,
        seconds=time.process_time() - began,
        map=map,
        known=_known(map, own, seed),
    )


def _assigned(seed: int) -> Iterator[Exhibit]:
    """Each point goes where its nearest neighbour in the sample goes in the optimal assignment."""
    began = time.process_time()
    x, y = learning_points(NOISE, seed, _PLANNED)
    plan = solve_assignment(x, y).stats["plan"]
    mates = np.empty_like(y)
    mates[plan.rows] = y[plan.columns]
    tree = cKDTree(x)
    yield Exhibit(
        name="optimal assignment, 1-NN",
        problem=NOISE,
        seconds=time.process_time() - began,
        map=lambda points: mates[tree.query(points)[1]],
    )


def _nearest(seed: int) -> Iterator[Exhibit]:
    """Each point goes to the nearest target point: the gradient of max_j ⟨x, y_j⟩ − ½‖y_j‖²."""
    began = time.process_time()
    y = learning_points(NOISE, seed, _PLANNED)[1]
    tree = cKDTree(y)
    yield Exhibit(
        name="nearest target point",
        problem=NOISE,
        seconds=time.process_time() - began,
        map=lambda points: y[tree.query(points)[1]],
        known=(0.0, 0.0),
    )


def _whitened(seed: int) -> Iterator[Exhibit]:
    """Optimal for the cost in which the source is white, as after whitening the data."""
    own = problem_of(GAUSSIANS)
    assert isinstance(own.source, Gaussian)
    assert isinstance(own.target, Gaussian)
    metric = np.linalg.inv(np.asarray(own.source.covariance))
    map = affine_of_metric(own.source, own.target, metric)
    yield Exhibit(
        name="optimal affine, Mahalanobis cost",
        problem=GAUSSIANS,
        seconds=0.0,
        map=_seen_from_outside(map),
        known=_of_gaussians(map, own),
    )


def _triangular(seed: int) -> Iterator[Exhibit]:
    """The triangular affine map L₂L₁⁻¹: Knothe-Rosenblatt between Gaussians."""
    own = problem_of(GAUSSIANS)
    assert isinstance(own.source, Gaussian)
    assert isinstance(own.target, Gaussian)
    matrix = own.target.factor @ jnp.linalg.inv(own.source.factor)
    map = AffineMap(matrix, own.target.mean - matrix @ own.source.mean)
    yield Exhibit(
        name="triangular affine (Cholesky)",
        problem=GAUSSIANS,
        seconds=0.0,
        map=_seen_from_outside(map),
        known=_of_gaussians(map, own),
    )


# Makers of one or several exhibits, by the name of the block that they are kept in.
MAKERS: dict[str, Callable[[int], Iterator[Exhibit]]] = {
    "monge": _monge,
    "matching": lambda seed: _matched(NOISE, "independent", seed),
    "matching OT": lambda seed: _matched(NOISE, "minibatch", seed),
    "icnn": _icnn,
    "entropic": _entropic,
    "barycentric": _barycentric,
    "knothe": _rearrangement,
    "assigned": _assigned,
    "nearest": _nearest,
    "rectified": _rectified,
    "matching OT, modes": lambda seed: _matched(MODES, "minibatch", seed),
    "whitened": _whitened,
    "triangular": _triangular,
}
