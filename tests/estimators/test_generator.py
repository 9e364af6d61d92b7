"""Generator: scikit-learn's conventions, hard inputs, what it chooses and what it generates."""

import jax
import numpy as np
import pytest
from scipy.spatial import KDTree
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import brenier
from brenier import Generator
from brenier.estimators import _generator as module
from brenier.estimators import energy_score
from brenier.estimators.candidates import Fold, Trial
from brenier.estimators.generation import _latent as latent
from brenier.estimators.generation._one_shot import OneShotKind
from brenier.flows import default_flow_epsilon, sample_sinkhorn_flow
from brenier.maps import DebiasedMap, GradientMap
from brenier.measures import Gaussian, GaussianMixture, quasi_sample
from brenier.numerics import Coordinates, in_blocks

_LAW = GaussianMixture(
    np.full(4, 0.25),
    1.5 * np.array([[-1, -1], [-1, 1], [1, -1], [1, 1]]),
    np.tile(0.25 * np.eye(2), (4, 1, 1)),
)
_X = np.asarray(_LAW.sample(jax.random.key(0), 400))
_FRESH = np.asarray(_LAW.sample(jax.random.key(1), 4000))


@pytest.fixture(scope="module")
def fitted():
    return Generator(random_state=0).fit(_X)


@pytest.fixture(scope="module")
def flowed():
    """Sinkhorn's flow, as asked for."""
    return Generator(source="isotropic", epsilon="rule", random_state=0).fit(_X)


@pytest.mark.parametrize("which", ["fitted", "flowed"])
def test_generates_what_it_saw(which, request):
    made = request.getfixturevalue(which).sample(4000, random_state=2)
    gap = -energy_score(made, _FRESH)
    # A Gaussian fit is at 0.11; what 400 data miss themselves is of size E‖X − X'‖/400 = 7e-3.
    assert gap < 0.02
    # Not the data again: as far from them as fresh points, to half of that.
    assert _to_data(made) > 0.5 * _to_data(_FRESH)


def _to_data(points):
    """The median distance to the nearest point fitted on."""
    return np.median(KDTree(_X).query(points)[0])


def test_chosen_by_default(fitted):
    assert isinstance(fitted.map_, GradientMap)
    assert fitted.n_features_in_ == 2
    assert fitted.source_name_ == "isotropic"
    names = [row.name for row in fitted.candidates_]
    assert names[:6] == ["gaussian", "separable", "entropic", "log-sum-exp", "ridges", "one-shot"]
    assert fitted.candidates_.chosen.name not in ("gaussian", "one-shot")
    assert fitted.epsilon_ is None
    assert fitted.time_ is None
    stats = fitted.solution_.stats
    assert stats["kind"] == fitted.candidates_.chosen.name
    # Four modes are not a Gaussian.
    assert stats["gain"] > 5 * stats["gain_stderr"]
    assert not {"feature_names_in_", "cv_results_", "distillation_"} & set(vars(fitted))


def test_what_is_asked_for_is_not_compared(flowed):
    assert flowed.candidates_ is None
    assert flowed.epsilon_ > 0
    assert flowed.solution_.stats["error"] < 1e-3
    for settings in ({"source": "isotropic"}, {"epsilon": "rule"}, {"components": 3}):
        same = Generator(**settings, random_state=0).fit(_X)
        assert same.candidates_ is None
        np.testing.assert_array_equal(
            same.sample(3, random_state=1), flowed.sample(3, random_state=1)
        )


def _only_one_shot(*args, also, **settings):
    return list(also)


def test_sinkhorns_flow_chosen_alone(monkeypatch):
    monkeypatch.setattr(latent, "kinds_to_try", _only_one_shot)
    chosen = Generator(random_state=0).fit(_X)
    rule = default_flow_epsilon((_X - _X.mean(axis=0)) / _X.std(axis=0))
    assert chosen.epsilon_ == pytest.approx(chosen.candidates_.chosen.settings["ratio"] * rule)
    same = Generator(epsilon=chosen.epsilon_, random_state=0).fit(_X)
    np.testing.assert_array_equal(chosen.sample(9, random_state=1), same.sample(9, random_state=1))
    assert {"kind", "dual", "error"} <= set(chosen.solution_.stats)


