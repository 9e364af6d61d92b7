"""Maps whose defect is known, at laws that a certificate may meet (Theory, chapter 6)."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from scipy.stats import ortho_group

from brenier.measures import AbstractMeasure, Gaussian, GaussianMixture

# From a generator and n: points (n, d).
Law = Callable[[np.random.Generator, int], np.ndarray]
Map = Callable[[np.ndarray], np.ndarray]

_ANGLE = 0.3
_TURN = np.array([[np.cos(_ANGLE), -np.sin(_ANGLE)], [np.sin(_ANGLE), np.cos(_ANGLE)]])
_MATRIX = np.array([[1.5, 0.8], [-0.3, 0.6]])
# Draws by which a defect on the line is known.
_MANY = 2_000_000


@dataclass(frozen=True)
class Case:
    """A law, a map, and its defect.

    Args:
        law: of the source.
        map: T.
        defect: D(T).
        n: rows of an audit.
        samples: audits.
        line: whether the law is one of a line through 0, in any dimension: there D of a core is
            known, too.
        source: what the audit is given instead of rows, where the source is known.
        declared: the arguments of what is declared beside it.
        of_map: whether the audit has the map, or pairs.
        false: whether what is declared is not true, to show what fails then.
    """

    law: Law
    map: Map
    defect: float
    n: int
    samples: int = 400
    line: bool = False
    source: AbstractMeasure | None = None
    declared: tuple[tuple[str, Any], ...] = ()
    of_map: bool = False
    false: bool = False


def _normal(random: np.random.Generator, n: int, d: int) -> np.ndarray:
    return random.normal(size=(n, d))


def _line(name: str, random: np.random.Generator, n: int) -> np.ndarray:
    draws = {
        "t3": lambda: random.standard_t(3, size=n),
        "lognormal 1": lambda: np.exp(random.normal(size=n)),
        "lognormal 3/2": lambda: np.exp(1.5 * random.normal(size=n)),
        "Pareto 3": lambda: 1.0 + random.pareto(3.0, size=n),
        "exponential": lambda: random.exponential(size=n),
        "uniform": lambda: random.random(n),
        "lattice": lambda: random.integers(-3, 4, size=n).astype(float),
        "normal": lambda: random.normal(size=n),
    }
    return draws[name]()[:, None]


def _reversed(x: np.ndarray) -> np.ndarray:
    return -x


def _cubed(x: np.ndarray) -> np.ndarray:
    return -(x**3)


def _wave(x: np.ndarray) -> np.ndarray:
    return x + 0.8 * np.sin(3.0 * x)


def _rare(mass: float, x: np.ndarray) -> np.ndarray:
    return np.where(x > 1.0 - mass, x - 0.8, x)


def _on_line(law: str, map: Map, n: int, **declared: Any) -> Case:
    """On the line D is known by quantiles: sorted against sorted."""
    x = _line(law, np.random.default_rng(1), _MANY)[:, 0]
    y = map(x)
    defect = float(np.mean((x - y) ** 2) - np.mean((np.sort(x) - np.sort(y)) ** 2))
    if map is _reversed and law == "t3":
        defect = 12.0  # 4 Var
    return Case(partial(_line, law), map, defect, n, line=True, declared=tuple(declared.items()))


def _rare_set(expected: float, n: int, **declared: Any) -> Case:
    """A set that so many of n rows fall into moves wrongly."""
    mass = expected / n
    # The points above 1 − m go .8 down: sorted, those between go m up.
    x = (np.arange(_MANY) + 0.5) / _MANY
    y = _rare(mass, x)
    defect = float(np.mean((x - y) ** 2) - np.mean((x - np.sort(y)) ** 2))
    map, said = partial(_rare, mass), tuple(declared.items())
    return Case(partial(_line, "uniform"), map, defect, n, line=True, declared=said)


def _reversed_unit(x: np.ndarray) -> np.ndarray:
    return 1.0 - x


def _laplace(random: np.random.Generator, n: int) -> np.ndarray:
    return random.laplace(size=(n, 10))


def _one_axis_turned(x: np.ndarray) -> np.ndarray:
    return np.concatenate([-x[:, :1], x[:, 1:]], axis=1)


def _exponentials(random: np.random.Generator, n: int) -> np.ndarray:
    return random.exponential(size=(n, 10))


def _three_in_turn(x: np.ndarray) -> np.ndarray:
    return np.concatenate([x[:, [1, 2, 0]], x[:, 3:]], axis=1)


def _student_ball(random: np.random.Generator, n: int) -> np.ndarray:
    """Multivariate Student with five degrees: spherical, of heavy tails, E x_i² = 5/3."""
    return random.normal(size=(n, 5)) / np.sqrt(random.chisquare(5, size=(n, 1)) / 5.0)


def _false(case: Case) -> Case:
    """The same case, what it declares being untrue."""
    return replace(case, false=True)


def _one_mode() -> GaussianMixture:
    """N(0, I) as a mixture: its density is known, and no symmetry of it."""
    return GaussianMixture(np.ones(1), np.zeros((1, 2)), np.eye(2)[None])


def _two_atoms(random: np.random.Generator, n: int, d: int) -> np.ndarray:
    return np.where(random.random(n) < 0.45, 1.0, -1.0)[:, None] * np.ones(d) / np.sqrt(d)


def _rotated(x: np.ndarray) -> np.ndarray:
    y = x.copy()
    y[:, :2] = x[:, :2] @ _TURN.T
    return y


def _times(matrix: np.ndarray, shift: float, x: np.ndarray) -> np.ndarray:
    return x @ matrix.T + shift


def _bent(turn: np.ndarray, x: np.ndarray) -> np.ndarray:
    y = x @ turn.T
    return y + 0.5 * np.tanh(2.0 * y)


def family(d: int, share: float) -> tuple[Map, float]:
    """x + ½tanh 2x after a turn in d/2 planes in general position, and D, so much of W₂².

    Of N(0, I). Theory, section 6.6.
    """
    z = np.random.default_rng(1).normal(size=_MANY)
    moved = 0.25 * np.mean(np.tanh(2.0 * z) ** 2)
    both = 2.0 * np.mean(z * (z + 0.5 * np.tanh(2.0 * z)))
    cosine = 1.0 - share * moved / both
    sine = np.sqrt(1.0 - cosine**2)
    planes = np.kron(np.eye(d // 2), np.array([[cosine, -sine], [sine, cosine]]))
    frame = ortho_group.rvs(d, random_state=0)
    return partial(_bent, frame @ planes @ frame.T), float(share * moved * d)


def _family(d: int, share: float, n: int, samples: int, *, of_map: bool = True) -> Case:
    map, defect = family(d, share)
    case = Case(partial(_normal, d=d), map, defect, n, samples, of_map=of_map)
    law = Gaussian.standard(d)
    return replace(case, source=law) if of_map else replace(case, declared=(("law", law),))


def _plane_in_space(random: np.random.Generator, n: int) -> np.ndarray:
    """Points of a plane in ten dimensions."""
    frame = ortho_group.rvs(10, random_state=1)[:2]
    return random.normal(size=(n, 2)) @ frame


def _turn_in_plane(x: np.ndarray) -> np.ndarray:
    frame = ortho_group.rvs(10, random_state=1)[:2]
    return x @ frame.T @ _TURN.T @ frame


def _coin_and_lognormal(random: np.random.Generator, n: int) -> np.ndarray:
    """One column is stretched, a coin is flipped."""
    return np.stack([np.exp(random.normal(size=n)), random.choice([-1.0, 1.0], size=n)], axis=1)


def _stretch_and_flip(x: np.ndarray) -> np.ndarray:
    return x * np.array([3.0, -1.0])


def _linear() -> Case:
    image = _MATRIX @ _MATRIX.T
    values = np.linalg.eigvalsh(image)
    defect = float(2.0 * (np.sqrt(values).sum() - np.trace(_MATRIX)))
    return Case(partial(_normal, d=2), partial(_times, _MATRIX, 0.0), defect, 1000)


_TURNED = 4.0 * (1.0 - np.cos(_ANGLE))
CASES: dict[str, Callable[[], Case]] = {
    "identity": lambda: Case(partial(_normal, d=2), partial(_times, np.eye(2), 0.0), 0.0, 1000),
    "translation": lambda: Case(partial(_normal, d=2), partial(_times, np.eye(2), 9.0), 0.0, 1000),
    "symmetric": lambda: Case(
        partial(_normal, d=2), partial(_times, _MATRIX @ _MATRIX.T, 0.0), 0.0, 1000
    ),
    "two atoms, d = 50, n = 40": lambda: Case(
        partial(_two_atoms, d=50), _reversed, 3.6, 40, line=True
    ),
    "two atoms, d = 50, n = 100": lambda: Case(
        partial(_two_atoms, d=50), _reversed, 3.6, 100, line=True
    ),
    "rare set, once in three samples": lambda: _rare_set(0.3, 300),
    "rare set, about once a sample": lambda: _rare_set(0.9, 300),
    "rare set, about three rows": lambda: _rare_set(3.0, 300),
    "t3 reversed": lambda: _on_line("t3", _reversed, 300),
    "lognormal 1 reversed": lambda: _on_line("lognormal 1", _reversed, 300),
    "lognormal 3/2 reversed": lambda: _on_line("lognormal 3/2", _reversed, 300),
    "Pareto 3 reversed": lambda: _on_line("Pareto 3", _reversed, 300),
    "exponential reversed": lambda: _on_line("exponential", _reversed, 300),
    "exponential, a wave": lambda: _on_line("exponential", _wave, 300),
    "normal, -x³": lambda: _on_line("normal", _cubed, 300),
    "lattice reversed (ties)": lambda: _on_line("lattice", _reversed, 200),
    "normal reversed, n = 20": lambda: _on_line("normal", _reversed, 20),
    "rotation, n = 600": lambda: Case(partial(_normal, d=2), _rotated, _TURNED, 600, 200),
    "rotation, n = 2000": lambda: Case(partial(_normal, d=2), _rotated, _TURNED, 2000, 60),
    "linear": _linear,
    "rotation in a plane of ten": lambda: Case(_plane_in_space, _turn_in_plane, _TURNED, 1000, 60),
    "lognormal stretched, coin flipped": lambda: Case(
        _coin_and_lognormal, _stretch_and_flip, 4.0, 600, 200
    ),
    "reversed and shifted, d = 50": lambda: Case(
        partial(_normal, d=50), partial(_times, -np.eye(50), 10.0), 200.0, 1000, 60
    ),
    "signs declared, d = 10": lambda: Case(
        _laplace, _one_axis_turned, 8.0, 600, 100, declared=(("symmetry", "signs"),), of_map=True
    ),
    "exchangeable declared, d = 10": lambda: Case(
        _exponentials,
        _three_in_turn,
        6.0,
        600,
        100,
        declared=(("symmetry", "exchangeable"),),
        of_map=True,
    ),
    "Student ball, spherical declared": lambda: Case(
        _student_ball,
        _rotated,
        _TURNED * 5.0 / 3.0,
        600,
        100,
        declared=(("symmetry", "spherical"),),
        of_map=True,
    ),
    "rotation, a density declared": lambda: Case(
        partial(_normal, d=2), _rotated, _TURNED, 600, 100, source=_one_mode(), of_map=True
    ),
    "uniform reversed, box declared": lambda: _on_line("uniform", _reversed_unit, 300, box=(0, 1)),
    "rare set, once in three samples, box declared": lambda: _rare_set(0.3, 300, box=(0, 1)),
    "rare set, about three rows, box declared": lambda: _rare_set(3.0, 300, box=(0, 1)),
    "exponential reversed, κ = 12 declared": lambda: _on_line(
        "exponential", _reversed, 2000, kurtosis=12.0
    ),
    "normal, -x³, κ = 40 declared": lambda: _on_line("normal", _cubed, 2000, kurtosis=40.0),
    "lognormal 3/2 reversed, κ = 12 (untrue)": lambda: _false(
        _on_line("lognormal 3/2", _reversed, 2000, kurtosis=12.0)
    ),
    "rare set, κ = 12 (untrue)": lambda: _false(_rare_set(0.3, 300, kurtosis=12.0)),
    "family, d = 10, D = 0": lambda: _family(10, 0.0, 1000, 100, of_map=False),
    "family, d = 10, D = 5 %, pairs": lambda: _family(10, 0.05, 1000, 100, of_map=False),
    "family, d = 10, D = 5 %": lambda: _family(10, 0.05, 1000, 100),
    "family, d = 10, D = 50 %": lambda: _family(10, 0.5, 1000, 100),
    "family, d = 50, D = 5 %": lambda: _family(50, 0.05, 2000, 60),
    "family, d = 50, D = 50 %": lambda: _family(50, 0.5, 2000, 60),
    "family, d = 784, D = 0": lambda: _family(784, 0.0, 1000, 20, of_map=False),
    "family, d = 784, D = 5 %": lambda: _family(784, 0.05, 1000, 20),
}
