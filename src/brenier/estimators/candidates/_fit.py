"""From two clouds to one convex potential: what is asked for, or the best of the candidates."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import jax
import numpy as np

from brenier._progress import ProgressCallback
from brenier._solution import Result
from brenier._types import Key
from brenier.estimators.candidates._choice import Choice, Chooser
from brenier.estimators.candidates._defaults import (
    BEGUN,
    MANY,
    PATIENT,
    QUICK,
    WORTH_BOTH,
    checked_names,
    default_method,
    fold_counts,
    host_kinds,
    wants_network,
)
from brenier.estimators.candidates._effort import Effort
from brenier.estimators.candidates._kinds import AbstractKind, ReversedKind
from brenier.estimators.candidates._record import Record
from brenier.estimators.candidates._table import REVERSED, CandidateRow, CandidateTable
from brenier.estimators.candidates._trial import Fold, cut_folds
from brenier.estimators.data import Pair, StandardData
from brenier.numerics import Coordinates
from brenier.potentials import Quadratic

if TYPE_CHECKING:
    from brenier.estimators.candidates._network import Network
    from brenier.flows import AbstractMethod


@dataclass(frozen=True)
class Request:
    """What a user asks of a fit.

    Args:
        method: the one method to train a network by, and nothing else; None to choose.
        effort: how much may be tried.
        names: the kinds to choose from; None for all that are worth it.
        widths, pieces: of the network.
        checkpoint: the folder where what was tried is kept until the fit is done; None for nowhere.
    """

    method: "AbstractMethod | None"
    effort: Effort
    names: tuple[str, ...] | None
    widths: tuple[int, ...] | None
    pieces: int | None
    checkpoint: str | os.PathLike[str] | None = None

    @classmethod
    def of(
        cls,
        method: "AbstractMethod | None",
        effort: str | int | float,
        names: Sequence[str] | None,
        widths: tuple[int, ...] | None,
        pieces: int | None,
        checkpoint: str | os.PathLike[str] | None,
    ) -> "Request":
        """What the settings of an estimator ask for.

        Raises:
            ValueError: a setting that is not what it should be.
        """
        if method is not None:
            from brenier.flows import check_method

            check_method(method, "flows.SemiDual()")
        names = checked_names(names)
        return cls(method, Effort.of(effort), names, widths, pieces, checkpoint)


def fit_pair(
    pair: Pair,
    coordinates: Coordinates,
    request: Request,
    *,
    keys: Sequence[Key],
    seed: int,
    callback: ProgressCallback,
) -> Choice:
    """The potential in standard coordinates.

    Args:
        pair: the clouds.
        coordinates: in which their Gaussian map is the identity.
        request: what is asked for.
        keys: of the points held out on both sides, of a network's start and of its training.
        seed: of the folds and of the starts of what is fitted on the host.
        callback: of progress.
    """
    flowing = pair.has_density and request.names is None
    if request.method is not None or (flowing and request.effort.name in ("auto", "best")):
        return _trained(pair, coordinates, request, keys=keys, callback=callback)
    count, parts = fold_counts(pair.size)
    if not count:
        return _affine(pair)
    own, random = coordinates.on_host(), np.random.default_rng(seed)
    if not np.linalg.cond(own.matrix) < 1.0 / np.finfo(np.float64).eps:
        raise ValueError(
            "X: got spreads that differ from those of Y by more than float64 can hold beside each "
            "other; wants columns of similar units in both, and rows far outside of all others "
            'taken out (outliers="drop").'
        )
    x, y = (side.points.astype(np.float64) for side in (pair.source, pair.target))
    sound = pair.source.sound, pair.target.sound
    weights = pair.source.weights, pair.target.weights
    standard = None
    if pair.size > MANY:
        standard = StandardData.of(pair, coordinates, np.float32, keys=(keys[0], keys[1]))
        u, v, u_held, v_held = (
            np.asarray(points, np.float64)
            for points in (standard.u, standard.v, standard.u_held, standard.v_held)
        )
        folds = [Fold(u, v, u_held, v_held, own, standard.weights, standard.held_weights)]
    else:
        folds = cut_folds(x, y, own, random, count=count, parts=parts, sound=sound, weights=weights)
    record = None
    if request.checkpoint is not None:
        settings = (seed, pair.size, request.names, request.widths, request.pieces)
        given = [side for side in weights if side is not None]
        record = Record.opened(request.checkpoint, x, y, *sound, *given, settings)
    kinds = kinds_to_try(
        own,
        request,
        pair.learnable,
        keys=keys[2:],
        callback=callback,
        standard=standard,
        record=record,
    )
    u, v = own.encode_source(x), own.encode_target(y)
    whole = Fold(u, v, u, v, own, weights, weights)
    chooser = Chooser(folds, whole, random, callback, record)
    return chooser.choose(kinds, request.effort)


def kinds_to_try(
    coordinates: Coordinates,
    request: Request,
    points: int,
    *,
    keys: Sequence[Key],
    callback: ProgressCallback,
    also: Sequence[AbstractKind] = (),
    both_ways: bool = True,
    standard: StandardData | None = None,
    record: Record | None = None,
) -> list[AbstractKind]:
    """The kinds worth a trial for so many points a side, the dearest last.

    Args:
        coordinates: of all points.
        request: what is asked for.
        points: to learn from, of the smaller side.
        keys: of a network's start and of its training.
        callback: of a network's progress.
        also: kinds that are tried before a network.
        both_ways: whether maps of the way back may be tried too.
        standard: the data, where they are many and the one fold is of them.
        record: where a network's training is kept.
    """
    both_ways = both_ways and request.effort.name in PATIENT
    kinds = [*host_kinds(coordinates, request.names, both_ways), *also]
    if wants_network(request.effort, request.names, points):
        if request.names is None and request.effort.name == "seconds" and points > MANY:
            # What takes minutes for so many points, and is no better than a network that has them.
            kinds = [kind for kind in kinds if isinstance(kind, QUICK)]
        both = both_ways and request.effort.left > WORTH_BOTH
        own = (coordinates, request, points, keys, callback, standard, record)
        kinds.append(_network_kind(*own, both_ways=both))
    return kinds


def _network_kind(
    coordinates: Coordinates,
    request: Request,
    points: int,
    keys: Sequence[Key],
    callback: ProgressCallback,
    standard: StandardData | None,
    record: Record | None,
    *,
    both_ways: bool,
) -> AbstractKind:
    """A network of the map; or, both ways, of the map or its inverse."""
    from brenier.estimators.candidates._nearer import NearerKind
    from brenier.estimators.candidates._network import NetworkKind

    def kind(reverse: bool = False, share: float = 1.0, steps: int | None = None) -> AbstractKind:
        own, data, (start, training) = coordinates, standard, keys
        if reverse:
            own = coordinates.reversed().on_host()
            data = None if standard is None else standard.reversed()
            start, training = (jax.random.fold_in(key, 1) for key in keys)
        effort = request.effort
        method = default_method(False, points, own.dimension, effort, share)
        if steps is not None:
            method, effort = replace(method, steps=steps), Effort("auto")
        network = _network(method, own.dimension, points, request, start)
        way = ("back" if reverse else "there") + ("" if share == 1.0 else "-begun")
        fit = NetworkKind(network, own, training, callback, effort, data, record, way, share)
        return ReversedKind(fit, fit.name + REVERSED) if reverse else fit

    if not both_ways:
        return kind()

    def begun(reverse: bool, steps: int | None) -> AbstractKind:
        return kind(reverse, BEGUN, steps)

    return NearerKind(NetworkKind.name, begun, (kind(), kind(reverse=True)))


def _trained(
    pair: Pair,
    coordinates: Coordinates,
    request: Request,
    *,
    keys: Sequence[Key],
    callback: ProgressCallback,
) -> Choice:
    """A network by one method, compared with nothing."""
    method = request.method or default_method(
        pair.has_density, pair.learnable, pair.dimension, request.effort
    )
    network = _network(method, pair.dimension, pair.learnable, request, keys[2])
    data = StandardData.of(pair, coordinates, network.precision, keys=(keys[0], keys[1]))
    fit = network.fit(data, key=keys[3], callback=callback)
    dual, seconds = (float(fit.stats.get(name, np.nan)) for name in ("best_metric", "seconds"))
    row = CandidateRow("network", {"method": type(method).__name__}, dual, 0.0, seconds, True)
    return Choice(fit.potential, CandidateTable((row,)), fit.result, fit.stats)


def _network(
    method: "AbstractMethod", dimension: int, points: int, request: Request, key: Key
) -> "Network":
    from brenier.estimators.candidates._network import Network

    return Network.near_identity(
        method, dimension, points, widths=request.widths, pieces=request.pieces, key=key
    )


def _affine(pair: Pair) -> Choice:
    """The Gaussian map, where there are too few points to hold any out."""
    row = CandidateRow("gaussian", {}, np.nan, np.nan, 0.0, True)
    potential = Quadratic.identity(pair.dimension)
    return Choice(potential, CandidateTable((row,)), Result.successful, {"kind": "gaussian"})
