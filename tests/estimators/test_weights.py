"""Rows that count for several, or for a part of one: in every kind of map, and for all of a fit."""

import re
import warnings
from dataclasses import replace

import jax
import numpy as np
import pytest

from brenier import MongeMap, audit
from brenier.estimators.candidates import _kinds as kinds
from brenier.estimators.candidates._combination import CombinationKind
from brenier.estimators.candidates._trial import Fold, cut_folds
from brenier.estimators.data import _cloud, shrunk_covariance
from brenier.io import Table
from brenier.measures import Empirical
from brenier.numerics import Coordinates
from brenier.potentials.host import fit_soft_pieces, soft_hinges, soft_maximum

RANDOM = np.random.default_rng(0)
X, Y = RANDOM.normal(size=(90, 2)), np.exp(0.6 * RANDOM.normal(size=(80, 2)))
A, B = RANDOM.integers(1, 5, 90).astype(float), RANDOM.integers(1, 4, 80).astype(float)
FRESH = RANDOM.normal(size=(40, 2))


def _repeated(points, weights):
    return np.repeat(points, weights.astype(int), axis=0)


def _folds(x=X, y=Y, a=A, b=B):
    """The same folds, with weights and with repeated rows."""
    moments = (part for z, w in ((x, a), (y, b)) for part in _moments(_repeated(z, w)))
    own = Coordinates.gaussian(*moments).on_host()
    random = np.random.default_rng(0)
    folds = cut_folds(x, y, own, random, count=2, parts=2, weights=(a, b))
    return folds, [_written_out(fold) for fold in folds]


def _moments(points):
    return points.mean(axis=0), shrunk_covariance(points)


def _written_out(fold):
    (a, b), (a_held, b_held) = fold.weights, fold.held_weights
    u, v = _repeated(fold.u, a), _repeated(fold.v, b)
    u_held, v_held = _repeated(fold.u_held, a_held), _repeated(fold.v_held, b_held)
    return Fold(u, v, u_held, v_held, fold.coordinates)


def _images(trial):
    return np.stack([p.expand(FRESH.astype(p.precision)).gradient for p in trial.potentials])


