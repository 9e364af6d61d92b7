"""The audit: runs all bounds, witnesses and tests on one map, and gathers a certificate."""

import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from brenier._checks import as_key, check_points
from brenier._progress import ProgressCallback
from brenier._types import Key
from brenier._version import __version__
from brenier.certify._black_box import BlackBox
from brenier.certify._certificate import Certificate, Cost, Truth
from brenier.certify._compiling import compiling
from brenier.certify._core import Split
from brenier.certify._declared import Declared
from brenier.certify._defect import defect_bounds
from brenier.certify._orbits import Orbits, density_rings, symmetric_orbits
from brenier.certify._other_frameworks import check_order
from brenier.certify._rows import (
    FEWEST,
    check_spread,
    labels_of,
    one_of_each,
    points_of,
    precision_of,
    warn_of_copies,
    warn_of_outliers,
)
from brenier.certify._settings import Seen, Settings
from brenier.certify._target_tests import relative_entropy, target_tests
from brenier.certify._verdict import verdict
from brenier.certify._witnesses import asymmetry_at, monotonicity, ring_test
from brenier.maps import AffineMap, GradientMap
from brenier.measures import AbstractMeasure, Empirical
from brenier.numerics import cosine_similarity, l2_uvp, numpy_generator, random_order

# Points that a certificate keeps for pictures.
_PICTURED = 2000


