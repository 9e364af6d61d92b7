"""Shift and scale of the data shift and scale every answer, to what the dtype holds (habit 11)."""

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from brenier import ConditionalMongeMap, Generator, MongeMap, TimeSeries
from brenier.estimators import energy_score, principal_components, transfer_labels, transition_table
from brenier.exact import (
    solve_assignment,
    solve_gaussian,
    solve_line,
    solve_semi_discrete,
    solve_unbalanced_gaussian,
)
from brenier.flows import FlowMatching, fit_velocity, sample_sinkhorn_flow
from brenier.functionals import Moving, SinkhornDivergence
from brenier.grids import Torus
from brenier.maps import EntropicMap
from brenier.measures import Empirical, Gaussian, GaussianMixture
from brenier.numerics import (
    barycentric_projection,
    default_epsilon,
    energy_distance_squared,
    median_squared_distance,
    self_transport,
    sinkhorn,
)
from brenier.velocities import (
    DacorognaMoserVelocity,
    FlowMap,
    MatchingVelocity,
    McCannVelocity,
    MixtureVelocity,
    ProbabilityFlow,
    RescaledDiffusionVelocity,
)

_ROWS, _FRESH = 90, 40


@dataclass(frozen=True)
class Frame:
    """Data in units of 2^unit at 2^far units from 0: powers of 2, so that nothing is rounded.

    What the data lose is taken from them beforehand: they lie on the grid that the offset leaves.
    """

    dtype: type
    unit: int
    far: int | None

    @property
    def offset(self) -> float:
        return 0.0 if self.far is None else 2.0**self.far

    @property
    def grid(self) -> float:
        """What points of the size of the spread are apart, at least."""
        eps = float(np.finfo(self.dtype).eps)
        return 8.0 * eps * max(self.offset, 1.0)

    def on_grid(self, x: np.ndarray) -> np.ndarray:
        return np.round(x / self.grid) * self.grid

    def put(self, x: np.ndarray) -> np.ndarray:
        return ((x + self.offset) * 2.0**self.unit).astype(self.dtype)

    def back(self, x: np.ndarray) -> np.ndarray:
        return np.asarray(x, np.float64) / 2.0**self.unit - self.offset

    def __str__(self) -> str:
        return f"{np.dtype(self.dtype).name}-unit{self.unit}-far{self.far}"


# Units of 1e-30 to 1e30 and 1e-14 to 1e14; offsets up to 1e-2/eps: 2^45 and 2^16.
_FEW = [Frame(np.float64, 99, 23), Frame(np.float32, -46, 10)]
_MANY = [
    Frame(dtype, unit, far)
    for dtype, units, offsets in (
        (np.float64, (-99, -30, 0, 27, 99), (None, 3, 23, 45)),
        (np.float32, (-46, -20, 0, 17, 46), (None, 3, 10, 16)),
    )
    for unit in units
    for far in offsets
]
FRAMES = [*_FEW, *(f for f in _MANY if f not in _FEW)]