def test_the_flow_on_the_host_is_the_flow():
    z = np.asarray(_LAW.sample(jax.random.key(2), 100)) * [1.0, 2.0]
    law = Gaussian(z.mean(axis=0), 2.0 * np.eye(2))
    moments = law.mean, law.covariance, z.mean(axis=0), np.cov(z.T)
    own = Coordinates.gaussian(*moments).on_host()
    particles = np.asarray(quasi_sample(law, 2048, key=jax.random.key(0)))
    rule = default_flow_epsilon(z)
    solution = sample_sinkhorn_flow(law, z, epsilon=rule, key=jax.random.key(0))
    kind = OneShotKind(law, particles, own, 10.0 * rule, lambda ratio: solution)
    potential = next(kind.ladder(own.encode_target(z), own, [1.0]))
    trial = Trial("one-shot", {"ratio": 1.0}, [], [], [], [])
    u, v = own.encode_source(particles), own.encode_target(z)
    kept = kind.refitted(trial, [], Fold(u, v, u, v, own))
    x = particles[:200]
    right = np.asarray(solution.map(x))
    moved, exact = (
        own.decode_target(phi.expand(own.encode_source(x)).gradient) for phi in (potential, kept)
    )
    np.testing.assert_allclose(exact, right, atol=1e-9)
    # Both stop where a thousandth or two of the mass is amiss; a mode is 3 deviations away.
    assert np.median(np.abs(moved - right)) < 0.02


def test_interrupted_the_best_so_far_is_kept():
    def stop(now):
        if now.stage == "separable":
            raise KeyboardInterrupt

    estimator = Generator(random_state=0, callback=stop)
    with pytest.raises(KeyboardInterrupt):
        estimator.fit(_X)
    assert [row.name for row in estimator.candidates_] == ["gaussian", "separable"]
    assert estimator.sample(3).shape == (3, 2)


@pytest.mark.slow
def test_clone_parameters_and_refit(fitted):
    import pandas as pd

    copy = clone(fitted)
    assert copy.get_params() == fitted.get_params()
    with pytest.raises(NotFittedError):
        copy.sample(3)
    frame = pd.DataFrame(_X, columns=["a", "b"])
    again = clone(fitted).fit(frame)
    assert again.feature_names_in_.tolist() == ["a", "b"]
    made = again.sample(5, random_state=0)
    assert made.columns.tolist() == ["a", "b"]
    np.testing.assert_array_equal(made.to_numpy(), fitted.sample(5, random_state=0))
    assert again.score(frame[["b", "a"]]) == fitted.score(_X)
    again.fit(_X)
    assert isinstance(again.sample(5), np.ndarray)


@pytest.mark.slow
def test_seeds(fitted, monkeypatch):
    np.testing.assert_array_equal(
        Generator(random_state=0).fit(_X).sample(7, random_state=1),
        fitted.sample(7, random_state=1),
    )
    assert (fitted.sample(7, random_state=1) != fitted.sample(7, random_state=2)).all()
    # Blocks change nothing but rounding.
    monkeypatch.setattr(module, "_BLOCK", 3)
    np.testing.assert_allclose(
        fitted.sample(7, random_state=1)[:3], fitted.map_(_latent(fitted, 7, 1))[:3], rtol=1e-9
    )
    assert fitted.sample(0).shape == (0, 2)


def _latent(fitted, n, seed):
    key = jax.random.key(int(np.random.RandomState(seed).randint(2**31 - 1)))
    return fitted.source_.sample(key, n)


@pytest.mark.slow
def test_units_do_not_matter(fitted):
    scaled = _X * [1e3, 1e-3] + [7.0, 0.0]
    made = Generator(random_state=0).fit(scaled).sample(50, random_state=1)
    plain = fitted.sample(50, random_state=1)
    np.testing.assert_allclose((made - [7.0, 0.0]) / [1e3, 1e-3], plain, atol=1e-6)


