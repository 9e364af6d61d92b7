"""The Monge map behind scikit-learn's interface."""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import jax
import numpy as np
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.exceptions import ConvergenceWarning

from brenier._progress import ProgressCallback
from brenier._solution import Result, Solution
from brenier._warnings import warn_user
from brenier.estimators._fitted import framed, grown_sides, judged, moved, seen
from brenier.estimators._held_out_saving import held_out_saving
from brenier.estimators._learned_map import LearnedMap, learned_map
from brenier.estimators._notebook import estimator_html, with_names
from brenier.estimators._progress_bar import watched
from brenier.estimators.candidates import CandidateTable, Request, fit_pair
from brenier.estimators.data import (
    Layout,
    drawn_seed,
    given_weights,
    keep_columns,
    kept_columns,
    one_of,
    read_pair,
)
from brenier.estimators.growth import PenaltyRow, check_unbalanced, grown, growth_of
from brenier.estimators.labels import (
    TransferredLabels,
    TransitionTable,
    labels_of_points,
    table_of_points,
)
from brenier.estimators.time import interpolated
from brenier.maps import EntropicGrowth, SubspaceMap
from brenier.measures import Empirical

if TYPE_CHECKING:
    from brenier.certify import Certificate
    from brenier.flows import AbstractMethod


