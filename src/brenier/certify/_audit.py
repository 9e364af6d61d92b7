"""The audit: runs all bounds, witnesses and tests on one map, and gathers a certificate."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from brenier._checks import as_key, check_points
from brenier._progress import ProgressCallback
from brenier._row_checks import FEWEST
from brenier._types import Key
from brenier.certify._black_box import BlackBox
from brenier.certify._certificate import Certificate
from brenier.certify._compiling import compiling
from brenier.certify._core import Split
from brenier.certify._declared import Declared
from brenier.certify._gathered import gathered
from brenier.certify._orbits import Orbits, density_rings, symmetric_orbits
from brenier.certify._other_frameworks import check_order
from brenier.certify._rows import (
    check_spread,
    labels_of,
    one_of_each,
    opened,
    points_of,
    precision_of,
    warn_of_copies,
    warn_of_outliers,
)
from brenier.certify._settings import Seen, Settings
from brenier.certify._target_tests import relative_entropy
from brenier.certify._weights import (
    Shares,
    drawn_rows,
    kept_labels,
    named_weights,
    shares_of,
    weighed,
)
from brenier.certify._witnesses import asymmetry_at, ring_test
from brenier.maps import AffineMap, EntropicGrowth, GradientMap
from brenier.measures import AbstractMeasure, Empirical
from brenier.numerics import numpy_generator, random_order


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
    source_weights: Any = None,
    target_weights: Any = None,
    growth: EntropicGrowth | None = None,
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
        source_weights: of source points (n,), non-negative, or the name of the column of a data
            frame that holds them, which is then no coordinate: μ is the law in which a row counts
            by its weight. Rows of weight 0 are dropped, and equal weights are as none. Of others no
            level is exact: the largest weight is read off the rows, and a law may have a larger
            one, that no row shows. ``certificate.weighting`` says what becomes of each level, and
            how many rows of equal weight these are worth. Whole weights give the estimates of
            repeated rows, and not their levels, as these are no independent draws.
        target_weights: of target points (m,), likewise.
        growth: of an unbalanced map (``est.growth_``, ``io.load_growth``): points of both sides
            count by it, and by their weights where they have any.
        groups: for source points, a label of each (n,): rows of one label belong together (frames
            of one film, cells of one donor) and count as one draw. One of each, at random, is
            audited, with its weight: levels hold for independent rows, and rows that are copies of
            each other with no label are counted (``how["copies"]``), and told of where many.
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

    Theory (5.5) to (5.9), (6.1) to (6.19).
    """
    key = as_key("key", key)
    settings = Settings(key, level, tolerance, samples, budget, callback).checked()
    source, source_weights = named_weights("source_weights", "source", source, source_weights)
    target, target_weights = named_weights("target_weights", "target", target, target_weights)
    check_order(map, source)
    rows_alone = isinstance(source, Empirical)
    if law is not None and isinstance(source, AbstractMeasure) and not rows_alone:
        raise ValueError("law: got one beside a measure, which is its own; wants one of the two.")
    keys = jax.random.split(key, 4)
    settings.tell("the map at points of the source")
    source = opened("source", source)
    target, names = opened("target", target, source), labels_of(source)
    source, groups, shares = weighed("source", source, source_weights, groups, growth)
    target, target_shares = _target(target, target_weights, growth)
    for name, given in (("source", source), ("target", target)):
        if given is not None:
            warn_of_outliers(name, given)
    if shares is None:
        source = one_of_each(groups, source, jax.random.fold_in(key, 2))
        x = points_of("source", source, keys[0], samples, min_points=FEWEST)
    else:
        both = (jax.random.fold_in(key, 2), keys[0])
        x, shares = drawn_rows(source, shares, groups, both, samples)
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
            x, tx, jax.random.fold_in(key, 3), drawn=drawn, precision=asked.precision, shares=shares
        )
        settings.tell("derivatives of the map")
        by_weight = numpy_generator(jax.random.fold_in(key, 4))
        seen_at = x if shares is None else x[shares.copies(len(x), by_weight)]
        asymmetry = asymmetry_at(asked, seen_at)
        # An asymmetry within the error of the differences gives no plane to lay a ring in.
        turns = asymmetry.visible or asymmetry.negative_share > 0
        ring = ring_test(asked, x, asymmetry) if turns else None
        entropy = (float("nan"), float("nan"))
        if isinstance(source, AbstractMeasure) and isinstance(target, AbstractMeasure):
            entropy = relative_entropy(asked, x, tx, source, target)
        true = None if truth is None else BlackBox(truth, name="truth")(x)
        optimal, orbits = _is_gradient(map), list[Orbits]()
        if not optimal:
            settings.tell("orbits of the declared source")
            orbits = _orbits(asked, x, tx, declared, jax.random.fold_in(key, 1), shares, by_weight)
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
        shares,
    )
    return gathered(
        x, tx, true, target, [*keys[1:]], settings, seen, declared, target_shares=target_shares
    )


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
    source_weights: Any = None,
    target_weights: Any = None,
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
        source_weights, target_weights: of the pairs (n,) and the target's points, as for ``audit``;
            a name is of a column of ``x``, and of ``target``.
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
    x, source_weights = named_weights("source_weights", "x", x, source_weights)
    target, target_weights = named_weights("target_weights", "target", target, target_weights)
    x = opened("x", x)
    tx, target = opened("tx", tx, x), opened("target", target, x)
    first = check_points("x", x, min_points=FEWEST).astype(np.float64)
    second = check_points("tx", tx, dimension=first.shape[1]).astype(np.float64)
    if len(first) != len(second):
        raise ValueError(f"tx: got {len(second)} images of {len(first)} points; wants one each.")
    true = None
    if truth is not None:
        true = check_points("truth", truth, dimension=first.shape[1]).astype(np.float64)
        if len(true) != len(first):
            raise ValueError(
                f"truth: got {len(true)} images of {len(first)} points; wants one for each."
            )
    names, precision, shares = labels_of(x), max(precision_of(x), precision_of(tx)), None
    if source_weights is not None:
        kept, shares = shares_of("source_weights", source_weights, len(first))
        groups = kept_labels(groups, kept, len(first))
        first, second, true = first[kept], second[kept], None if true is None else true[kept]
        x, tx = first, second
    target, target_shares = _target(target, target_weights)
    for name, given in (("x", x), ("tx", tx), ("target", target)):
        if given is not None:
            warn_of_outliers(name, given)
    keys = jax.random.split(key, 4)
    rows = one_of_each(groups, np.arange(len(first)), jax.random.fold_in(key, 2))
    warn_of_copies("x", first[rows])
    rows = rows[random_order(keys[0], len(rows))[:samples]]
    first, second, true = first[rows], second[rows], None if true is None else true[rows]
    shares = None if shares is None else shares.of(rows)
    check_spread("x", first)
    declared = Declared.checked(
        first.shape[1], law=law, symmetry=symmetry, box=box, kurtosis=kurtosis
    ).upheld(
        first, second, jax.random.fold_in(key, 3), drawn=False, precision=precision, shares=shares
    )
    seen = Seen("pairs", precision=precision, names=names, shares=shares)
    return gathered(
        first,
        second,
        true,
        target,
        [*keys[1:]],
        settings,
        seen,
        declared,
        target_shares=target_shares,
    )