@pytest.mark.slow
def test_precision_does_not_matter(fitted):
    single = Generator(random_state=0).fit(_X.astype(np.float32)).sample(50, random_state=1)
    double = fitted.sample(50, random_state=1)
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, double, atol=1e-3 * double.std())


# Compiles once more for each dtype.
@pytest.mark.slow
def test_dtype_follows_the_input(fitted):
    single = Generator(random_state=0).fit(_X.astype(np.float32))
    made = single.sample(1000, random_state=1)
    assert made.dtype == np.float32
    assert single.map_.potential.matrix.dtype == np.float32
    assert fitted.sample(3).dtype == np.float64


@pytest.mark.slow
def test_the_map_is_saved_and_inverted(fitted, tmp_path):
    brenier.save(tmp_path / "map.brenier", fitted.map_)
    T = brenier.load(tmp_path / "map.brenier")
    latent = _latent(fitted, 5, 1)
    np.testing.assert_array_equal(T(latent), fitted.map_(latent))
    np.testing.assert_allclose(T.inverse()(T(latent)), latent, atol=1e-6)


@pytest.mark.slow
def test_mixtures_and_whitening(tmp_path):
    mixed = Generator(source="mixture", components=4, scaling="whitened", random_state=0).fit(_X)
    assert isinstance(mixed.map_, DebiasedMap)
    assert -energy_score(mixed.sample(4000, random_state=2), _FRESH) < 0.02
    brenier.save(tmp_path / "map.brenier", mixed.map_)
    back = brenier.load(tmp_path / "map.brenier")
    np.testing.assert_array_equal(back(_X[:3]), mixed.map_(_X[:3]))


@pytest.mark.slow
def test_cross_validation_chooses_among_sources():
    import pandas as pd

    chosen = Generator(source="cv", epsilon="cv", time="cv", random_state=0).fit(_X[:150])
    table = pd.DataFrame(chosen.cv_results_)
    assert len(table) == 3 * 5 * 6
    best = table.loc[table["mean_score"].idxmax()]
    assert best["source"] == chosen.source_name_
    assert set(table["source"]) == {"isotropic", "covariance", "mixture"}


@pytest.mark.slow
def test_cross_validation_of_epsilon(fitted):
    told = []
    chosen = Generator(epsilon="cv", folds=2, random_state=0, callback=told.append).fit(_X[:120])
    table = chosen.cv_results_
    assert table["epsilon_ratio"] == [8.0, 4.0, 2.0, 1.0, 0.5, 0.25]
    ratio = table["epsilon_ratio"][int(np.argmax(table["mean_score"]))]
    rule = Generator(random_state=0, epsilon="rule").fit(_X[:120]).epsilon_
    assert chosen.epsilon_ == pytest.approx(ratio * rule)
    assert "cross-validating" in {now.stage for now in told}


@pytest.mark.slow
def test_distillation(fitted):
    quick = Generator(distill=True, widths=(64, 32), random_state=0).fit(_X)
    assert quick.distillation_.stats["relative_error"] < 0.01
    assert isinstance(quick.map_, GradientMap)
    latent = _latent(quick, 100, 0)
    # Between modes, where the map is steep, single points differ.
    assert np.median(np.abs(quick.map_(latent) - quick.exact_map_(latent))) < 0.1
    assert -energy_score(quick.sample(4000, random_state=2), _FRESH) < 0.025


@pytest.mark.slow
def test_audit_and_scikit_learn(fitted):
    certificate = fitted.audit(_FRESH, budget=2.0)
    assert certificate.to_dict()["verdict"] is not None
    scores = cross_val_score(Generator(random_state=0), _X, cv=2)
    assert scores.shape == (2,)
    pipeline = make_pipeline(StandardScaler(), Generator(random_state=0)).fit(_X)
    assert pipeline.score(_FRESH) > -0.1


