"""All of a certificate, from pairs of points and what the map itself has shown."""

import math
import platform
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from brenier._checks import check_points
from brenier._types import Key
from brenier._version import __version__
from brenier.certify._certificate import Certificate, Cost, Truth
from brenier.certify._compiling import compiling
from brenier.certify._declared import Declared
from brenier.certify._defect import defect_bounds
from brenier.certify._rows import points_of
from brenier.certify._settings import Seen, Settings
from brenier.certify._target_tests import target_tests
from brenier.certify._verdict import verdict
from brenier.certify._weights import Shares, Weighting, drawn_rows
from brenier.certify._witnesses import monotonicity
from brenier.measures import AbstractMeasure
from brenier.numerics import cosine_similarity, l2_uvp, numpy_generator

# Points that a certificate keeps for pictures.
_PICTURED = 2000


def gathered(
    x: np.ndarray,
    tx: np.ndarray,
    true: np.ndarray | None,
    target: Any,
    keys: Sequence[Key],
    settings: Settings,
    seen: Seen,
    declared: Declared,
    *,
    target_shares: Shares | None = None,
) -> Certificate:
    """All bounds, witnesses and tests of pairs (n, d), (n, d), in random order."""
    shares = seen.shares
    by_weight = numpy_generator(jax.random.fold_in(keys[0], 1))
    with compiling() as compiled:
        random = numpy_generator(keys[0])
        y = None
        if target_shares is not None:
            check_points("target", target, dimension=x.shape[1])
            both = (keys[1], keys[1])  # the first is of labels, which a target has none of
            y, target_shares = drawn_rows(target, target_shares, None, both, settings.samples)
        elif target is not None:
            y = points_of("target", target, keys[1], settings.samples, dimension=x.shape[1])
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
            shares=shares,
        )
        few = slice(None) if shares is None else shares.accepted(by_weight)
        pairs, swap = monotonicity(
            x[few],
            tx[few],
            defect.points_moved,
            settings.level,
            random,
            precision=seen.precision,
            seconds=settings.budget,
        )
        if defect.cycle is None and not seen.optimal:
            defect = replace(defect, cycle=swap)
        known = None if true is None else _truth(x, tx, true, shares)
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
                shares=shares,
                target_shares=target_shares,
            )
    weighting = Weighting.of(
        shares,
        target_shares,
        optimal=seen.optimal,
        tested=None if tests is None else bool(tests.p_values()),
    )
    pictured = _pictured(x, shares, by_weight)
    found = Certificate(
        cost=_cost(x, tx, shares),
        defect=defect,
        asymmetry=seen.asymmetry,
        monotonicity=pairs,
        ring=seen.ring,
        pushforward=tests,
        truth=known,
        verdict=verdict(
            defect,
            tests,
            seen.asymmetry,
            stretch=float(np.sqrt(tx.var(axis=0).sum() / x.var(axis=0).sum())),
            dimension=x.shape[1],
            tolerance=settings.tolerance,
        ),
        how=_how(seen, x, y, settings, declared),
        weighting=weighting,
        samples={
            "x": x[pictured],
            "tx": tx[pictured],
            **({} if y is None else {"y": y[_pictured(y, target_shares, by_weight)]}),
        },
        compiling=seen.compiled + compiled.seconds,
    )
    return found if seen.names is None else found.with_names(seen.names)


def _cost(x: np.ndarray, tx: np.ndarray, shares: Shares | None) -> Cost:
    moved = x - tx
    unit = math.ldexp(1.0, math.frexp(np.abs(moved).max())[1])  # squares of squares overflow
    squares = np.sum((moved / unit) ** 2, axis=1)
    if shares is not None:
        mean, stderr = shares.mean(squares), shares.stderr(squares)
    else:
        mean, stderr = float(squares.mean()), float(squares.std(ddof=1) / np.sqrt(len(x)))
    return Cost(unit**2 * mean, unit**2 * stderr)


def _pictured(
    points: np.ndarray, shares: Shares | None, random: np.random.Generator
) -> np.ndarray | slice:
    """The rows that a certificate keeps for pictures: drawn by weight where they have weights."""
    if shares is None:
        return slice(_PICTURED)
    return shares.copies(min(len(points), _PICTURED), random)


def _truth(x: np.ndarray, tx: np.ndarray, true: np.ndarray, shares: Shares | None) -> Truth:
    points, images, wanted = (jnp.asarray(cloud) for cloud in (x, tx, true))
    weights = None if shares is None else jnp.asarray(shares.values)
    return Truth(
        float(l2_uvp(images, wanted, weights)),
        float(cosine_similarity(points, images, wanted, weights)),
    )


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
