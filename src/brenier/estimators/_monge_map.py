"""The Monge map behind scikit-learn's interface."""

import dataclasses
import warnings
from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin, clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from brenier._checks import check_points
from brenier._progress import Progress, ProgressCallback
from brenier._solution import Result, Solution
from brenier._types import Key
from brenier.certify import Certificate, audit
from brenier.estimators._capacity import gain_over_gaussian
from brenier.estimators._clouds import aligned, column_names
from brenier.estimators._components import Components, dense, opened, principal_components
from brenier.estimators._large import MOST_POINTS, sampled
from brenier.estimators._stop import Look, best_stop
from brenier.estimators._watch import watched
from brenier.flows import AbstractMethod, ConstrainedDrift, HeldOutDual, SemiDual, solve
from brenier.io import Cells
from brenier.maps import AbstractMap, AffineMap, GradientMap, Pushforward, SubspaceMap
from brenier.measures import AbstractMeasure, Empirical
from brenier.potentials import ICNN, Preconditioned

# Held-out points a side: they tell apart two maps whose dual values differ by some 1e-4.
_HELD_OUT, _HELD_OUT_SHARE = 8192, 8
# Below this many points a side none can be spared.
_FEW = 64
# Points drawn from a target that is not a cloud.
_DRAWN = 16_384
# Steps for each point of the smaller cloud: few points are learned by heart in many steps.
_STEPS_A_POINT, _FEWEST_STEPS, _MOST_STEPS = 0.25, 1000, 5000
# Points a step: half of them where there are few, so that a step is not the same each time.
_BATCH, _LEAST_BATCH = 1024, 64
# Coordinates a step, at most: past 128 dimensions a step costs no more than there.
_BATCH_FLOATS = 2**17
# How sharply the units bend at the start, over d: in few dimensions they can tell fine details.
_SHARPNESS, _LEAST_SHARPNESS, _MOST_SHARPNESS = 20.0, 2.0, 10.0
# In the plane more of them than the map has bends cost accuracy.
_PIECES_A_DIMENSION, _FEWEST_PIECES, _MOST_PIECES = 16, 32, 128


