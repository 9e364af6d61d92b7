"""The generator behind scikit-learn's interface."""

import dataclasses
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import check_is_fitted

from brenier._checks import as_frame, check_at_least
from brenier._frames import Frame, frame_like
from brenier._progress import Progress, ProgressCallback
from brenier._solution import Result, Solution
from brenier._types import Key
from brenier._warnings import warn_user
from brenier.estimators._notebook import estimator_html, with_names
from brenier.estimators._progress_bar import watched
from brenier.estimators.candidates import CandidateTable, Effort
from brenier.estimators.data import (
    column_names,
    drawn_seed,
    given_weights,
    keep_columns,
    kept_columns,
    known_points,
    sound_points,
)
from brenier.estimators.generation import (
    GeneratorSettings,
    energy_score,
    fit_generator,
    map_in_units,
    scaled_coordinates,
    source_in_units,
)
from brenier.maps import AbstractMap
from brenier.measures import Gaussian, GaussianMixture
from brenier.numerics import cast_floats, in_blocks

# Imported where they are at work: seconds that who only fits a map need not wait.
if TYPE_CHECKING:
    from brenier.certify import Certificate

# Pairs of a latent point and a datum held at once while sampling.
_PAIRS = 2**22
# Latent points sampled at once, at most.
_BLOCK = 2**14
# Points generated for a score, at least.
_SCORED = 4096