def clouds() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points, images under a map that bends, and fresh points."""
    r = np.random.default_rng(0)
    x, fresh = r.normal(size=(_ROWS, 2)), r.normal(size=(_FRESH, 2))
    y = r.normal(size=(_ROWS + 10, 2))
    return x, y + y**3 / 3.0 + 3.0, fresh


def of_map(x, y, fresh):
    return fitted(x, y, "entropic").transform(fresh)


def of_round_trip(x, y, fresh):
    est = fitted(x, y, "log-sum-exp")
    return est.inverse_transform(est.transform(fresh))


def of_conditions(x, y, fresh):
    kinds = np.arange(len(x)) % 2, np.arange(len(y)) % 2
    est = ConditionalMongeMap(random_state=0, effort="quick").fit(x, y, *kinds)
    return est.transform(fresh, np.arange(len(fresh)) % 2)


def fitted(x, y, kind):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return MongeMap(random_state=0, candidates=[kind]).fit(x, y)


def of_entropic(x, y, fresh):
    return EntropicMap.from_samples(x, y)(fresh)


def of_entropic_inverse(x, y, fresh):
    entropic = EntropicMap.from_samples(x, y)
    # Back once more, and of inner points: where the map is flat its inverse is known badly,
    # whatever the units.
    inner = fresh[np.argsort(np.linalg.norm(clouds()[2], axis=1))[:20]]
    return entropic(entropic.inverse()(entropic(inner)))


def of_assignment(x, y, fresh):
    return np.concatenate([solve_assignment(x, y[: len(x)]).map(z) for z in (x, fresh)])


def of_semi_discrete(x, y, fresh):
    wide = x.astype(np.float64)
    law = GaussianMixture(np.ones(1), wide.mean(axis=0)[None], np.cov(wide.T)[None])
    return solve_semi_discrete(law, y[:30]).map(fresh)


def of_generator(x, y, fresh):
    made = Generator(random_state=0, source="isotropic").fit(y).sample(200, random_state=1)
    return np.sort(np.asarray(made, np.float64), axis=0)[[20, 100, 180]]


def of_velocity(x, y, fresh):
    method = FlowMatching(steps=20, batch=32)
    solution = fit_velocity(
        x, y, key=jax.random.key(0), method=method, samples=64, rounds=1, width=8, depth=1
    )
    return solution.map(fresh)


def of_matching(x, y, fresh):
    law = GaussianMixture(*_moments(x))
    return FlowMap(MatchingVelocity(law, GaussianMixture(*_moments(y))), 0.0, 1.0, tolerance=1e-4)(
        fresh
    )


def of_matching_derivative(x, y, fresh):
    law = GaussianMixture(*_moments(x))
    flow = FlowMap(MatchingVelocity(law, GaussianMixture(*_moments(y))), 0.0, 1.0, tolerance=1e-4)
    return flow.jacobian(fresh[:5])


def _two_parts(z):
    wide = z.astype(np.float64)
    halves = [_moments(half) for half in (wide[::2], wide[1::2])]
    means, covariances = (np.concatenate([own[k] for own in halves]) for k in (1, 2))
    return GaussianMixture(np.array([0.3, 0.7]), means.astype(z.dtype), covariances.astype(z.dtype))


def _latents(x):
    return jax.random.normal(jax.random.key(3), (20, 2), x.dtype)


def of_encoder(x, y, fresh):
    return ProbabilityFlow(_two_parts(y)).encoder(tolerance=1e-6)(y[:20])


def of_decoder(x, y, fresh):
    return ProbabilityFlow(_two_parts(y)).decoder(tolerance=1e-6)(_latents(y))


def of_atoms(x, y, fresh):
    return ProbabilityFlow(Empirical(y[:9])).decoder(tolerance=1e-6)(_latents(y))


def of_flow_matching(x, y, fresh):
    velocity = RescaledDiffusionVelocity(MixtureVelocity(_two_parts(y)))
    return FlowMap(velocity, 0.0, 1.0, tolerance=1e-6)(_latents(y))


def of_mccann(x, y, fresh):
    phi = fitted(x, y, "log-sum-exp").map_
    return FlowMap(McCannVelocity(phi), 0.0, 1.0, tolerance=1e-4)(fresh)


def of_dacorogna_moser(x, y, fresh):
    low, high = (np.float64(f(x, axis=0)) for f in (np.min, np.max))
    grid = Torus(low.tolist(), high.tolist(), [16, 16])
    waves = 2.0 * np.pi * (grid.points() - low) / (high - low)
    v = DacorognaMoserVelocity.between(
        1.0 + 0.5 * np.cos(waves[..., 0]), 1.0 + 0.3 * np.sin(waves.sum(axis=-1)), grid
    )
    return FlowMap(v, 0.0, 1.0, tolerance=1e-4)(fresh[:10].astype(np.float64))


def of_gaussian(x, y, fresh):
    laws = (Gaussian(mean[0], covariance[0]) for _, mean, covariance in map(_moments, (x, y)))
    return solve_gaussian(*laws).map(fresh)


def of_unbalanced_gaussian(x, y, fresh):
    laws = [Gaussian(mean[0], covariance[0]) for _, mean, covariance in map(_moments, (x, y))]
    # A penalty has units of its own.
    penalty = float(y.astype(np.float64).var(axis=0).mean())
    return solve_unbalanced_gaussian(
        *laws, source_penalty=penalty, target_penalty=2.0 * penalty, epsilon=0.1 * penalty
    ).map(fresh)


def of_line(x, y, fresh):
    return solve_line(x[:, 0], y[:, 0]).map(fresh[:, :1])


def of_one_shot(x, y, fresh):
    # ε has units of its own.
    law, spread = _moments(y), y.astype(np.float64).var(axis=0).mean()
    solution = sample_sinkhorn_flow(
        Gaussian(law[1][0].astype(y.dtype), law[2][0].astype(y.dtype)),
        y, epsilon=0.1 * float(spread), particles=256,
    )  # fmt: skip
    return solution.map(fresh)


def of_unscaled_generator(x, y, fresh):
    made = Generator(random_state=0, source="isotropic", scaling="none").fit(y)
    return np.sort(np.asarray(made.sample(200, random_state=1), np.float64), axis=0)[[20, 100, 180]]


def of_sinkhorn(x, y, fresh):
    epsilon = default_epsilon(jnp.asarray(y))
    plan = sinkhorn(x, y, epsilon=epsilon, tolerance=1e-4)
    return barycentric_projection(fresh, jnp.asarray(y), plan.g, epsilon=epsilon)


def of_self_transport(x, y, fresh):
    return self_transport(y, epsilon=default_epsilon(jnp.asarray(y))).barycentres


def of_energy_distance(x, y, fresh):
    return energy_distance_squared(x, y)


def of_distances(x, y, fresh):
    return jnp.sqrt(jnp.stack([median_squared_distance(y), default_epsilon(jnp.asarray(y))]))


def of_energy_score(x, y, fresh):
    return np.asarray(energy_score(x, y))


def of_divergence(x, y, fresh):
    moving, target = Moving(jnp.asarray(x)), Empirical(jnp.asarray(y))
    return SinkhornDivergence().gradient(moving, target, key=jax.random.key(0))


def of_components(x, y, fresh):
    found = principal_components(x, y, 1, embedded=True, random_state=0)
    return np.abs(found.x)


def of_labels(x, y, fresh):
    kinds = np.arange(len(y)) % 3
    return transfer_labels(x, y, kinds).probabilities


def of_transitions(x, y, fresh):
    kinds = [np.arange(len(cloud)) % 3 for cloud in (x, y)]
    return transition_table(x, y, *kinds).shares


def of_series(x, y, fresh):
    est = MongeMap(random_state=0, candidates=["gaussian"])
    series = TimeSeries(est).fit([x, y, (y - y[0]) / 2.0 + y[0]], [0, 1, 3])
    return series.transform(series.transform(fresh, 0, 2.5), 0.5, 2.0)


def _moments(z):
    wide = z.astype(np.float64)
    near = wide - wide[0]
    return np.ones(1), (wide[0] + near.mean(axis=0))[None], np.cov(near.T)[None]


@dataclass(frozen=True)
class Case:
    """An answer, how it moves with the data, and by how much of the spread it may be off.

    ``power`` of the unit by which it is scaled; None for points, which are shifted too.
    """

    answer: Callable
    double: float
    single: float
    power: int | None = None


# Of the spread, beside what the grid leaves: choices between candidates may fall otherwise in
# single precision, and iterations end at their tolerance.
CASES = {
    "estimators.MongeMap": Case(of_map, 1e-5, 2e-2),
    "estimators.ConditionalMongeMap": Case(of_conditions, 1e-4, 5e-2),
    "maps.ConjugateMap": Case(of_round_trip, 1e-5, 2e-2),
    "maps.EntropicMap": Case(of_entropic, 1e-5, 2e-3),
    "maps.GradientMap": Case(of_entropic_inverse, 1e-3, 5e-2),
    "exact.solve_assignment": Case(of_assignment, 1e-6, 1e-5),
    "exact.solve_semi_discrete": Case(of_semi_discrete, 1e-6, 1e-5),
    "exact.solve_gaussian": Case(of_gaussian, 1e-6, 1e-4),
    "exact.solve_unbalanced_gaussian": Case(of_unbalanced_gaussian, 1e-6, 1e-4),
    "exact.solve_line": Case(of_line, 1e-6, 1e-4),
    "estimators.Generator": Case(of_generator, 1e-4, 5e-2),
    "maps.DebiasedMap": Case(of_unscaled_generator, 1e-4, 5e-2),
    "estimators.principal_components": Case(of_components, 1e-6, 1e-3, 1),
    "estimators.transfer_labels": Case(of_labels, 1e-6, 2e-2, 0),
    "estimators.transition_table": Case(of_transitions, 1e-6, 1e-2, 0),
    "estimators.TimeSeries": Case(of_series, 1e-6, 1e-3),
    "estimators.energy_score": Case(of_energy_score, 1e-6, 1e-3, 1),
    "flows.fit_velocity": Case(of_velocity, 1e-3, 2e-2),
    "flows.sample_sinkhorn_flow": Case(of_one_shot, 1e-4, 1e-2),
    "velocities.MatchingVelocity": Case(of_matching, 1e-3, 1e-2),
    "velocities.FlowMap": Case(of_matching_derivative, 1e-3, 1e-2, 0),
    "velocities.McCannVelocity": Case(of_mccann, 1e-3, 2e-2),
    "velocities.MixtureVelocity": Case(of_encoder, 1e-4, 1e-2, 0),
    "velocities.ProbabilityFlow": Case(of_decoder, 1e-4, 1e-2),
    "velocities.AtomsDecoder": Case(of_atoms, 1e-4, 1e-2),
    "velocities.RescaledDiffusionVelocity": Case(of_flow_matching, 1e-4, 1e-2),
    "velocities.DacorognaMoserVelocity": Case(of_dacorogna_moser, 1e-3, 1e-2),
    "functionals.SinkhornDivergence": Case(of_divergence, 1e-4, 1e-2, 1),
    "numerics.sinkhorn": Case(of_sinkhorn, 1e-4, 1e-2),
    "numerics.self_transport": Case(of_self_transport, 1e-4, 1e-3),
    "numerics.energy_distance_squared": Case(of_energy_distance, 1e-6, 1e-4, 1),
    "numerics.median_squared_distance": Case(of_distances, 2e-3, 2e-3, 1),
}

_UNITS_GIVEN = "made of parts that have units, which are to be moved with the data"
_NOISE = "takes a network, a score or a grid in the unit of the diffusion's noise, N(0, I)"
_OWN_UNITS = "works in the units of a potential, a kernel, a grid or a step that the user gives"
_OF_OTHERS = "what a solver above returns, or a part of it"
_NO_POINTS = "takes no points"
OTHERS = {
    _UNITS_GIVEN: "maps: AffineMap Composition ConditionalMap Pushforward ResidualNetwork "
    "SubspaceMap; "
    "velocities: NetworkVelocity FokkerPlanckVelocity log_likelihood; flows: distill",
    _NOISE: "velocities: BDIA DDIM ExactNoise NoiseVelocity RatioVelocity ScoreVelocity "
    "TensorTrainVelocity noise posterior_mean score tensor_train_encoder",
    _OWN_UNITS: "exact: laguerre_cells solve_monge_ampere; functionals: KL MMD Energy ExactScore "
    "GaussianKernel InteractionEnergy LaplaceKernel PotentialEnergy PowerDivergence "
    "SelfEntropicScore linearised_distance; flows: ConstrainedDrift Distillation EuclideanDescent "
    "FirstOrder FlowMatching Growth HeldOutDual KLNewton MatchingLoss MirrorFlow NaturalGradient "
    "ParabolicMongeAmpere SemiDual WassersteinNatural advance annealed_sinkhorn divergence_flow "
    "euclidean_mirror_flow flow_measure gaussian_parabolic_flow gaussian_sinkhorn_flow "
    "mckean_vlasov mirror_velocity parabolic_flow potential_path sinkhorn_flow solve "
    "default_flow_epsilon exponential_rate",
    _OF_OTHERS: "exact: GaussianGrowth MonotoneMap Plan; maps: EntropicGrowth; "
    "velocities: AtomsVelocity Endpoints HyperbolicClock; functionals: Moving; "
    "flows: GridCoupling; estimators: Components "
    "ConditionalCertificate ConditionalTable TransferredLabels TransitionTable",
    _NO_POINTS: "maps: Covariates evaluation_floats; velocities: integration_floats "
    "ConstantSchedule CosineSchedule LinearSchedule RateSchedule TableSchedule; "
    "flows: CheckpointStore Progress batch_work check_method shared_work",
}


def _said() -> set[str]:
    found = set(CASES)
    for names in OTHERS.values():
        for part in names.split(";"):
            room, _, members = part.partition(":")
            found |= {f"{room.strip()}.{name}" for name in members.split()}
    return found


@pytest.mark.parametrize(
    "room", ["maps", "exact", "velocities", "flows", "functionals", "estimators"]
)
def test_every_public_name_is_tested_or_says_why_not(room):
    public = {
        f"{room}.{name}"
        for name in import_module(f"brenier.{room}").__all__
        if not name.startswith("Abstract")
    }
    said = {name for name in _said() if name.startswith(f"{room}.")}
    assert public == said


# Seconds of compilation each: one of a kind is enough for every day.
_DEAR = {
    "estimators.ConditionalMongeMap",
    "velocities.McCannVelocity", "velocities.MatchingVelocity", "flows.fit_velocity",
    "functionals.SinkhornDivergence", "maps.GradientMap", "maps.ConjugateMap", "velocities.FlowMap",
}  # fmt: skip


def _every() -> Iterator[Any]:
    """Each name in each frame; every day in one of the two, in turn."""
    for k, name in enumerate(CASES):
        for frame in FRAMES:
            daily = name not in _DEAR and frame is _FEW[k % 2]
            marks = () if daily else pytest.mark.slow
            yield pytest.param(name, frame, marks=marks, id=f"{frame}-{name}")


@pytest.mark.parametrize(("name", "frame"), list(_every()))
def test_shift_and_scale_come_through(name, frame):
    case = CASES[name]
    data = [frame.on_grid(z) for z in clouds()]
    here = np.asarray(case.answer(*(z.astype(frame.dtype) for z in data)), np.float64)
    moved = case.answer(*(frame.put(z) for z in data))
    if case.power is None:
        there = frame.back(moved)
    else:
        there = np.asarray(moved, np.float64) / 2.0 ** (case.power * frame.unit)
    limit = (case.double if frame.dtype is np.float64 else case.single) + 4.0 * frame.grid
    assert np.abs(here - there).max() <= limit * data[1].std()


@pytest.mark.slow
def test_a_velocity_learns_columns_of_any_units():
    x, y, fresh = clouds()
    method = FlowMatching(steps=300, batch=32)
    units = np.array([1.0, 1e5])

    def answer(unit):
        return np.asarray(
            fit_velocity(
                unit * x, unit * y, key=jax.random.key(0), method=method, coupling="independent",
                samples=64, width=8, depth=1,
            ).map(unit * fresh)
        )  # fmt: skip

    np.testing.assert_allclose(answer(units) / units, answer(np.ones(2)), atol=1e-3)


@pytest.mark.parametrize(("dtype", "far"), [(np.float32, 1e6), (np.float64, 1e15)])
def test_what_the_dtype_cannot_hold_is_said(dtype, far):
    x, y, _ = ((far + z).astype(dtype) for z in clouds())
    with pytest.raises(ValueError, match=r"X: got column 0 around 1e.*leaves [01]\.\d digits"):
        MongeMap().fit(x, y)
    with pytest.raises(ValueError, match=r"digits; wants at least 2"):
        Generator().fit(y)
    for solver in (EntropicMap.from_samples, solve_assignment):
        with pytest.raises(ValueError, match=r"source: got column 0 .* digits; wants at least 2"):
            solver(x, y)
    with pytest.raises(ValueError, match=r"points: got column 0 .* digits; wants at least 2"):
        solve_semi_discrete(Gaussian.standard(2), y)
    with pytest.raises(ValueError, match=r"target: got column 0 .* digits; wants at least 2"):
        solve_line(clouds()[0][:, 0], y[:, 0])
    with pytest.raises(ValueError, match=r"source: got column 0 .* digits; wants at least 2"):
        fit_velocity(x, y, key=jax.random.key(0))
    with pytest.raises(ValueError, match=r"data: got column 0 .* digits; wants at least 2"):
        sample_sinkhorn_flow(Gaussian.standard(2), y, epsilon=1.0)