class MongeMap(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    """The optimal transport map between two clouds, or from a cloud to a measure, as an estimator.

    ``fit`` learns a convex potential φ; ``transform`` applies T = ∇φ, the map of least mean squared
    displacement among those that carry the source onto the target (Brenier).

    Clouds of more than 262,144 points, memory maps among them, are read block after block: their
    moments are those of all points, and a random sample of that many is fitted, in memory that does
    not grow with their number.

    Data are standardised inside, so that φ starts at the closed-form map between the Gaussians of
    the same means and covariances (shrunk after Chen et al., 2010); the fitted map takes and gives
    points in the units of the data. From samples an input-convex network minimises the semi-dual
    (``SemiDual``); to a measure with a density it follows the Wasserstein gradient flow of KL
    (``ConstrainedDrift``). Points held out choose where to stop: the lowest dual value among the
    maps whose images are as large as the target, within two standard errors.

    Not for a matching of a few points (``scipy.optimize.linear_sum_assignment``), nor for columns
    that are categories.

    AnnData are points too: cells, whose coordinates are genes (matched by ``var_names``), or an
    embedding. Genes are many and cells few, so the map is learned in the leading principal
    components of both clouds together; what a cell has across them is kept, and moved by the
    difference of the means (``maps.SubspaceMap``). ``score`` and ``audit`` then look at the
    components. With the default method, points that are held out decide whether the map bends: it
    stays the Gaussian one unless another is better by two standard errors of the dual value.

    Args:
        method: what evolves the potential; chosen by the target and the number of points when None
            (from samples 1000 to 5000 steps: seconds to minutes). ``SemiDual(steps=...)`` for less
            time or for more.
        widths: of the network's layers.
        pieces: of the maximum that the network adds to them, 0 for none; None: 16 a dimension,
            between 32 and 128.
        random_state: int, ``RandomState`` or None; the same int gives the same map.
        verbose: show a progress bar on stderr.
        callback: told a ``Progress`` after each of 20 blocks of steps.
        components: principal components to learn in; None: 15 of the genes of AnnData, and all
            columns of anything else.
        layer: of AnnData, the layer to take; ``X`` when None.
        obsm: of AnnData, the embedding to take instead of expression.

    Attributes:
        map_: the ``GradientMap`` of one convex potential; in components, a ``SubspaceMap``.
        solution_: the ``Solution``: how the fit ended, and what it measured in standard units.
        n_features_in_: d; and ``feature_names_in_``, the columns, where X was a data frame.

    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> X, Y = rng.normal(size=(200, 2)), 3.0 + 2.0 * rng.normal(size=(300, 2))
    >>> est = MongeMap(method=SemiDual(steps=20), widths=(8,), random_state=0).fit(X, Y)
    >>> est.transform(X).shape
    (200, 2)
    >>> bool(np.allclose(est.inverse_transform(est.transform(X)), X, atol=1e-6))
    True

    Makkuva et al. (2020), eq. 6; DLV26, eq. 1.1.
    """

    def __init__(
        self,
        *,
        method: AbstractMethod | None = None,
        widths: tuple[int, ...] = (128, 128),
        pieces: int | None = None,
        random_state: int | np.random.RandomState | None = None,
        verbose: bool = False,
        callback: ProgressCallback | None = None,
        components: int | None = None,
        layer: str | None = None,
        obsm: str | None = None,
    ):
        self.method = method
        self.widths = widths
        self.pieces = pieces
        self.random_state = random_state
        self.verbose = verbose
        self.callback = callback
        self.components = components
        self.layer = layer
        self.obsm = obsm

    def fit(self, X: Any, Y: Any) -> "MongeMap":
        """Learn the map from X (n, d) to Y: an array (m, d), a data frame, AnnData or a measure.

        Raises:
            ValueError: entries that are no finite numbers, dimensions or columns that differ, fewer
                than two points, constant columns.

        Warns:
            ConvergenceWarning: the fit failed; ``solution_.result`` says why, and ``map_`` is the
                best map seen.
        """
        X, Y = (opened(name, value, self.layer, self.obsm) for name, value in (("X", X), ("Y", Y)))
        seed = check_random_state(self.random_state).randint(2**31 - 1)
        space = principal_components(X, Y, self.components, self.obsm is not None, seed)
        if space is not None:
            return self._fit_within(space)
        X, Y = dense(X), dense(Y)
        draw_key, *split_keys, start_key, run_key = jax.random.split(jax.random.key(seed), 5)
        names = column_names(X)
        source = sampled("X", X, None, seed)
        x = source.points
        cloud = _drawn(Y, draw_key) if isinstance(Y, AbstractMeasure) else aligned("Y", Y, names)
        goal = sampled("Y", cloud, x.shape[1], seed + 1)
        y = goal.points
        d, dtype = x.shape[1], np.result_type(x, y)
        coordinates = Preconditioned.gaussian(
            source.mean, source.covariance, goal.mean, goal.covariance
        )
        follows_density = isinstance(Y, AbstractMeasure) and Y.has_density
        if self.method is None and not follows_density and min(len(x), len(y)) < _FEW:
            # None can be held out to tell whether a map that bends is better.
            linear = GradientMap(_cast(coordinates, dtype))
            return self._keep(linear, Solution(linear, Result.successful, {"steps": 0}), names)
        method = self.method or _default_method(follows_density, min(len(x), len(y)), d)
        # The semi-dual averages over thousands of steps: single precision is enough, and faster.
        working = jnp.float32 if isinstance(method, SemiDual) else jnp.float64
        u, u_held = _split(split_keys[0], coordinates.encode_source(jnp.asarray(x)).astype(working))
        v, v_held = _split(split_keys[1], coordinates.encode_target(jnp.asarray(y)).astype(working))
        target: AbstractMeasure = Empirical(v)
        if follows_density and not isinstance(method, SemiDual):
            target = Pushforward(Y, _target_encoder(coordinates))
        pieces = self.pieces
        if pieces is None:
            pieces = int(np.clip(_PIECES_A_DIMENSION * d, _FEWEST_PIECES, _MOST_PIECES))
        network = ICNN.identity(
            start_key,
            d,
            self.widths,
            activation="squareplus",
            pieces=pieces,
            sharpness=float(np.clip(_SHARPNESS / d, _LEAST_SHARPNESS, _MOST_SHARPNESS)),
        )
        start = _cast(network, working)
        looks: list[Look] = []
        with watched(self.verbose, self.callback) as watch:

            def tell(progress: Progress) -> None:
                assert isinstance(progress.map, GradientMap)
                looks.append(Look(progress.map.potential, progress.metric))
                watch(progress)

            solution = solve(
                Empirical(u),
                target,
                method=method,
                initial=GradientMap(start),
                key=run_key,
                metric=HeldOutDual(u_held, v_held),
                callback=tell,
                throw=False,
            )
        potential, stats = solution.map.potential, solution.stats
        kept = best_stop(looks, u_held, v_held)
        if kept is not None:
            potential, stats = kept.potential, {**stats, "best_metric": kept.dual}
        if self.method is None and not follows_density:
            gain = gain_over_gaussian(potential, u_held, v_held)
            stats = {**stats, "gain": gain.value, "gain_stderr": gain.stderr}
            potential = potential if gain.clear else coordinates.potential
        learned = dataclasses.replace(coordinates, potential=potential)
        solution = dataclasses.replace(solution, stats=stats)
        self._keep(GradientMap(_cast(learned, dtype)), solution, names)
        if solution.result is Result.interrupted:
            raise KeyboardInterrupt
        if solution.result.failed:
            warnings.warn(solution.result.value, ConvergenceWarning, stacklevel=2)
        return self

    def _fit_within(self, space: Components) -> "MongeMap":
        """Learn the map in principal components, and put it into the space they are of."""
        inner = clone(self).set_params(components=None, layer=None, obsm=None)
        try:
            inner.fit(space.x, space.y)
        finally:  # an interrupted fit too leaves the best map seen
            if "map_" in vars(inner):
                self._keep(space.around(inner.map_), inner.solution_, space.names)
        return self

    def _keep(
        self, map: GradientMap | SubspaceMap, solution: Solution, names: Sequence[str] | None
    ) -> "MongeMap":
        """Hold what a fit has found."""
        self.map_ = map
        self.solution_ = dataclasses.replace(solution, map=map)
        self.n_features_in_ = map.dimension
        if names is not None:
            self.feature_names_in_ = np.asarray(names, dtype=object)
        elif "feature_names_in_" in vars(self):
            del self.feature_names_in_
        return self

    def transform(self, X: Any) -> np.ndarray:
        """T(X), (n, d), in the dtype of X."""
        return self._moved("X", X, inverse=False)

    def inverse_transform(self, X: Any) -> np.ndarray:
        """T⁻¹(X) = ∇φ*(X), (n, d), in the dtype of X."""
        return self._moved("X", X, inverse=True)

    def score(self, X: Any, Y: Any) -> float:
        """½E‖X‖² + ½E‖Y‖² − J(φ) ≤ ½W₂²: the dual value on these points; higher is better."""
        (map, x), (_, y) = self._seen("X", X), self._seen("Y", Y)
        dual = eqx.filter_jit(HeldOutDual(x, y))(map)
        halves = 0.5 * (np.sum(x**2, axis=1).mean() + np.sum(y**2, axis=1).mean())
        return float(halves - dual)

    def audit(
        self, X: Any, Y: Any = None, *, level: float = 0.95, budget: float = 20.0
    ) -> Certificate:
        """How far the map is from optimal on fresh points X (n, d), and whether it reaches Y.

        As ``brenier.audit``; ``random_state`` gives its key. The map is the gradient of a convex
        function, optimal onto its own image: the question is whether that image is the target.
        """
        map, x = self._seen("X", X)
        y = Y if Y is None or isinstance(Y, AbstractMeasure) else self._seen("Y", Y)[1]
        seed = check_random_state(self.random_state).randint(2**31 - 1)
        return audit(map, x, y, key=jax.random.key(seed), level=level, budget=budget)

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
        """The map and the points as a test sees them: in components where it was learned there."""
        points = self._points(name, value)
        if isinstance(self.map_, SubspaceMap):
            return self.map_.map, self.map_.coordinates(points)
        return self.map_, points

    def _points(self, name: str, value: Any) -> Any:
        """Checked points (n, d): an array, or a sparse matrix where the map is of components."""
        check_is_fitted(self)
        names = vars(self).get("feature_names_in_")
        value = opened(name, value, self.layer, self.obsm)
        if isinstance(value, Cells):
            value = value.aligned(None if names is None else list(names), "the fitted map")
            if isinstance(self.map_, SubspaceMap) and value.values.shape[1] == self.n_features_in_:
                return value.in_memory().values
            value = dense(value)
        points = aligned(name, value, None if names is None else list(names))
        return check_points(name, points, dimension=self.n_features_in_)


def _default_method(follows_density: bool, points: int, dimension: int) -> AbstractMethod:
    if follows_density:
        return ConstrainedDrift(step_size=0.4, final_step_size=0.05, steps=40, particles=512)
    steps = int(np.clip(_STEPS_A_POINT * points, _FEWEST_STEPS, _MOST_STEPS))
    most = max(_LEAST_BATCH, min(_BATCH, _BATCH_FLOATS // dimension))
    return SemiDual(steps=steps, batch=int(np.clip(points // 2, _LEAST_BATCH, most)))


def _drawn(measure: AbstractMeasure, key: Key) -> np.ndarray:
    """The atoms of a cloud without weights, or points drawn from the measure."""
    if isinstance(measure, Empirical) and measure.weights is None:
        return np.asarray(measure.points)
    return np.asarray(measure.sample(key, _DRAWN))


def _split(key: Key, points: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Points to learn from and points held out; all of them twice where they are few."""
    if len(points) < _FEW:
        return points, points
    held = min(_HELD_OUT, len(points) // _HELD_OUT_SHARE)
    shuffled = jax.random.permutation(key, points)
    return shuffled[held:], shuffled[:held]


def _target_encoder(coordinates: Preconditioned) -> AffineMap:
    """y ↦ M⁻ᵀ(y − b)/s."""
    matrix = jnp.linalg.inv(coordinates.matrix.T) / coordinates.scale
    return AffineMap(matrix, -matrix @ coordinates.target_shift)


def _cast(tree: Any, dtype: Any) -> Any:
    """The same tree with its floating arrays in another precision."""
    floats, rest = eqx.partition(tree, eqx.is_inexact_array)
    return eqx.combine(jax.tree.map(lambda leaf: leaf.astype(dtype), floats), rest)