# What is computed in single precision, and stopped at a tolerance, agrees as far as that goes.
@pytest.mark.parametrize(
    ("kind", "tolerance"),
    [
        (kinds.GaussianKind(), 1e-9),
        (kinds.SeparableKind(np.eye(2)), 1e-9),
        (kinds.EntropicKind(), 1e-4),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_whole_weights_are_repeated_rows(kind, tolerance):
    folds, written = _folds()
    pairs = list(
        zip(*(kind.trials(own, np.random.default_rng(0)) for own in (folds, written)), strict=True)
    )
    first = pairs[0]
    for own, other in pairs:
        assert own.settings == other.settings
        assert own.dual == pytest.approx(other.dual, abs=tolerance)
        errors = own.stderr_beside(first[0]), other.stderr_beside(first[1])
        assert errors[0] == pytest.approx(errors[1], abs=tolerance)
        np.testing.assert_allclose(_images(own), _images(other), atol=10.0 * tolerance)
        whole = [
            kind.refitted(own, found, found[0]).expand(FRESH).gradient for found in (folds, written)
        ]
        np.testing.assert_allclose(*whole, atol=10.0 * tolerance)


@pytest.mark.parametrize("start", [soft_maximum, soft_hinges])
def test_gauss_newton_with_whole_weights_is_that_of_repeated_rows(start):
    """From the same start; the curvature is that of other rows, hence not the same steps."""
    (fold, _), (written, _) = _folds()
    initial = start(fold.u, fold.v, 4, np.random.default_rng(1))
    one = fit_soft_pieces(initial, fold.u, fold.v, steps=40, weights=fold.weights)
    two = fit_soft_pieces(initial, written.u, written.v, steps=40)
    (own,) = (np.abs(one.expand(FRESH).gradient - two.expand(FRESH).gradient),)
    assert own.mean() < 0.02 * np.abs(FRESH).mean()
    slopes = [initial.mean_slope(fold.u, fold.weights[0]), initial.mean_slope(written.u)]
    np.testing.assert_allclose(*slopes, atol=1e-12)


@pytest.mark.parametrize("start", [soft_maximum, soft_hinges])
def test_starts_know_the_weights(start):
    """Rows of next to no weight are no centre of a cluster, and no place of a hinge."""
    u, v = np.concatenate([X, X + 50.0]), np.concatenate([Y, Y + 50.0])
    a, b = (np.repeat([1.0, 1e-9], len(z)) for z in (X, Y))
    found = start(u, v, 4, np.random.default_rng(0), a, *([b] if start is soft_maximum else []))
    centres = found.slopes if start is soft_maximum else found.offsets
    assert np.abs(centres).max() < 20.0


def test_shares_of_a_combination_are_those_of_repeated_rows():
    folds, written = _folds()
    shares = []
    for own in (folds, written):
        parts = [
            (kind, next(iter(kind.trials(own, np.random.default_rng(0)))))
            for kind in (kinds.GaussianKind(), kinds.SeparableKind(np.eye(2)))
        ]
        trial = next(CombinationKind(parts).trials(own, np.random.default_rng(0)), parts[1][1])
        shares.append((dict(trial.settings), trial.dual))
    assert shares[0][0] == pytest.approx(shares[1][0], abs=1e-6)
    assert shares[0][1] == pytest.approx(shares[1][1], abs=1e-9)


@pytest.fixture
def quick():
    def fit(x, y, *weights, **options):
        return MongeMap(**{"random_state": 0, "candidates": ["gaussian"], **options}).fit(
            x, y, *weights
        )

    return fit


def test_a_fit_and_its_score_are_those_of_repeated_rows(quick):
    """Of so few rows, the one map is the affine one of shrunk covariances."""
    x, y, a, b = X[:10], Y[:11], A[:10], B[:11]
    est = quick(x, y, a, b)
    rows, others = _repeated(x, a), _repeated(y, b)
    np.testing.assert_allclose(est.n_effective_, (len(rows), len(others)))
    wide, wider = _moments(rows), _moments(others)
    own = Coordinates.gaussian(*wide, *wider).on_host()
    np.testing.assert_allclose(
        est.transform(FRESH), own.decode_target(own.encode_source(FRESH)), rtol=1e-9
    )
    assert est.score(X, Y, A, B) == pytest.approx(
        est.score(_repeated(X, A), _repeated(Y, B)), rel=1e-9
    )


def test_rows_of_weight_0_are_not_there(quick):
    a, b = A * (np.arange(90) % 3 > 0), B * (np.arange(80) % 4 > 0)
    for options in ({}, {"candidates": ["separable"]}):
        full, less = quick(X, Y, a, b, **options), quick(X[a > 0], Y[b > 0], a[a > 0], b[b > 0])
        less = quick(X[a > 0], Y[b > 0], a[a > 0], b[b > 0], **options)
        np.testing.assert_array_equal(full.transform(FRESH), less.transform(FRESH))
        assert full.n_effective_ == less.n_effective_
        assert full.score(X, Y, a, b) == less.score(X[a > 0], Y[b > 0], a[a > 0], b[b > 0])


@pytest.mark.parametrize(
    "kind",
    [
        *("gaussian", "separable", "entropic"),
        *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("log-sum-exp", "ridges")),
    ],
)
def test_only_ratios_of_weights_count(kind, quick):
    a, b = A + 0.25, B + 0.5
    one, two = (
        quick(X, Y, scale * a, scale * b, candidates=[kind]).transform(FRESH)
        for scale in (1.0, 2.0**-40)  # the other way these would be whole
    )
    np.testing.assert_array_equal(one, two)


def test_equal_weights_are_none(quick):
    plain = quick(X, Y).transform(FRESH)
    for equal in (0.3, 1.0):
        own = quick(X, Y, np.full(90, equal), np.full(80, equal))
        assert own.n_effective_ == (90.0, 80.0)
        np.testing.assert_array_equal(own.transform(FRESH), plain)  # the same steps, and time
    far = np.concatenate([X, X[:5] + 9.0]), Y, np.r_[np.full(90, 0.3), np.zeros(5)]
    np.testing.assert_array_equal(quick(*far).transform(FRESH), plain)


@pytest.mark.daily("separable", "entropic")
@pytest.mark.parametrize(
    "tiny", [1e-300, *(pytest.param(t, marks=pytest.mark.slow) for t in (1e-31, 1e-29, 1e-12))]
)
@pytest.mark.parametrize("kind", ["gaussian", "separable", "entropic", "log-sum-exp", "ridges"])
def test_a_tiny_weight_changes_nothing(kind, tiny, quick):
    a, b = A.copy(), B.copy()
    a[5], b[[7, 8]] = tiny, tiny
    est = quick(X, Y, a, b, candidates=[kind])
    assert np.isfinite(est.transform(FRESH)).all()
    assert np.isfinite(est.score(X, Y, a, b))
    assert len(est.candidates_) > 0
    assert not est.candidates_.chosen.error


def test_huge_weights_do_not_overflow(quick):
    est = quick(X, Y, 1e308 * (A / A.max()))
    np.testing.assert_allclose(est.n_effective_[0], A.sum() ** 2 / (A @ A))


def _survey(n, seed):
    """A law seen with chances that depend on the point, and the map from it onto another."""
    random = np.random.default_rng(seed)
    z = random.normal(size=(8 * n, 2))
    chance = 1.0 / (1.0 + np.exp(1.5 * z[:, 0]))
    seen = np.flatnonzero(random.uniform(size=len(z)) < chance)[:n]
    return z[seen], 1.0 / chance[seen], _bent(random.normal(size=(n, 2)))


def _bent(z):
    return z + 0.5 * np.tanh(2.0 * z) + 1.0


@pytest.mark.parametrize("kind", ["gaussian", "separable", "entropic"])
def test_weights_undo_unequal_chances(kind, quick):
    """Errors with weights are a tenth of those without, which do not fall with n."""
    fresh = np.random.default_rng(9).normal(size=(1000, 2))
    x, chances, y = _survey(600, 1)
    errors = [
        np.mean((quick(x, y, own, candidates=[kind]).transform(fresh) - _bent(fresh)) ** 2)
        for own in (None, chances)
    ]
    assert errors[1] < 0.2 * errors[0]


def test_a_large_cloud_is_drawn_by_weight(monkeypatch):
    monkeypatch.setattr(_cloud, "MOST_POINTS", 1000)
    monkeypatch.setattr(_cloud, "_ROWS", 333)
    random = np.random.default_rng(0)
    points, weights = random.normal(size=(5000, 2)), random.integers(0, 4, 5000).astype(float)
    cloud = _cloud.read_cloud(
        "X", points, 2, random_state=0, outliers="warn", columns=None, weights=weights
    )
    rows = _repeated(points, weights)
    np.testing.assert_allclose(cloud.mean + cloud.origin, rows.mean(axis=0), rtol=1e-9)
    np.testing.assert_allclose(cloud.covariance, np.cov(rows.T, ddof=0), rtol=1e-9)
    assert cloud.rows == weights.sum()
    seen = cloud.points + cloud.origin
    own = np.average(seen, axis=0, weights=cloud.weights)
    np.testing.assert_allclose(own, rows.mean(axis=0), atol=4.0 / np.sqrt(1000))
    few = np.where(np.arange(5000) < 900, weights + 1.0, 0.0)
    cloud = _cloud.read_cloud(
        "X", points, 2, random_state=0, outliers="warn", columns=None, weights=few
    )
    np.testing.assert_array_equal(cloud.weights, few[:900])
    np.testing.assert_allclose(cloud.points + cloud.origin, points[:900], atol=1e-12)


def test_weights_stay_beside_their_rows_where_outliers_are_left_out(quick):
    x, a = X.copy(), A.copy()
    x[[3, 50]] = -1e5
    a[10] = 0.0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        est = quick(x, Y, a, B, outliers="drop")
    assert est.outliers_[0].tolist() == [3, 50]
    kept = np.delete(np.arange(90), [3, 10, 50])
    exact = quick(X[kept], Y, A[kept], B)
    np.testing.assert_allclose(est.transform(FRESH), exact.transform(FRESH), rtol=1e-9)


def test_weights_in_components():
    random = np.random.default_rng(0)
    x = random.normal(size=(40, 6)) * [5.0, 3.0, 1.0, 1.0, 1.0, 1.0]
    y, a = x[:30] @ np.diag([1.0, 2.0, 1.0, 1.0, 1.0, 1.0]) + 1.0, random.integers(0, 4, 40)
    est = MongeMap(random_state=0, components=2, candidates=["gaussian"])
    own = est.fit(x, y, a.astype(float)).map_
    rows = est.fit(_repeated(x, a.astype(float)), y).map_
    np.testing.assert_allclose(own.basis @ own.basis.T, rows.basis @ rows.basis.T, atol=1e-9)
    np.testing.assert_allclose(own.centre, rows.centre, atol=1e-12)
    np.testing.assert_allclose(own.shift, rows.shift, atol=1e-9)


def test_columns_of_weights_are_no_coordinates(quick):
    import anndata
    import pandas as pd

    exact = quick(X, Y, A, B).transform(FRESH)
    frames = [pd.DataFrame({"a": z[:, 0], "w": w, "b": z[:, 1]}) for z, w in ((X, A), (Y, B))]
    est = quick(*frames, "w", "w")
    assert est.feature_names_in_.tolist() == ["a", "b"]
    np.testing.assert_array_equal(est.transform(FRESH), exact)
    assert est.score(*frames, "w", "w") == est.score(X, Y, A, B)
    tables = [Table(frame.to_numpy(), names=tuple(frame.columns)) for frame in frames]
    np.testing.assert_array_equal(quick(*tables, "w", "w").transform(FRESH), exact)
    series = [pd.Series(w, index=np.arange(len(w))[::-1]) for w in (A, B)]
    np.testing.assert_array_equal(quick(X, Y, *series).transform(FRESH), exact)
    cells = []
    for z, w in ((X, A), (Y, B)):
        names = [str(i) for i in range(len(z))]
        cells.append(anndata.AnnData(z, pd.DataFrame({"w": w}, index=names)))
        cells[-1].obsm["own"] = z
    est = quick(*cells, "w", "w", obsm="own")
    np.testing.assert_array_equal(est.transform(cells[0]), quick(X, Y, A, B).transform(X))
    assert est.score(*cells, "w", "w") == quick(X, Y, A, B).score(X, Y, A, B)


def test_atoms_of_a_measure_are_weighted_points(quick):
    own = quick(Empirical(X, A), Y).transform(FRESH)
    np.testing.assert_allclose(own, quick(X, Y, A / A.sum()).transform(FRESH), rtol=1e-9)
    with pytest.raises(ValueError, match=r"source_weights: got weights of the measure Empirical"):
        quick(Empirical(X), Y, A)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (A[:-1], "got shape (89,); wants one weight for each of 90 rows."),
        (A[:, None], "got shape (90, 1); wants one weight for each of 90 rows."),
        (np.zeros(90), "got weights that are all zero; wants some above 0."),
        (-A, "got 90 negative, NaN or infinite weights, the first"),
        (np.where(np.arange(90) == 4, np.nan, A), "the first nan in row 4; wants finite numbers"),
        (np.where(np.arange(90) == 4, np.inf, A), "the first inf in row 4; wants finite numbers"),
        (["a"] * 90, "got dtype <U1; wants real numbers."),
        ("w", "got the name 'w' beside ndarray, which has no named columns"),
    ],
)
def test_bad_weights_are_named(weights, message, quick):
    with pytest.raises(ValueError, match=r"^source_weights: .*" + re.escape(message)):
        quick(X, Y, weights)
    with pytest.raises(ValueError, match=r"^target_weights: "):
        quick(Y, X, None, weights)
    est = quick(X, Y)
    with pytest.raises(ValueError, match=r"^target_weights: "):
        est.score(Y, X, None, weights)