def _target(
    target: Any, weights: Any, growth: EntropicGrowth | None = None
) -> tuple[Any, Shares | None]:
    """The points of the target of positive weight, and their shares."""
    if weights is not None and target is None:
        raise ValueError("target_weights: got weights without a target; wants its points too.")
    if target is None:
        return None, None
    points, _, shares = weighed("target", target, weights, growth=growth)
    return points, shares


def _orbits(
    map: BlackBox,
    x: np.ndarray,
    tx: np.ndarray,
    declared: Declared,
    key: Key,
    shares: Shares | None,
    random: np.random.Generator,
) -> list[Orbits]:
    """What a declared source makes of few points. Of a symmetry alone they go through rows."""
    split = Split.of(len(x))
    evaluated = x[split.evaluated]
    if shares is not None:
        rows = shares.drawn_again([slice(split.pilot.stop)], random)
        x, tx = x[rows], tx[rows]
        evaluated = evaluated[shares.of(split.evaluated).accepted(random)]
        if declared.law is None and not len(evaluated):
            return []
    pilot: tuple[np.ndarray, np.ndarray] = (x, tx)
    starts: AbstractMeasure | np.ndarray = x if declared.law is None else declared.law
    if declared.law is None:
        pilot = (x[: split.pilot.stop], tx[: split.pilot.stop])
        starts = evaluated
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