# What overflows is infinite, and says so itself.
@np.errstate(over="ignore")
def audit(
    map: Callable[[np.ndarray], Any],
    source: Any,
    target: Any = None,
    *,
    key: Key | None = None,
    level: float = 0.95,
    tolerance: float = 0.01,
    samples: int = 20_000,
    budget: float = 20.0,
    truth: Callable[[np.ndarray], Any] | None = None,
    jacobian: Callable[[np.ndarray], Any] | None = None,
    groups: Any = None,
    law: Any = None,
    symmetry: Any = None,
    box: Any = None,
    kurtosis: Any = None,
    callback: ProgressCallback | None = None,
) -> Certificate:
    """Certify how far any map is from optimal, and test whether it reaches its target.

    The defect D(T) = E‖X − T(X)‖² − W₂²(μ, T#μ) ≥ 0 is bounded from below by cheaper permutations
    of batches of pairs (x, T(x)), and from above, outside a set of stated mass, by the
    Fenchel-Young gap of a convex potential; both at a level that holds at every law of independent
    rows and any number of them. Beside the bounds stand witnesses against optimality: sampled
    points that would rather pass their images on, where DT is not symmetric, and rings of points.
    Runs in float64.

    Not for pairs without a map (``audit_pairs``), nor for costs other than ‖x − y‖².

    Args:
        map: (n, d) → (n, d): a brenier map, a ``torch.nn.Module``, or any function of NumPy arrays,
            whatever array it returns (of tensors, give ``lambda x: map(torch.as_tensor(x))``; of
            one point, ``jax.vmap(map)``).
        source: μ: a measure of brenier, or fresh points (n, d) that the map was not fitted on.
        target: ν: a measure or points (m, d), fresh too: a map may have learned those that it was
            fitted to reach; None to ask about optimality only.
        key: of all random choices; ``jax.random.key(0)`` where None.
        level: the confidence of every interval.
        tolerance: p; the map is called optimal where its defect is below p W₂² of the clouds after
            the best shift, but for a set of mass at most 1 %.
        samples: how many points are drawn from a measure, and at most used of an array.
        budget: about how many seconds the audit may take, compilations and the map's own time
            apart: more make the bounds closer. It is turned into counts of work before the start,
            so that equal arguments give equal certificates.
        truth: the Monge map T* to compare with, where it is known.
        jacobian: (n, d) → (n, d, d), the derivative DT of a map from elsewhere, where it is known;
            maps of brenier have their own.
        groups: for source points, a label of each (n,): rows of one label belong together (frames
            of one film, cells of one donor) and count as one draw. One of each, at random, is
            audited: levels hold for independent rows, and rows that are copies of each other with
            no label are only counted (``how["copies"]``).
        law: μ, where points are given and their law is known (a source given as a measure declares
            itself): for bounds from below that need no new rows. Compared with the rows.
        symmetry: of μ: "exchangeable", "signs" or "spherical" (about 0), or one of
            ``certify.Elliptical``, ``certify.Exchangeable``, ``certify.SignChanges``. Compared with
            the rows.
        box: (low, high), numbers or (d,): all points *and* images lie between, whatever is drawn;
            for an upper bound of the whole map.
        kurtosis: κ > 1 with E G² ≤ κ (E G)² for the gap G of whatever potential is chosen (3 for a
            χ² with one degree, 12 for the fourth power of a normal): for an upper bound of the
            whole map. It cannot be checked, and gives no verdict.
        callback: told a ``Progress`` at every stage, and while the map is evaluated.

    Raises:
        ValueError: bad arguments; rows that are all equal; a map that changes the shape, gives NaN,
            is not deterministic, hangs on the batch, or raises an error of its own.

    Warns:
        UserWarning: evaluations of the map that will take more than five minutes; more than a tenth
            of the rows that are exact copies of others; rows grossly
            outside of all others, which widen the bounds (the potentials are fitted to the moments
            of the rest; all rows are judged).

    >>> import jax, numpy as np
    >>> from brenier.measures import Gaussian
    >>> turn = np.array([[0.0, -1.0], [1.0, 0.0]])
    >>> certificate = audit(lambda x: x @ turn.T, Gaussian.standard(2), key=jax.random.key(0),
    ...                     samples=1000, budget=1.0)
    >>> certificate.verdict.optimality
    'not optimal'
    >>> certificate.defect.lower < 4.0 < certificate.defect.upper
    True

    Theory (5.5) to (5.9), (6.1) to (6.18).
    """
    key = as_key("key", key)
    settings = Settings(key, level, tolerance, samples, budget, callback).checked()
    check_order(map, source)
    rows_alone = isinstance(source, Empirical)
    if law is not None and isinstance(source, AbstractMeasure) and not rows_alone:
        raise ValueError("law: got one beside a measure, which is its own; wants one of the two.")
    keys = jax.random.split(key, 4)
    settings.tell("the map at points of the source")
    names = labels_of(source)
    for name, given in (("source", source), ("target", target)):
        if given is not None:
            warn_of_outliers(name, given)
    source = one_of_each(groups, source, jax.random.fold_in(key, 2))
    x = points_of("source", source, keys[0], samples, min_points=FEWEST)
    check_spread("source", x)
    drawn = isinstance(source, AbstractMeasure) and not rows_alone
    if not isinstance(source, AbstractMeasure):
        warn_of_copies("source", x)
    declared = Declared.checked(
        x.shape[1], law=source if drawn else law, symmetry=symmetry, box=box, kurtosis=kurtosis
    )
    asked = BlackBox(map, jacobian, callback=callback)
    with compiling() as compiled:
        tx = asked.checked(x)
        declared = declared.upheld(
            x, tx, jax.random.fold_in(key, 3), drawn=drawn, precision=asked.precision
        )
        settings.tell("derivatives of the map")
        asymmetry = asymmetry_at(asked, x)
        # An asymmetry within the error of the differences gives no plane to lay a ring in.
        visible = asymmetry.max > 4.0 * max(asymmetry.error, asked.precision)
        ring = ring_test(asked, x, asymmetry) if visible or asymmetry.negative_share > 0 else None
        entropy = (float("nan"), float("nan"))
        if isinstance(source, AbstractMeasure) and isinstance(target, AbstractMeasure):
            entropy = relative_entropy(asked, x, tx, source, target)
        true = None if truth is None else BlackBox(truth, name="truth")(x)
        optimal, orbits = _is_gradient(map), list[Orbits]()
        if not optimal:
            settings.tell("orbits of the declared source")
            orbits = _orbits(asked, x, tx, declared, jax.random.fold_in(key, 1))
    seen = Seen(
        type(map).__name__,
        optimal,
        asked.precision,
        asymmetry,
        ring,
        entropy,
        orbits,
        compiled.seconds,
        names,
    )
    return _certificate(x, tx, true, target, [*keys[1:]], settings, seen, declared)