def test_too_few_rows_of_a_weight_are_named(quick):
    with pytest.raises(ValueError, match=r"^X without rows of weight 0: got shape \(1, 2\)"):
        quick(X, Y, (np.arange(90) == 3).astype(float))
    with pytest.raises(ValueError, match=r"sample_weight: got weights beside source_weights"):
        quick(X, Y, A, B, A)


def test_metadata_of_scikit_learn_are_routed():
    import sklearn
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    scaled = StandardScaler().fit_transform(X)
    exact = MongeMap(random_state=0, candidates=["gaussian"]).fit(scaled, Y, A, B)
    with sklearn.config_context(enable_metadata_routing=True):
        for name in ("source_weights", "sample_weight"):
            est = MongeMap(random_state=0, candidates=["gaussian"])
            est.set_fit_request(**{name: True}, target_weights=True)
            est.set_score_request(**{name: True}, target_weights=True)
            scaler = StandardScaler().set_fit_request(sample_weight=False)
            pipe = make_pipeline(scaler, est).fit(X, Y, **{name: A}, target_weights=B)
            np.testing.assert_array_equal(pipe.transform(X), exact.transform(scaled))
            score = pipe.score(X, Y, **{name: A}, target_weights=B)
            assert score == exact.score(scaled, Y, A, B)