@pytest.mark.parametrize(
    ("settings", "x", "message"),
    [
        ({}, np.array([[0.0, np.nan], [1.0, 1.0]]), "X: got 1 NaN or infinite"),
        ({}, _X[:1], r"X: got shape \(1, 2\); wants at least 2 points"),
        ({}, _X * [1.0, 0.0], r"X: got constant columns \[1\]"),
        ({}, _X[:, 0], r"X: got shape \(400,\); wants \(n, d\)"),
        ({"source": "cube"}, _X, "source: got 'cube'; wants one of"),
        ({"epsilon": "small"}, _X, "epsilon: got 'small'; wants a number, 'rule' or 'cv'"),
        ({"epsilon": -1.0}, _X, "epsilon: got -1.0"),
        ({"time": "late"}, _X, "time: got 'late'"),
        ({"scaling": "rows"}, _X, "scaling: got 'rows'"),
        ({"folds": 1}, _X, "folds: got 1"),
        ({"effort": "much"}, _X, "effort: got 'much'"),
        ({"widths": ()}, _X, "widths: got"),
        ({"epsilon": "cv"}, _X[:5], "X: got 5 points; wants at least 6 for 3 folds"),
        ({"source": "mixture", "components": 0}, _X, "components: got 0"),
        ({"source": "mixture", "components": 9}, _X[:8], "components: got 9; wants at most 8"),
    ],
)
def test_bad_input(settings, x, message):
    with pytest.raises(ValueError, match=message):
        Generator(**settings).fit(x)


@pytest.mark.slow
def test_two_points_and_duplicates():
    made = Generator(random_state=0).fit(np.array([[0.0], [1.0]])).sample(20, random_state=0)
    assert np.isfinite(made).all()
    assert np.isfinite(Generator(random_state=0).fit(np.repeat(_X[:5], 9, axis=0)).sample(9)).all()


def test_what_does_not_converge_warns():
    with pytest.warns(ConvergenceWarning, match="marginal error of"):
        Generator(epsilon=1e-7, random_state=0).fit(_X[:30])


def test_outliers_are_named_or_dropped_or_kept(recwarn):
    spoilt = _X[:80].copy()
    spoilt[[7, 30], 1] = -9999.0
    options = {"effort": 0.0, "random_state": 0}
    with pytest.warns(UserWarning, match=r"X: 2 of 80 rows lie far .* \(first: row 7, column 1 is"):
        warned = Generator(**options).fit(spoilt)
    assert warned.outliers_.tolist() == [7, 30]
    dropped = Generator(outliers="drop", **options).fit(spoilt)
    assert dropped.outliers_.tolist() == [7, 30]
    clean = Generator(**options).fit(np.delete(spoilt, [7, 30], axis=0))
    assert clean.outliers_.tolist() == []
    np.testing.assert_array_equal(
        dropped.sample(9, random_state=1), clean.sample(9, random_state=1)
    )
    kept = Generator(outliers="keep", **options).fit(spoilt)
    assert kept.outliers_.tolist() == []
    assert not recwarn.list
    # Where they are only warned of, the moments are those of the others.
    spreads = [np.ptp(own.sample(200, random_state=1)[:, 1]) for own in (dropped, warned, kept)]
    assert max(spreads[:2]) < 20.0 < spreads[2]
    with pytest.raises(ValueError, match=r"outliers: got 'ignore'; wants one of \['warn', 'drop'"):
        Generator(outliers="ignore").fit(_X)


def test_samples_are_made_in_blocks(fitted, monkeypatch):
    sizes = []

    def spied(function, x, rows):
        sizes.append(rows)
        return in_blocks(function, x, rows)

    monkeypatch.setattr(module, "in_blocks", spied)
    fitted.sample(module._BLOCK + 1, random_state=0)
    assert sizes
    assert max(sizes) <= module._BLOCK


@pytest.mark.slow
def test_many_columns_are_not_met_by_pieces():
    x = np.random.default_rng(0).normal(size=(40, 21))
    names = [row.name for row in Generator(effort="best", random_state=0).fit(x).candidates_]
    assert names[:4] == ["gaussian", "separable", "entropic", "one-shot"]
    assert set(names[4:]) <= {"combination"}