class MongeMap(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    """The optimal transport map between two clouds or measures, as an estimator.

    T = ∇φ with φ = argmin over convex φ of J(φ) = E φ(X) + E φ*(Y): among all maps that carry the
    law of X onto that of Y, the one of least mean squared displacement E‖T(X) − X‖² (Brenier).
    ``fit`` learns φ, ``transform`` applies T.

    Not for a matching of a few points (``scipy.optimize.linear_sum_assignment``), nor for columns
    that are categories.

    Inside, data are in standard coordinates, in which the closed-form map between Gaussians of the
    same means and covariances (shrunk after Chen et al., 2010) is the identity; the fitted map
    takes and gives points in the units of the data. Several kinds of convex potentials are fitted
    there, and the lowest J on points held out decides among them and their settings (J less its
    minimum bounds the map's error from both sides; Hütter & Rigollet 2021):

    - "gaussian": affine, in closed form;
    - "separable": a monotone map for every column, for skewed columns and such with many zeros;
    - "entropic": Sinkhorn's, blended with the affine one;
    - "log-sum-exp" and "ridges": few soft pieces or hinges, by Gauss-Newton;
    - "network": an input-convex network by ``SemiDual``, where there are more than 4000 points a
      side (seconds to minutes);
    - a combination of these, with weights that minimise J (Breiman 1996).

    Where both ways were tried, the map of the lowest J gives way to the best of the other way if
    that is nearer to the Monge map by two standard errors, as told by held-out points.

    By 3- to 5-fold cross-validation where points are few, one quarter held out beyond 1500 points
    a side, up to 8192 beyond 4000; below 12 the affine map is taken. The table is ``candidates_``.
    To a measure with a density a network follows the Wasserstein gradient flow of KL
    (``ConstrainedDrift``). With a ``method`` of your own exactly that is done, and nothing is
    compared.

    The cost takes the numbers as they are: divide columns of different units, in X and in Y, by the
    same numbers first.

    Where X or Y is a measure to be sampled, the network is trained on as many points of it as its
    steps can see, 262,144 at most. Larger clouds, memory maps among them, are read block after
    block: the moments are those of all points, and a random sample of that many is fitted.

    AnnData are points too: cells, whose coordinates are genes (matched by ``var_names``), or an
    embedding. Genes are many and cells few, so the map is learned in the leading principal
    components of both clouds together; what a cell has across them is kept, and moved by the
    difference of the means (``maps.SubspaceMap``); ``score`` and ``audit`` look at components.

    Args:
        effort: "quick" never trains a network; "auto" does where there are many points; "best"
            from 64 points a side on, once a fold, three times as long where points are many, and
            looks at maps of the way back too (minutes); or a number of seconds, of which networks
            of both ways take an eighth each to tell which is learned better, and after which
            nothing new is begun. The work of the first three is counted, so that equal seeds give
            equal maps; with seconds another day may choose otherwise.
        candidates: the kinds to choose from, as ["gaussian", "entropic"]; None for all. A network
            among them is trained whatever the effort.
        outliers: of rows that lie grossly outside of all others, as codes of missing values do:
            "warn" names them (and leaves out those beside which the others have no digits, 1e7
            times their range away), "drop" leaves them out, "keep" is silent.
        method: what evolves a network, a method of ``flows``, in the place of any choice:
            ``SemiDual(steps=...)``.
        widths: of the network's layers; None: four of 64, beyond 32,768 points quadratic in x.
        pieces: affine pieces of the soft maximum beside the layers, 0 for none; None: 16 a
            dimension, between 32 and 128, or 64 beyond 32,768 points.
        random_state: int, ``RandomState`` or None; an int: the same map, on as many equal cores.
        verbose: show a progress bar on stderr.
        callback: told a ``Progress`` after each of 20 blocks of steps.
        components: principal components to learn in; None: 15 of the genes of AnnData, and all
            columns of anything else.
        layer: of AnnData, the layer to take; ``X`` when None.
        obsm: of AnnData, the embedding to take instead of expression.
        unbalanced: τ > 0, where the clouds do not hold the same things in the same shares: KL of
            strength τ a side holds the marginals, so that mass is made or lost rather than moved by
            more than about √(2τ). In units of ½ squared distance (of the components, where there
            are any): in other units s, s²τ. None holds them exactly; "cv" chooses τ or None by
            points held out (seconds; from 40 points a side).
        checkpoint: a folder where what was tried is kept, after each kind and each block of a
            network's steps: the same fit goes on from there, to the same map, at once where it was
            done. Delete it when the map is saved. None for nowhere; a ``method`` of your own is not
            kept.

    Attributes:
        map_: the ``GradientMap`` of one convex potential, or the ``ConjugateMap`` of one of the way
            back; in components, a ``SubspaceMap`` of that.
        candidates_: the ``CandidateTable``: each kind with its best settings, held-out J with a
            standard error, seconds, and which was chosen; ``print`` it.
        solution_: the ``Solution``: ``map_``, how the fit ended, and what it measured in standard
            coordinates; ``stats["gain"]`` of J over the affine map's, and its standard error.
        outliers_: the rows of X and those of Y that lie grossly outside of all others, in ascending
            order; empty where ``outliers`` is "keep".
        n_effective_: how many rows those of X and of Y count for: the sum of weights that are whole
            numbers, (Σw)²/Σw² of others, and n and m without any.
        source_growth_, target_growth_: of an unbalanced map, the relative mass that each row of X
            sends and each row of Y receives; None of others. ``growth_`` gives both at any point,
            ``growth_.penalty`` is τ; it is None where "cv" took None.
        penalties_: what "cv" tried, a row for each τ; None where τ was given.
        n_features_in_: d; and ``feature_names_in_``, the columns, where X was a data frame.

    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> X, Y = rng.normal(size=(200, 2)), 3.0 + 2.0 * rng.normal(size=(300, 2))
    >>> est = MongeMap(random_state=0).fit(X, Y)
    >>> print(est.candidates_.sentence)
    affine: nothing that bends was better on held-out points
    >>> est.transform(X).shape
    (200, 2)
    >>> bool(np.allclose(est.inverse_transform(est.transform(X)), X, atol=1e-6))
    True

    Makkuva et al. (2020), eq. 6; DLV26; Theory (1.1).
    """

    map_: LearnedMap
    solution_: Solution[LearnedMap]
    candidates_: CandidateTable
    outliers_: tuple[np.ndarray, np.ndarray]
    n_effective_: tuple[float, float]
    growth_: EntropicGrowth | None
    penalties_: tuple[PenaltyRow, ...] | None
    source_growth_: np.ndarray | None
    target_growth_: np.ndarray | None

    def __init__(
        self,
        *,
        effort: str | int | float = "auto",
        candidates: Sequence[str] | None = None,
        outliers: str = "warn",
        method: "AbstractMethod | None" = None,
        widths: tuple[int, ...] | None = None,
        pieces: int | None = None,
        random_state: int | np.random.RandomState | None = None,
        verbose: bool = False,
        callback: ProgressCallback | None = None,
        components: int | None = None,
        layer: str | None = None,
        obsm: str | None = None,
        unbalanced: float | str | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
    ):
        self.effort = effort
        self.candidates = candidates
        self.outliers = outliers
        self.method = method
        self.widths = widths
        self.pieces = pieces
        self.random_state = random_state
        self.verbose = verbose
        self.callback = callback
        self.components = components
        self.layer = layer
        self.obsm = obsm
        self.unbalanced = unbalanced
        self.checkpoint = checkpoint

    def __repr__(self, N_CHAR_MAX: int = 700) -> str:
        """The parameters, as scikit-learn shows them; after a fit, the kind of map as a comment."""
        parameters = BaseEstimator.__repr__(self, N_CHAR_MAX)
        if "candidates_" not in vars(self):
            return parameters
        return f"{parameters}  # {self.candidates_.sentence}"

    def _html_repr(self) -> str:
        """What scikit-learn gives to a notebook; after a fit, with the candidates."""
        return estimator_html(self, vars(self).get("candidates_"))

    def fit(
        self,
        X: Any,
        Y: Any,
        source_weights: Any = None,
        target_weights: Any = None,
        sample_weight: Any = None,
    ) -> "MongeMap":
        """Learn the map from X (n, d) to Y (m, d).

        Arrays, data frames, tables of files (``io.read_points``), AnnData or measures.

        Of a measure 16,384 points are drawn, to choose by and to hold out; a network's training
        draws its own, as many as its steps can see.

        Only ratios of weights count, but that whole numbers repeat rows; of weight 0 is none.

        Args:
            source_weights: of the rows of X, (n,); or the name of the column that holds them, of
                ``obs`` for AnnData, or of a table, where it is then no coordinate.
            target_weights: the same of Y.
            sample_weight: another name for ``source_weights``, which scikit-learn uses.

        Raises:
            ValueError: entries that are no finite numbers, dimensions or columns that differ, fewer
                than two points, constant columns; weights that are negative, no numbers, all 0 or
                not one for each row.

        Warns:
            ConvergenceWarning: the fit failed; ``solution_.result`` says why, and ``map_`` is the
                best map seen.
        """
        if Y is None:
            raise ValueError(
                "Y: got None; wants the points to map onto: MongeMap requires y to be passed, but "
                "the target y is None."
            )
        check_unbalanced(self.unbalanced)
        network = (self.widths, self.pieces)
        request = Request.of(self.method, self.effort, self.candidates, *network, self.checkpoint)
        seed = drawn_seed(self.random_state)
        draw, *keys = jax.random.split(jax.random.key(seed), 5)
        layout = Layout(self.components, self.layer, self.obsm)
        weights = one_of(source_weights, sample_weight), target_weights
        pair = read_pair(
            X, Y, layout, outliers=self.outliers, random_state=seed, key=draw, weights=weights
        )
        self.outliers_ = (pair.source.outliers, pair.target.outliers)
        pair, self.growth_, self.penalties_ = grown(pair, self.unbalanced, seed)
        self.n_effective_ = (pair.source.rows, pair.target.rows)
        coordinates = pair.coordinates
        with watched(self.verbose, self.callback) as watch:
            choice = fit_pair(pair, coordinates, request, keys=keys, seed=seed, callback=watch)
        self.candidates_ = choice.table
        self.solution_ = learned_map(pair, coordinates, choice)
        self.map_ = self.solution_.map
        keep_columns(self, self.map_.dimension, pair.names)
        X, a = given_weights("source_weights", weights[0], "X", X)
        Y, b = given_weights("target_weights", weights[1], "Y", Y)
        self.source_growth_ = self.target_growth_ = None
        if self.unbalanced is not None:
            self.source_growth_, self.target_growth_ = self.growth(X), self.growth(Y, side="target")
        self._clouds = {"X": (X, a), "Y": (Y, b)}  # no copies: what was handed in, for labels
        if self.solution_.result is Result.interrupted:
            raise KeyboardInterrupt
        if self.solution_.result.failed:
            warn_user(self.solution_.result.value, ConvergenceWarning)
        return self

    @framed
    def transform(self, X: Any) -> np.ndarray:
        """T(X) of points (n, d), in the dtype of X; 262,144 rows at a time."""
        return moved(self, X, inverse=False)

    @framed
    def inverse_transform(self, X: Any) -> np.ndarray:
        """T⁻¹(X) = ∇φ*(X) of points (n, d) in the space of Y, in the dtype of X."""
        return moved(self, X, inverse=True)

    def growth(self, X: Any, *, side: str = "source") -> np.ndarray:
        """The relative mass (n,) that points X (n, d) of the "source" send, or "target" receive.

        1 everywhere where the map is not unbalanced.
        """
        X = X.points if isinstance(X, Empirical) else X
        return growth_of(self.growth_, seen(self, "X", X)[1], side)

    @framed
    def interpolate(self, X: Any, t: Any) -> np.ndarray:
        """(1 − t) X + t T(X) of points (n, d), in the dtype of X: where they are on their way.

        McCann's interpolation: a geodesic of W₂ for t in [0, 1].

        Warns:
            UserWarning: t outside of [0, 1], where paths may cross.
        """
        return interpolated(self, X, t)

    def score(
        self,
        X: Any,
        Y: Any,
        source_weights: Any = None,
        target_weights: Any = None,
        sample_weight: Any = None,
    ) -> float:
        """½E‖X‖² + ½E‖Y‖² − J(φ) ≤ ½W₂² on points X (n, d), Y (m, d): higher is better.

        For points that were not fitted on; with equality at the Monge map between these. Weights as
        in ``fit``; of an unbalanced map times the growth of the points.
        """
        own = one_of(source_weights, sample_weight)
        return held_out_saving(*grown_sides(self, *judged(self, X, Y, own, target_weights)))

    def audit(
        self,
        X: Any,
        Y: Any = None,
        *,
        level: float = 0.95,
        budget: float = 20.0,
        source_weights: Any = None,
        target_weights: Any = None,
        groups: Any = None,
        law: Any = None,
        symmetry: Any = None,
        box: Any = None,
        kurtosis: Any = None,
    ) -> "Certificate":
        """How far the map is from optimal on fresh points X (n, d), and whether it reaches fresh Y.

        As ``brenier.audit``, with a key from ``random_state``; what is declared is of the
        components, where the map was learned there. The map is the gradient of a convex function,
        hence optimal onto its own image: the question is whether that is the target. Weights as in
        ``fit``; of an unbalanced map times the growth.
        """
        from brenier.certify import audit

        map, (x, a), (y, b) = judged(self, X, Y, source_weights, target_weights)
        certificate = audit(
            map,
            x,
            y,
            key=jax.random.key(drawn_seed(self.random_state)),
            level=level,
            budget=budget,
            source_weights=a,
            target_weights=b,
            growth=self.growth_,
            groups=groups,
            law=law,
            symmetry=symmetry,
            box=box,
            kurtosis=kurtosis,
        )
        return with_names(
            certificate, None if isinstance(self.map_, SubspaceMap) else kept_columns(self)
        )

    def transfer_labels(
        self, X: Any, Y_labels: Any, Y: Any = None, target_weights: Any = None
    ) -> TransferredLabels:
        """The label, soft and hard, of each point of X (n, d) where the map takes it.

        By a vote (``estimators.transfer_labels``) of the points Y (m, d), those of the fit by
        default and with its weights, which ``Y_labels`` (m,) are of; or the name of a column, of a
        data frame Y or of ``obs``.
        """
        return labels_of_points(self, X, Y_labels, Y, target_weights)

    def transition_table(
        self,
        X_labels: Any,
        Y_labels: Any,
        X: Any = None,
        Y: Any = None,
        source_weights: Any = None,
        target_weights: Any = None,
    ) -> TransitionTable:
        """What share of each kind of points of X goes to each kind of Y; rows sum to 1.

        Labels (n,), (m,) of the points of the fit, and its weights, or of X (n, d) and Y (m, d); or
        names of columns, of data frames X and Y or of ``obs``.
        """
        return table_of_points(self, X_labels, Y_labels, X, Y, (source_weights, target_weights))

    def __getstate__(self) -> dict[str, Any]:
        """What is copied and pickled: all but the points of the fit."""
        state: dict[str, Any] = dict(BaseEstimator.__getstate__(self))
        state.pop("_clouds", None)
        return state