def test_a_record_of_a_fit_holds_its_weights(tmp_path):
    """Taken up again, it is the same; other weights are another fit."""

    def fitted(weights, folder):
        est = MongeMap(random_state=0, candidates=["gaussian", "separable"], checkpoint=folder)
        return est.fit(X, Y, weights).transform(FRESH)

    folder = str(tmp_path / "fit")
    first = fitted(A, folder)
    np.testing.assert_array_equal(fitted(A, folder), first)
    with pytest.raises(ValueError, match=r"a fit of other data"):
        fitted(A[::-1], folder)


def test_folds_carry_their_weights():
    (fold, _), _ = _folds()
    back = fold.reversed()
    assert back.weights == (fold.weights[1], fold.weights[0])
    assert [len(w) for w in fold.fewer_held(7).held_weights] == [7, 7]
    assert [len(w) for w in fold.first(9).weights] == [9, 9]
    trial = next(kinds.GaussianKind().trials([fold], np.random.default_rng(0)))
    assert trial.reversed("back").dual == trial.dual
    assert replace(trial, weights=[(None, None)]).dual != trial.dual


@pytest.mark.slow
@pytest.mark.parametrize(
    "options", [{"effort": "quick"}, pytest.param({"source": "covariance"}, marks=pytest.mark.slow)]
)
def test_a_generator_makes_what_its_weights_say(options):
    """Half of the rows have no weight to speak of: what is made is like the others."""
    from brenier import Generator

    data = np.concatenate([X, X[:40] + 30.0])
    weights = np.repeat([1.0, 0.0], [90, 40])
    est = Generator(random_state=0, **options).fit(data, sample_weight=weights)
    alone = Generator(random_state=0, **options).fit(X)
    own, other = (one.sample(500, random_state=0) for one in (est, alone))
    np.testing.assert_allclose(own, other, atol=1e-6)
    small = Generator(random_state=0, **options).fit(data, sample_weight=weights + 1e-6)
    np.testing.assert_allclose(small.sample(500, random_state=0).mean(axis=0), X.mean(0), atol=0.3)
    score = est.score(data, sample_weight=weights)
    assert score == pytest.approx(est.score(X), abs=1e-9)