class Generator(BaseEstimator):
    """New samples like the data by one evaluation of a map of Gaussian points.

    x ∼ N, y = ∇φ(x): ``fit`` takes a Gaussian of one variance in the coordinates of ``scaling`` and
    learns a map onto the data; ``sample`` evaluates it once, where a diffusion composes many steps.
    It is the gradient of one convex function: the Monge map onto what is generated, with an
    inverse, saved by ``brenier.save`` and audited by ``audit``.

    φ is chosen as in ``MongeMap``: kinds of convex potentials are fitted to part of the data, and
    the lowest J(φ) = E φ(X) + E φ*(Y) on the rest decides among them and their settings. What gives
    the data back one by one is no good there. Latent points cost nothing, so that only data are
    held out: by folds below 1500, one quarter from there on. Beside the kinds of ``MongeMap`` there
    is one more:

    - "one-shot": Sinkhorn's flow, φ(x) = ε log Σ_j exp((⟨x, y_j⟩ + g_j − ½‖y_j‖²)/ε) with the
      first-order bias of ε taken back (Theory (4.6)), at multiples of the rule's ε.

    With a ``source``, ``epsilon``, ``time``, ``components`` or ``debias=False`` of your own, and
    below 12 points, it is that flow and nothing is compared. There ε is the width over which the
    map averages data: as ε → 0 it gives the data back one by one, as it grows it gives one
    Gaussian. ``"rule"`` takes ½ median‖y_i − y_j‖²/√n; ``"cv"`` the multiple of it with the best
    energy distance to held-out data. For a mixture of Gaussians as the source, y = ∇φ(x) +
    (ε/2)∇f(x) with e^{−f} the mixture, which is no gradient of a convex function.

    Not for images larger than some hundred pixels: distances do not see what a network sees
    (``brenier ddpm``); not for columns that are categories.

    Args:
        source: "isotropic" (a Gaussian of one variance), "covariance", "mixture" of Gaussians, or
            "cv" to choose among them; None for "isotropic".
        epsilon: a number, in the units of ``scaling`` squared (of the data squared with "none",
            where it is to be scaled with them); "rule"; or "cv". None for "rule".
        time: in the same units, how long the flow runs, t = kε after k rounds; None for its limit;
            "cv" to choose.
        scaling: of the cost: "columns" by their deviations, "whitened" by their covariance, "none"
            for columns of one unit, as pixels.
        debias: take the bias back; without it the variance of samples is too small by about ε.
        components: of the mixture; chosen by BIC, up to 8, when None.
        distill: put a convex network in the place of the map, whose cost per sample does not grow
            with n.
        widths: of that network's layers, and of one among the kinds of maps.
        folds: of the cross-validation of "cv".
        effort: as for ``MongeMap``: "quick" never trains a network, "auto" does beyond 4000 points,
            "best" from 64 on; or a number of seconds, after which nothing new is begun.
        outliers: as for ``MongeMap``, of rows that lie grossly outside of all others.
        random_state: int, ``RandomState`` or None; the same int gives the same map, on
            the same machine with as many cores.
        verbose: show a progress bar on stderr.
        callback: called with a ``Progress`` at each stage.

    Attributes:
        map_: source to data; a ``GradientMap``, or a ``DebiasedMap`` for a mixture.
        source_: the law of the latent points, in coordinates where ``map_`` is a gradient.
        source_name_: its name.
        candidates_: the ``CandidateTable``, each kind with its best settings, held-out J with a
            standard error, seconds, and which was chosen; None where nothing was compared.
        epsilon_, time_: of the flow; None where ``map_`` is of another kind or a combination.
        solution_: the ``Solution``; ``stats`` has the ``kind``, its ``dual`` J in standard
            coordinates and the ``gain`` of J over the affine map's where kinds were compared, and
            the marginal error and iterations of the flow.
        cv_results_: the scores of cross-validation, columns of equal length, where it chose.
        distillation_: the ``Solution`` of the network, and ``exact_map_``, what it learned from.
        outliers_: the rows of X that lie grossly outside of all others, ascending; empty where
            ``outliers`` is "keep".
        n_features_in_: d; and ``feature_names_in_``, the columns, where X was a data frame.

    >>> import numpy as np
    >>> X = np.random.default_rng(0).normal(size=(300, 2)) * [3.0, 0.1]
    >>> est = Generator(random_state=0).fit(X)
    >>> new = est.sample(1000, random_state=1)
    >>> new.shape, bool(np.allclose(new.std(axis=0), X.std(axis=0), rtol=0.1))
    ((1000, 2), True)

    Deb25; Theory (4.3), (4.6).
    """

    map_: AbstractMap
    source_: Gaussian | GaussianMixture
    candidates_: CandidateTable | None
    outliers_: np.ndarray
    solution_: Solution[AbstractMap]

    def __init__(
        self,
        *,
        source: str | None = None,
        epsilon: float | str | None = None,
        time: float | str | None = None,
        scaling: str = "columns",
        debias: bool = True,
        components: int | None = None,
        distill: bool = False,
        widths: tuple[int, ...] = (128, 64),
        folds: int = 3,
        effort: str | float = "auto",
        outliers: str = "warn",
        random_state: int | np.random.RandomState | None = None,
        verbose: bool = False,
        callback: ProgressCallback | None = None,
    ):
        self.source = source
        self.epsilon = epsilon
        self.time = time
        self.scaling = scaling
        self.debias = debias
        self.components = components
        self.distill = distill
        self.widths = widths
        self.folds = folds
        self.effort = effort
        self.outliers = outliers
        self.random_state = random_state
        self.verbose = verbose
        self.callback = callback

    def _html_repr(self) -> str:
        """What scikit-learn gives to a notebook; after a fit, with the candidates."""
        return estimator_html(self, vars(self).get("candidates_"))

    def fit(self, X: Any, y: None = None, sample_weight: Any = None) -> "Generator":
        """Learn the map onto X (n, d), an array, data frame or ``io.Table``; y is ignored.

        ``sample_weight`` is of the rows of X, (n,), as the weights of ``MongeMap.fit``; or the name
        of the column that holds them, which is then no coordinate.

        Raises:
            ValueError: entries that are no finite numbers, fewer than two points, constant columns,
                settings that are not what they should be, too few points for the folds.

        Warns:
            ConvergenceWarning: Sinkhorn did not reach its tolerance, and the marginal error is
                given; or the network of ``distill`` failed.
        """
        settings = self._settings()
        X, given = given_weights("sample_weight", sample_weight, "X", X)
        X = as_frame("X", X)
        names = column_names(X)
        x, weights, sound, self.outliers_, _ = sound_points(
            "X", X, self.outliers, names, weights=given
        )
        own = None if weights is None else weights[sound]
        settings.check_components(len(x))
        coordinates = scaled_coordinates(x[sound], settings.scaling, own)
        z = np.asarray(coordinates.encode_source(jnp.asarray(x)), x.dtype)
        with watched(self.verbose, self.callback) as tell:
            unit = float(coordinates.scale) ** 2
            fit = fit_generator(z, sound, settings.scaled(unit), tell, weights).in_units(unit)
            self._forget()
            self.map_ = map_in_units(fit.solution.map, coordinates, x.dtype)
            self.source_ = source_in_units(fit.law, coordinates, x.dtype)
            self.source_name_, self.epsilon_, self.time_ = fit.source, fit.epsilon, fit.time
            self.solution_ = dataclasses.replace(fit.solution, map=self.map_)
            keep_columns(self, x.shape[1], names)
            self._library = X.library if isinstance(X, Frame) else None
            self.candidates_ = fit.candidates
            if fit.cv_results is not None:
                self.cv_results_ = fit.cv_results
            if self.solution_.result is Result.interrupted:
                raise KeyboardInterrupt
            # Interrupted from here on, the exact map is there to be used.
            if self.distill:
                tell(Progress(0, 0, "distilling"))
                self._distill(jax.random.key(settings.random_state), tell)
        if self.solution_.result is Result.not_converged:
            warn_user(
                f"Sinkhorn stopped at a marginal error of {self.solution_.stats['error']:.2g} "
                f"after {self.solution_.stats['iterations']} iterations; take a larger epsilon.",
                ConvergenceWarning,
            )
        if self.distill and self.distillation_.result.failed:
            warn_user(self.distillation_.result.value, ConvergenceWarning)
        return self

    def sample(
        self, n_samples: int = 1, random_state: int | np.random.RandomState | None = None
    ) -> Any:
        """New points (n_samples, d), in the dtype of the data; a frame of its kind where X was one.

        Each is one evaluation of ``map_``, a block of points at a time: beside them and as many
        latent points memory does not grow with their number.
        """
        check_is_fitted(self)
        check_at_least("n_samples", n_samples, 0)
        values = self._generated(n_samples, drawn_seed(random_state))
        names = kept_columns(self)
        if names is None or self._library is None:
            return values
        return frame_like(values, names, self._library)

    def score(self, X: Any, y: None = None, sample_weight: Any = None) -> float:
        """Minus the squared energy distance of X (n, d) and as many points generated, unbiased.

        Higher is better; about 0 where nothing is left to learn. For data not fitted on; the same
        latent points at each call. y is ignored; ``sample_weight`` as in ``fit``.
        """
        X, weights = given_weights("sample_weight", sample_weight, "X", X)
        x = known_points(self, "X", X, min_points=2)
        return energy_score(self._generated(max(_SCORED, len(x)), 0), x, None, weights)

    def audit(
        self,
        X: Any,
        *,
        level: float = 0.95,
        budget: float = 20.0,
        box: Any = None,
        kurtosis: Any = None,
    ) -> "Certificate":
        """How far ``map_`` is from optimal, and whether it reaches fresh points X (n, d).

        As ``brenier.audit`` of ``map_`` from ``source_``, with a key from ``random_state``. The
        source is known, and declares itself.
        """
        from brenier.certify import audit

        x = known_points(self, "X", X, min_points=2)
        key = jax.random.key(drawn_seed(self.random_state))
        certificate = audit(
            self.map_,
            self.source_,
            x,
            key=key,
            level=level,
            budget=budget,
            box=box,
            kurtosis=kurtosis,
        )
        return with_names(certificate, kept_columns(self))

    def _generated(self, n: int, seed: int) -> np.ndarray:
        dtype = self.source_.sample(jax.random.key(seed), 0).dtype
        # Drawn in double precision: in single, equal keys give other numbers.
        wide = cast_floats(self.source_, np.float64)
        latent = np.asarray(wide.sample(jax.random.key(seed), n)).astype(dtype)
        if n == 0:
            return latent
        # What the map sums over at each point: data, pieces or units.
        most = max(max(leaf.shape, default=1) for leaf in jax.tree.leaves(self.map_))
        rows = min(n, int(np.clip(_PAIRS // most, 16, _BLOCK)))
        return in_blocks(self.map_, latent, rows).astype(latent.dtype, copy=False)

    def _settings(self) -> GeneratorSettings:
        return GeneratorSettings(
            source=self.source,
            epsilon=self.epsilon,
            time=self.time,
            scaling=self.scaling,
            debias=self.debias,
            components=self.components,
            folds=self.folds,
            widths=self.widths,
            effort=Effort.of(self.effort),
            random_state=drawn_seed(self.random_state),
        )

    def _distill(self, key: Key, tell: ProgressCallback) -> None:
        """Put a network in the place of the map, which stays beside it."""
        from brenier.flows import distill

        self.exact_map_ = self.map_
        solution = distill(
            self.exact_map_, self.source_, key=key, widths=self.widths, callback=tell, throw=False
        )
        if solution.result is Result.interrupted:
            raise KeyboardInterrupt
        self.distillation_, self.map_ = solution, solution.map

    def _forget(self) -> None:
        """Drop what an earlier fit left and this one may not set."""
        for name in ("cv_results_", "distillation_", "exact_map_"):
            if name in vars(self):
                delattr(self, name)
