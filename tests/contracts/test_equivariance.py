"""Shift and scale of the data shift and scale every answer, to what the dtype holds (habit 11)."""

import warnings
from dataclasses import dataclass

import jax
import numpy as np
import pytest

from brenier import Generator, MongeMap
from brenier.exact import solve_assignment, solve_semi_discrete
from brenier.flows import FlowMatching, fit_velocity
from brenier.maps import EntropicMap
from brenier.measures import GaussianMixture

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


# Units of 1e-25 to 1e25 and 1e-14 to 1e14; offsets up to 1e-2/eps: 2^45 and 2^16.
_FEW = [Frame(np.float64, -83, None), Frame(np.float64, 83, 23), Frame(np.float32, -46, 10)]
_MANY = [
    Frame(dtype, unit, far)
    for dtype, units, offsets in (
        (np.float64, (-83, -30, 0, 27, 83), (None, 3, 23, 45)),
        (np.float32, (-46, -20, 0, 17, 46), (None, 3, 10, 16)),
    )
    for unit in units
    for far in offsets
]
FRAMES = [*_FEW, *(pytest.param(f, marks=pytest.mark.slow) for f in _MANY if f not in _FEW)]


@pytest.fixture(params=FRAMES, ids=str)
def frame(request: pytest.FixtureRequest) -> Frame:
    return request.param


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


# Of the spread, beside what the grid leaves: choices between candidates may fall otherwise in
# single precision, and iterations end at their tolerance.
@pytest.mark.parametrize(
    ("answer", "double", "single"),
    [
        (of_map, 1e-5, 2e-2),
        (of_round_trip, 1e-5, 2e-2),
        (of_entropic, 1e-5, 2e-3),
        (of_entropic_inverse, 1e-3, 5e-2),
        (of_assignment, 1e-6, 1e-5),
        (of_semi_discrete, 1e-6, 1e-5),
        (of_generator, 1e-4, 5e-2),
        (of_velocity, 1e-3, 2e-2),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_shift_and_scale_come_through(answer, double, single, frame):
    data = [frame.on_grid(z) for z in clouds()]
    here = np.asarray(answer(*(z.astype(frame.dtype) for z in data)), np.float64)
    there = frame.back(answer(*(frame.put(z) for z in data)))
    limit = (double if frame.dtype is np.float64 else single) + 4.0 * frame.grid
    assert np.abs(here - there).max() <= limit * data[1].std()


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