@pytest.mark.slow
def test_sinkhorns_flow_onto_weighted_data_is_that_onto_repeated_rows():
    from brenier.flows import sample_sinkhorn_flow
    from brenier.measures import Gaussian
    from brenier.numerics import default_flow_epsilon

    law = Gaussian(Y.mean(axis=0), np.eye(2))
    options = {"epsilon": 0.3, "particles": 300, "tolerance": 1e-9}
    for time in (None, 3.0):
        one = sample_sinkhorn_flow(law, Y, weights=B, time=time, **options)
        two = sample_sinkhorn_flow(law, _repeated(Y, B), time=time, **options)
        np.testing.assert_allclose(one.map(FRESH), two.map(FRESH), atol=1e-6)
    assert default_flow_epsilon(Y, B) == pytest.approx(
        default_flow_epsilon(_repeated(Y, B)), rel=1e-2
    )
    with pytest.raises(ValueError, match=r"weights: got weights of 0"):
        sample_sinkhorn_flow(law, Y, weights=B * (np.arange(80) > 0), **options)


@pytest.mark.slow
def test_a_network_knows_the_weights():
    """Trained on a sample with unequal chances, it is nearer than without its weights."""
    from brenier.flows import SemiDual

    fresh = np.random.default_rng(9).normal(size=(1000, 2))
    x, chances, y = _survey(3000, 1)
    errors = []
    for own in (None, chances):
        method = SemiDual(steps=600, batch=256)
        est = MongeMap(random_state=0, method=method, widths=(32,)).fit(x, y, own)
        errors.append(np.mean((est.transform(fresh) - _bent(fresh)) ** 2))
    assert errors[1] < 0.2 * errors[0]


