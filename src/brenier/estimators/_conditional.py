"""The Monge map of every condition behind scikit-learn's interface."""

import os
from typing import Any

import jax
import numpy as np
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from brenier._progress import ProgressCallback
from brenier.estimators._fitted import fitted_points, framed
from brenier.estimators._progress_bar import watched
from brenier.estimators.candidates import Effort
from brenier.estimators.conditional import (
    Condition,
    ConditionalCertificate,
    ConditionalTable,
    ConditionPair,
    Told,
    audit_conditions,
    condition_pairs,
    fit_conditions,
    grouped_rows,
    read_condition,
)
from brenier.estimators.data import (
    Layout,
    drawn_seed,
    given_weights,
    keep_columns,
    kept_columns,
    one_of,
)
from brenier.maps import ConditionalMap, GradientMap, SubspaceMap
from brenier.numerics import row_count, row_mean
from brenier.potentials import Preconditioned
from brenier.potentials.host import CompiledPotential, host_conjugates


class ConditionalMongeMap(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    """One Monge map for every value of a condition: cell type, batch, dose, day, or several.

    T(x; c) = ∇φ(x; c), φ convex in x for every c, with φ(·; c) the minimiser of J between the rows
    of X and of Y of condition c. Conditions tell of each other: what they have in common is learned
    from all of them, and a condition that was never seen gets a map as well.

    Not for conditions whose effects have nothing in common, each of many points: fit a ``MongeMap``
    to each. Nor for pairs that are told apart by which row belongs to which.

    Text, booleans and categories of pandas are categories; what is a number is one, and what lies
    between numbers that were seen is interpolated. φ is a mixture of these parts,

    - "pooled": a ``MongeMap`` that does not know of conditions;
    - "gaussian": the Gaussian map of each condition, x ↦ exp(L(c)) x + b(c), with L and b smoothed
      over conditions and carried to others by kriging, as far as they differ by more than chance;
    - "shared": that, and then one potential for what the Gaussian maps leave in all conditions;
    - "own": that, and then one of each condition, blended between them (up to 32 conditions);
    - "network": that, and then one ``PartialICNN`` trained on all conditions, if it is asked for;

    with weights of least J on rows held out, for conditions that were seen, and on conditions left
    out, for such as were not. ``print(est.candidates_)`` shows them.

    Args:
        effort: "quick" never trains a network; "auto" does for a part where there are many points;
            "best" trains one for all conditions too (minutes), and so does a number of seconds, of
            which there are 60 left or more, and which it takes.
        outliers: of rows that lie grossly outside of all others: "warn", "drop" or "keep", as of
            ``MongeMap``.
        random_state: int, ``RandomState`` or None; the same int gives the same map.
        verbose: show a progress bar on stderr.
        callback: told a ``Progress``.
        components: principal components to learn in; None: 15 of the genes of AnnData, and all
            columns of anything else.
        layer: of AnnData, the layer to take; ``X`` when None.
        obsm: of AnnData, the embedding to take instead of expression.
        checkpoint: a folder where what takes long is kept, as of ``MongeMap``: the same fit goes on
            from there.

    Attributes:
        map_: the ``ConditionalMap``: ``map_.at(c)`` is the map of one condition; ``brenier.save``
            writes it.
        candidates_: the ``ConditionalTable`` of the parts.
        conditions_: the conditions that were fitted.
        outliers_: the rows of X and those of Y that lie grossly outside of all others, in ascending
            order; empty where ``outliers`` is "keep".
        n_effective_: how many rows those of X and of Y count for, as of ``MongeMap``.
        n_features_in_: d; and ``feature_names_in_``, the columns, where X was a data frame.

    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> dose = np.repeat([0.0, 1.0, 2.0], 100)
    >>> X, Y = rng.normal(size=(2, 300, 2))
    >>> est = ConditionalMongeMap(effort="quick", random_state=0)
    >>> est = est.fit(X, Y + 4.0 * dose[:, None], dose, dose)
    >>> est.transform(X[:50], 1.5).mean(axis=0).round(0).tolist()
    [6.0, 6.0]

    Amos, Xu & Kolter (2017), section 3.2; Bunne, Krause & Cuturi (2022).
    """

    map_: ConditionalMap
    candidates_: ConditionalTable
    conditions_: tuple[tuple[str | float, ...], ...]
    outliers_: tuple[np.ndarray, np.ndarray]
    n_effective_: tuple[float, float]

    def __init__(
        self,
        *,
        effort: str | int | float = "auto",
        outliers: str = "warn",
        random_state: int | np.random.RandomState | None = None,
        verbose: bool = False,
        callback: ProgressCallback | None = None,
        components: int | None = None,
        layer: str | None = None,
        obsm: str | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
    ):
        self.effort = effort
        self.outliers = outliers
        self.random_state = random_state
        self.verbose = verbose
        self.callback = callback
        self.components = components
        self.layer = layer
        self.obsm = obsm
        self.checkpoint = checkpoint

    def fit(
        self,
        X: Any,
        Y: Any,
        condition_X: Any = None,
        condition_Y: Any = None,
        source_weights: Any = None,
        target_weights: Any = None,
        sample_weight: Any = None,
    ) -> "ConditionalMongeMap":
        """Learn the maps from X (n, d) to Y (m, d), both arrays, data frames or AnnData.

        Args:
            X, Y: points.
            condition_X: the condition of each row of X, (n,), or (n, q) of several covariates, an
                array, a series or a data frame; or the name of a column of X, or several: of
                ``obs`` of AnnData, of a data frame, where it is then no coordinate.
            condition_Y: of each row of Y, (m,) or (m, q), with columns of the same names, in any
                order, where both have names.
            source_weights, target_weights, sample_weight: as of ``MongeMap``. Only ratios within a
                condition count, but that whole numbers repeat rows.

        Raises:
            ValueError: entries that are no finite numbers, conditions that do not match rows, that
                are dates, on one side alone, or of fewer than two rows; weights as of ``MongeMap``.
        """
        effort = Effort.of(self.effort)
        layout = Layout(self.components, self.layer, self.obsm)
        with watched(self.verbose, self.callback) as watch:
            found = fit_conditions(
                X,
                Y,
                condition_X,
                condition_Y,
                weights=(one_of(source_weights, sample_weight), target_weights),
                layout=layout,
                outliers=self.outliers,
                effort=effort,
                seed=drawn_seed(self.random_state),
                tell=watch,
                checkpoint=self.checkpoint,
            )
        self.map_, self.candidates_ = found.map, found.table
        self.conditions_ = found.map.known
        self.outliers_, self.n_effective_ = found.outliers, found.effective
        keep_columns(self, self.map_.dimension, found.names)
        return self

    @framed
    def transform(self, X: Any, condition: Any = None) -> np.ndarray:
        """T(X; c) of points (n, d), in the dtype of X.

        Args:
            X: points.
            condition: one for all (a text, a number, a tuple of several covariates), or one a row,
                as in ``fit``; columns with names are found by those of the fit.

        Raises:
            ValueError: columns of other names, dates, or, beside X with named columns, a text that
                is none of them and was not fitted.

        Warns:
            UserWarning: a category that was not fitted, or a number outside of those that were.
        """
        return self._moved(X, condition, inverse=False)

    @framed
    def inverse_transform(self, X: Any, condition: Any = None) -> np.ndarray:
        """T⁻¹(X; c) of points (n, d) in the space of Y, in the dtype of X."""
        return self._moved(X, condition, inverse=True)

    def score(
        self,
        X: Any,
        Y: Any,
        condition_X: Any = None,
        condition_Y: Any = None,
        source_weights: Any = None,
        target_weights: Any = None,
        sample_weight: Any = None,
    ) -> float:
        """The mean over conditions of ½E‖X‖² + ½E‖Y‖² − J(φ) ≤ ½W₂²: higher is better.

        For points that were not fitted on; each condition counts by its rows of X, or their
        weights, as in ``fit``.
        """
        scores, counts = [], []
        source = self._told("X", X, condition_X, one_of(source_weights, sample_weight))
        for pair in condition_pairs(
            self.map_, source, self._told("Y", Y, condition_Y, target_weights)
        ):
            scores.append(_dual_score(pair))
            counts.append(row_count(pair.source, pair.source_weights))
        return float(np.average(scores, weights=counts))

    def audit(
        self,
        X: Any,
        Y: Any = None,
        condition_X: Any = None,
        condition_Y: Any = None,
        *,
        level: float = 0.95,
        budget: float = 20.0,
        source_weights: Any = None,
        target_weights: Any = None,
    ) -> ConditionalCertificate:
        """How far every map is from optimal on fresh points, and whether it reaches its target.

        A certificate for each condition of X, at levels at which all hold together, and one line of
        what they say. Each map is the gradient of a convex function, hence optimal onto its image:
        the question is whether that is the target.

        Args:
            X, Y: fresh points.
            condition_X, condition_Y: as in ``fit``.
            level: at which all certificates hold together.
            budget: about how many seconds all may take together.
            source_weights, target_weights: as in ``fit``.
        """
        target = None if Y is None else self._told("Y", Y, condition_Y, target_weights)
        return audit_conditions(
            self.map_,
            self._told("X", X, condition_X, source_weights),
            target,
            key=jax.random.key(drawn_seed(self.random_state)),
            level=level,
            budget=budget,
            names=kept_columns(self) if self.map_.basis is None else None,
        )

    def _moved(self, value: Any, condition: Any, *, inverse: bool) -> np.ndarray:
        value, told = self._condition("condition", condition, "X", value)
        points = fitted_points(self, "X", value)
        moved = np.empty(points.shape, points.dtype)
        grouped = grouped_rows(self.map_.covariates, "condition", told, points.shape[0])
        for map, rows in zip(self.map_.each(grouped), grouped.values(), strict=True):
            map = map.inverse() if inverse else map
            part = points[rows]
            moved[rows] = map.of_rows(part) if isinstance(map, SubspaceMap) else map(part)
        return moved

    def _told(self, name: str, value: Any, condition: Any, weights: Any) -> Told:
        """Points, the rows of each condition, and weights; rows of weight 0 are of none."""
        side = {"X": "source", "Y": "target"}[name]
        argument = f"condition_{name}"
        value, told = self._condition(argument, condition, name, value)
        value, masses = given_weights(f"{side}_weights", weights, name, value)
        points = fitted_points(self, name, value)
        grouped = grouped_rows(self.map_.covariates, argument, told, points.shape[0])
        return Told.of(points, grouped, masses)

    def _condition(
        self, argument: str, condition: Any, name: str, points: Any
    ) -> tuple[Any, Condition]:
        """The points less columns that tell their condition, and what they tell."""
        check_is_fitted(self)
        about = self.map_.covariates, kept_columns(self) or ()
        return read_condition(argument, condition, name, points, about)


def _dual_score(pair: ConditionPair) -> float:
    """½E‖X‖² + ½E‖Y‖² − J(φ), computed about the shifts a and b of standard coordinates.

    J is s² of that of ψ, and ½‖x − a‖² + ½‖y − b‖² + ⟨x − y, a − b⟩ − ½‖a − b‖² the rest.
    """
    map, y, a_weights, b_weights = pair.map, pair.target, pair.source_weights, pair.target_weights
    assert y is not None  # of a score
    assert isinstance(map, GradientMap)
    assert isinstance(map.potential, Preconditioned)  # as every map of a condition
    home = map.potential.coordinates.on_host()
    x, y = pair.source.astype(np.float64), y.astype(np.float64)
    a, b = (np.asarray(z, np.float64) for z in (home.source_shift, home.target_shift))
    inner = CompiledPotential(map.potential.potential, np.dtype(np.float64))
    dual = row_mean(inner.value(home.encode_source(x)), a_weights)
    dual += row_mean(host_conjugates(inner, home.encode_target(y)).values, b_weights)
    apart = a - b
    squares = (np.sum((x - a) ** 2, axis=1), np.sum((y - b) ** 2, axis=1))
    halves = 0.5 * (row_mean(squares[0], a_weights) + row_mean(squares[1], b_weights))
    crossed = (row_mean(x, a_weights) - row_mean(y, b_weights)) @ apart - 0.5 * apart @ apart
    return float(halves + crossed - float(home.scale) ** 2 * dual)
