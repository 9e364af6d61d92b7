"""The Monge map behind scikit-learn's interface."""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import jax
import numpy as np
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import check_is_fitted

from brenier._progress import ProgressCallback
from brenier._solution import Result, Solution
from brenier._warnings import warn_user
from brenier.estimators._learned_map import LearnedMap, learned_map
from brenier.estimators._notebook import estimator_html, with_names
from brenier.estimators._progress_bar import watched
from brenier.estimators.candidates import CandidateTable, Effort, Request, checked_names, fit_pair
from brenier.estimators.data import (
    MOST_POINTS,
    Layout,
    dense,
    drawn_seed,
    keep_columns,
    kept_columns,
    known_points,
    opened,
    read_pair,
)
from brenier.io import Cells
from brenier.maps import AbstractMap, ConjugateMap, SubspaceMap
from brenier.measures import AbstractMeasure

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

    Where X or Y is a measure to be sampled, every step of the network draws fresh points.

    Clouds of more than 262,144 points, memory maps among them, are read block after block: the
    moments are those of all points, and a random sample of that many is fitted.

    AnnData are points too: cells, whose coordinates are genes (matched by ``var_names``), or an
    embedding. Genes are many and cells few, so the map is learned in the leading principal
    components of both clouds together; what a cell has across them is kept, and moved by the
    difference of the means (``maps.SubspaceMap``). ``score`` and ``audit`` then look at the
    components.

    Args:
        effort: "quick" never trains a network; "auto" does where there are many points; "best"
            from 64 points a side on, once a fold, three times as long where points are many, and
            looks at maps of the way back too (minutes); or a number of seconds, of which networks
            of both ways take a tenth to tell which is learned better, and after which nothing new
            is begun. The work of the first three is counted, so that equal seeds give equal maps;
            with seconds another day may choose otherwise.
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
        random_state: int, ``RandomState`` or None; the same int gives the same map, on
            the same machine with as many cores.
        verbose: show a progress bar on stderr.
        callback: told a ``Progress`` after each of 20 blocks of steps.
        components: principal components to learn in; None: 15 of the genes of AnnData, and all
            columns of anything else.
        layer: of AnnData, the layer to take; ``X`` when None.
        obsm: of AnnData, the embedding to take instead of expression.
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

    def fit(self, X: Any, Y: Any) -> "MongeMap":
        """Learn the map from X (n, d) to Y (m, d).

        Arrays, data frames, tables of files (``io.read_points``), AnnData or measures.

        Of a measure 16,384 points are drawn, to choose by and to hold out; a network's training
        draws fresh ones in every step.

        Raises:
            ValueError: entries that are no finite numbers, dimensions or columns that differ, fewer
                than two points, constant columns.

        Warns:
            ConvergenceWarning: the fit failed; ``solution_.result`` says why, and ``map_`` is the
                best map seen.
        """
        if Y is None:
            raise ValueError(
                "Y: got None; wants the points to map onto: MongeMap requires y to be passed, but "
                "the target y is None."
            )
        request = self._request()
        seed = drawn_seed(self.random_state)
        draw, *keys = jax.random.split(jax.random.key(seed), 5)
        layout = Layout(self.components, self.layer, self.obsm)
        pair = read_pair(X, Y, layout, outliers=self.outliers, random_state=seed, key=draw)
        self.outliers_ = (pair.source.outliers, pair.target.outliers)
        coordinates = pair.coordinates
        with watched(self.verbose, self.callback) as watch:
            choice = fit_pair(pair, coordinates, request, keys=keys, seed=seed, callback=watch)
        self.candidates_ = choice.table
        self.solution_ = learned_map(pair, coordinates, choice)
        self.map_ = self.solution_.map
        keep_columns(self, self.map_.dimension, pair.names)
        if self.solution_.result is Result.interrupted:
            raise KeyboardInterrupt
        if self.solution_.result.failed:
            warn_user(self.solution_.result.value, ConvergenceWarning)
        return self

    def transform(self, X: Any) -> np.ndarray:
        """T(X) of points (n, d), in the dtype of X; 262,144 rows at a time."""
        return self._moved("X", X, inverse=False)

    def inverse_transform(self, X: Any) -> np.ndarray:
        """T⁻¹(X) = ∇φ*(X) of points (n, d) in the space of Y, in the dtype of X."""
        return self._moved("X", X, inverse=True)

    def score(self, X: Any, Y: Any) -> float:
        """½E‖X‖² + ½E‖Y‖² − J(φ) ≤ ½W₂² on points X (n, d), Y (m, d): higher is better.

        For points that were not fitted on; with equality at the Monge map between these.
        """
        from brenier.flows import HeldOutDual

        (map, x), (_, y) = self._seen("X", X), self._seen("Y", Y)
        # J is the same both ways; of a map that is a conjugate's the potential is of the way back.
        way, map = ((y, x), map.inverse()) if isinstance(map, ConjugateMap) else ((x, y), map)
        dual = HeldOutDual(*way)(map)
        halves = 0.5 * sum(np.sum(z**2, axis=1).mean(dtype=np.float64) for z in (x, y))
        return float(halves - dual)

    def audit(
        self,
        X: Any,
        Y: Any = None,
        *,
        level: float = 0.95,
        budget: float = 20.0,
        groups: Any = None,
        law: Any = None,
        symmetry: Any = None,
        box: Any = None,
        kurtosis: Any = None,
    ) -> "Certificate":
        """How far the map is from optimal on fresh points X (n, d), and whether it reaches fresh Y.

        As ``brenier.audit``, with a key from ``random_state``; what is declared is of the
        components, where the map was learned there. The map is the gradient of a convex function,
        hence optimal onto its own image: the question is whether that is the target.
        """
        from brenier.certify import audit

        map, x = self._seen("X", X)
        y = Y if Y is None or isinstance(Y, AbstractMeasure) else self._seen("Y", Y)[1]
        key = jax.random.key(drawn_seed(self.random_state))
        certificate = audit(
            map,
            x,
            y,
            key=key,
            level=level,
            budget=budget,
            groups=groups,
            law=law,
            symmetry=symmetry,
            box=box,
            kurtosis=kurtosis,
        )
        return with_names(
            certificate, None if isinstance(self.map_, SubspaceMap) else kept_columns(self)
        )

    def _request(self) -> Request:
        """What the settings ask for, checked."""
        if self.method is not None:
            from brenier.flows import check_method

            check_method(self.method, "flows.SemiDual()")
        names = checked_names(self.candidates)
        effort = Effort.of(self.effort)
        return Request(self.method, effort, names, self.widths, self.pieces, self.checkpoint)

    def _moved(self, name: str, value: Any, *, inverse: bool) -> np.ndarray:
        points = self._points(name, value)
        map = self.map_.inverse() if inverse else self.map_
        if isinstance(map, SubspaceMap):
            return map.of_rows(points)
        moved = np.empty(points.shape, points.dtype)
        for start in range(0, len(points), MOST_POINTS):
            rows = slice(start, start + MOST_POINTS)
            moved[rows] = np.asarray(map(points[rows]))
        return moved

    def _seen(self, name: str, value: Any) -> tuple[AbstractMap, np.ndarray]:
        """The map and points to judge it by: in components where it was learned there."""
        points = self._points(name, value)
        if isinstance(self.map_, SubspaceMap):
            return self.map_.map, self.map_.coordinates(points)
        return self.map_, points

    def _points(self, name: str, value: Any) -> Any:
        """Checked points (n, d): an array, or a sparse matrix where the map is of components."""
        check_is_fitted(self)
        value = opened(name, value, self.layer, self.obsm)
        if isinstance(value, Cells):
            value = value.aligned(kept_columns(self), "the fitted map")
            if isinstance(self.map_, SubspaceMap) and value.values.shape[1] == self.n_features_in_:
                return value.in_memory().values
            value = dense(value)
        return known_points(self, name, value)