def test_weights_of_points_held_out_of_a_network_are_theirs():
    """The permutation that cuts the points cuts the weights."""
    import jax

    from brenier.estimators.data import Layout, StandardData, read_pair

    x = np.linspace(-1.0, 1.0, 200)[:, None]
    pair = read_pair(
        x,
        x,
        Layout(None, None, None),
        outliers="keep",
        random_state=0,
        key=jax.random.key(0),
        weights=(x[:, 0] + 2.5, None),
    )
    keys = jax.random.split(jax.random.key(1))
    data = StandardData.of(pair, pair.coordinates, np.float64, keys=(keys[0], keys[1]))
    for points, weights in ((data.u, data.weights[0]), (data.u_held, data.held_weights[0])):
        slope = np.polyfit(np.asarray(points)[:, 0], weights, 1)
        np.testing.assert_allclose(np.polyval(slope, np.asarray(points)[:, 0]), weights)
    assert data.weights[1] is None
    measures = data.measures
    assert measures[0].weights is not None
    assert measures[1].weights is None


@pytest.mark.parametrize("huge", [1e12, 0.7e5])
def test_one_row_that_has_nearly_all_weight_is_named(huge):
    weights = np.where(np.arange(90) == 7, huge, 1.0)
    said = r"source_weights: row 7 has 99\.\d+% of all weight, and 90 rows count for 1"
    if huge == 1e12:
        said = said.replace(r"99\.\d+%", r"100\.000%")
    with pytest.warns(UserWarning, match=said):
        MongeMap(random_state=0, candidates=["gaussian"]).fit(X, Y, source_weights=weights)


def test_a_series_of_weights_in_another_order_is_refused():
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(X, columns=["a", "b"], index=[f"r{i}" for i in range(len(X))])
    target = pd.DataFrame(Y, columns=["a", "b"])
    series = pd.Series(A, index=frame.index)
    est = MongeMap(random_state=0, candidates=["gaussian"])
    known = est.fit(frame, target, source_weights=A).transform(frame)
    for same in (series, series.reset_index(drop=True)):  # the latter only counts its rows
        np.testing.assert_array_equal(
            est.fit(frame, target, source_weights=same).transform(frame), known
        )
    for other in (series[::-1], series.rename({"r0": "s0"})):
        with pytest.raises(ValueError, match="source_weights: got a Series whose index is not"):
            est.fit(frame, target, source_weights=other)


def test_an_audit_takes_the_name_of_a_column():
    pd = pytest.importorskip("pandas")
    x, y = pd.DataFrame(X, columns=["a", "b"]), pd.DataFrame(Y, columns=["b", "a"])
    map = MongeMap(random_state=0, candidates=["gaussian"]).fit(x, y).map_
    options = {"key": jax.random.key(0), "budget": 0.1}
    known = audit(map, x, y, source_weights=A, target_weights=B, **options)
    named = audit(
        map, x.assign(w=A), y.assign(v=B), source_weights="w", target_weights="v", **options
    )
    assert named.cost.value == known.cost.value
    with pytest.raises(ValueError, match="source_weights: got 'u'; wants a column"):
        audit(map, x, y, source_weights="u", **options)
    with pytest.raises(ValueError, match="source_weights: got the name 'w' beside ndarray"):
        audit(map, X, Y, source_weights="w", **options)