# What overflows is infinite, and says so itself.
@np.errstate(over="ignore")
def audit_pairs(
    x: Any,
    tx: Any,
    target: Any = None,
    *,
    key: Key | None = None,
    level: float = 0.95,
    tolerance: float = 0.01,
    samples: int = 20_000,
    budget: float = 20.0,
    truth: Any = None,
    groups: Any = None,
    law: Any = None,
    symmetry: Any = None,
    box: Any = None,
    kurtosis: Any = None,
    callback: ProgressCallback | None = None,
) -> Certificate:
    """``audit`` where only pairs (x_i, T(x_i)) exist: no derivatives, so no asymmetry and no ring.

    Args:
        x: points (n, d), independent draws of the source.
        tx: their images (n, d), row by row.
        target: as for ``audit``.
        key: of all random choices; ``jax.random.key(0)`` where None.
        level, tolerance, samples, budget: as for ``audit``.
        truth: the images T*(x_i) under the Monge map, where known.
        groups: as for ``audit``.
        law, symmetry: of the source, as for ``audit``: what they show of pairs alone is
            asymptotic.
        box, kurtosis, callback: as for ``audit``.

    Raises:
        ValueError: bad arguments, or arrays whose rows do not match.

    >>> import numpy as np
    >>> x = np.random.default_rng(0).normal(size=(1000, 2))
    >>> audit_pairs(x, 2.0 * x + 1.0, budget=0.1).verdict.optimality
    'optimal'
    """
    key = as_key("key", key)
    settings = Settings(key, level, tolerance, samples, budget, callback).checked()
    first = check_points("x", x, min_points=FEWEST).astype(np.float64)
    second = check_points("tx", tx, dimension=first.shape[1]).astype(np.float64)
    if len(first) != len(second):
        raise ValueError(f"tx: got {len(second)} images of {len(first)} points; wants one each.")
    for name, given in (("x", x), ("tx", tx), ("target", target)):
        if given is not None:
            warn_of_outliers(name, given)
    keys = jax.random.split(key, 4)
    true = None
    if truth is not None:
        true = check_points("truth", truth, dimension=first.shape[1]).astype(np.float64)
        if len(true) != len(first):
            raise ValueError(
                f"truth: got {len(true)} images of {len(first)} points; wants one for each."
            )
    rows = one_of_each(groups, np.arange(len(first)), jax.random.fold_in(key, 2))
    warn_of_copies("x", first[rows])
    rows = rows[random_order(keys[0], len(rows))[:samples]]
    first, second, true = first[rows], second[rows], None if true is None else true[rows]
    check_spread("x", first)
    precision = max(precision_of(x), precision_of(tx))
    declared = Declared.checked(
        first.shape[1], law=law, symmetry=symmetry, box=box, kurtosis=kurtosis
    ).upheld(first, second, jax.random.fold_in(key, 3), drawn=False, precision=precision)
    seen = Seen("pairs", precision=precision, names=labels_of(x))
    return _certificate(first, second, true, target, [*keys[1:]], settings, seen, declared)


def _orbits(
    map: BlackBox, x: np.ndarray, tx: np.ndarray, declared: Declared, key: Key
) -> list[Orbits]:
    """What a declared source makes of few points. Of a symmetry alone they go through rows."""
    pilot: tuple[np.ndarray, np.ndarray] = (x, tx)
    starts: AbstractMeasure | np.ndarray = x if declared.law is None else declared.law
    if declared.law is None:
        split = Split.of(len(x))
        pilot = (x[: split.pilot.stop], tx[: split.pilot.stop])
        starts = x[split.evaluated]
    found: list[Orbits] = []
    for i, symmetry in enumerate(declared.symmetries):
        found += symmetric_orbits(map, symmetry, pilot, starts, jax.random.fold_in(key, i))
    # A symmetry of the law shows more than its density.
    if declared.law is not None and not declared.symmetries and declared.law.has_density:
        found += density_rings(map, declared.law, pilot, starts, key)
    return found


def _is_gradient(map: object) -> bool:
    """Whether a map is the gradient of a convex function by construction: D(T) = 0 then."""
    if isinstance(map, GradientMap):
        return True
    if not isinstance(map, AffineMap) or not bool(jnp.all(map.matrix == map.matrix.T)):
        return False
    return float(jnp.linalg.eigvalsh(map.matrix)[0]) > 0


def _certificate(
    x: np.ndarray,
    tx: np.ndarray,
    true: np.ndarray | None,
    target: Any,
    keys: Sequence[Key],
    settings: Settings,
    seen: Seen,
    declared: Declared,
) -> Certificate:
    with compiling() as compiled:
        random = numpy_generator(keys[0])
        y = (
            None
            if target is None
            else points_of("target", target, keys[1], settings.samples, dimension=x.shape[1])
        )
        squares = np.sum((x - tx) ** 2, axis=1)
        cost = Cost(float(squares.mean()), float(squares.std(ddof=1) / np.sqrt(len(x))))
        settings.tell("bounds of the defect")
        defect = defect_bounds(
            x,
            tx,
            keys[2],
            level=settings.level,
            tolerance=settings.tolerance,
            budget=settings.budget,
            optimal=seen.optimal,
            precision=seen.precision,
            orbits=seen.orbits,
            declared=declared,
        )
        pairs, swap = monotonicity(
            x,
            tx,
            defect.points_moved,
            settings.level,
            random,
            precision=seen.precision,
            seconds=settings.budget,
        )
        if defect.cycle is None and not seen.optimal:
            defect = replace(defect, cycle=swap)
        known = None if true is None else _truth(x, tx, true)
        tests = None
        if y is not None:
            settings.tell("tests of the target")
            tests = target_tests(
                tx,
                y,
                random,
                level=settings.level,
                seconds=settings.budget,
                kl=seen.entropy,
                target=target if isinstance(target, AbstractMeasure) else None,
            )
    return Certificate(
        cost=cost,
        defect=defect,
        asymmetry=seen.asymmetry,
        monotonicity=pairs,
        ring=seen.ring,
        pushforward=tests,
        truth=known,
        verdict=verdict(defect, tests, dimension=x.shape[1], tolerance=settings.tolerance),
        how=_how(seen, x, y, settings, declared),
        samples={
            "x": x[:_PICTURED],
            "tx": tx[:_PICTURED],
            **({} if y is None else {"y": y[:_PICTURED]}),
        },
        compiling=seen.compiled + compiled.seconds,
    )


def _truth(x: np.ndarray, tx: np.ndarray, true: np.ndarray) -> Truth:
    points, images, wanted = (jnp.asarray(cloud) for cloud in (x, tx, true))
    return Truth(float(l2_uvp(images, wanted)), float(cosine_similarity(points, images, wanted)))


def _how(
    seen: Seen, x: np.ndarray, y: np.ndarray | None, settings: Settings, declared: Declared
) -> dict[str, Any]:
    return {
        "map": seen.subject,
        "dimension": x.shape[1],
        "source_points": len(x),
        "target_points": None if y is None else len(y),
        "copies": len(x) - len(np.unique(x, axis=0)),
        "declared": list(declared.said),
        "key": np.asarray(jax.random.key_data(settings.key)).ravel().tolist(),
        "tolerance": settings.tolerance,
        "budget": settings.budget,
        "precision": seen.precision,
        "lower_bound": "exact assignments of random batches, averaged bets",
        "upper_bound": "Fenchel-Young gap of a convex potential on a core of the pairs that it was "
        "not fitted on, averaged bets",
        **({} if seen.names is None else {"names": seen.names}),
        "seconds": time.perf_counter() - settings.started,
        "versions": {
            "brenier": __version__,
            "jax": jax.__version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
    }
