"""Labels of target points for source points: exact where kinds are apart, calibrated where not."""

import copy
import pickle
from dataclasses import replace

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError

from brenier import MongeMap
from brenier.estimators import transfer_labels, transition_table
from brenier.estimators.labels._vote import Vote
from brenier.measures import Gaussian

RANDOM = np.random.default_rng(0)
KINDS = np.array(["a", "b", "c"])


def _blobs(n, far, random):
    codes = random.integers(0, 3, n)
    centres = far * np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    return centres[codes] + random.normal(size=(n, 2)), KINDS[codes]


X, X_KINDS = _blobs(150, 12.0, RANDOM)
Y, Y_KINDS = _blobs(160, 12.0, RANDOM)
Y = 2.0 * Y + 5.0


@pytest.fixture(scope="module")
def fitted():
    return MongeMap(effort=0, random_state=0).fit(X, Y)


def test_kinds_that_lie_apart_are_found_and_kept_apart(fitted):
    found = fitted.transfer_labels(X, Y_KINDS)
    assert (found.labels == X_KINDS).all()
    assert found.probability.min() > 0.9
    np.testing.assert_allclose(found.probabilities.sum(axis=1), 1.0, rtol=1e-12)
    fresh, kinds = _blobs(40, 12.0, np.random.default_rng(1))
    assert (fitted.transfer_labels(fresh, Y_KINDS, Y).labels == kinds).all()
    table = fitted.transition_table(X_KINDS, Y_KINDS)
    np.testing.assert_allclose(table.shares, np.eye(3), atol=0.05)
    np.testing.assert_allclose(table.shares.sum(axis=1), 1.0, rtol=1e-12)
    assert table.counts.tolist() == [int((kind == X_KINDS).sum()) for kind in KINDS]
    assert table.to_dict()["b"]["b"] == table.shares[1, 1]
    assert str(table).splitlines()[0].split() == list(KINDS)


def test_probabilities_are_those_of_the_law():
    # Two Gaussians that overlap: P(b | x) = 1/(1 + exp(1/2 − x₀)) exactly.
    random = np.random.default_rng(2)
    codes = random.integers(0, 2, 4000)
    points = random.normal(size=(4000, 2)) + codes[:, None] * [1.0, 0.0]
    asked = random.normal(size=(2000, 2)) + random.integers(0, 2, 2000)[:, None] * [1.0, 0.0]
    found = transfer_labels(asked, points, codes).probabilities[:, 1]
    exact = 1.0 / (1.0 + np.exp(0.5 - asked[:, 0]))
    # 64 votes err by 1/16 at most each, and their kernel by as much.
    assert np.abs(found - exact).mean() < 0.08
    # Those who say p are right in a share p: within four standard errors and the smoothing.
    for low in (0.2, 0.4, 0.6):
        said = (found >= low) & (found < low + 0.2)
        error = 4.0 * 0.5 / np.sqrt(said.sum())
        assert abs(found[said].mean() - exact[said].mean()) < error


def test_units_and_places_do_not_matter():
    points, kinds = _blobs(200, 2.0, np.random.default_rng(3))
    asked = points[:50] + 0.1
    here = transfer_labels(asked, points, kinds).probabilities
    units = np.array([2.0**30, 2.0**-20])
    there = transfer_labels(asked * units, points * units, kinds).probabilities
    np.testing.assert_allclose(there, here, atol=1e-9)
    far = 2.0**20
    there = transfer_labels(asked + far, points + far, kinds).probabilities
    np.testing.assert_allclose(there, here, atol=1e-6)


def test_equal_points_and_kinds_of_one_member_are_taken():
    points = np.repeat([[0.0, 0.0], [1.0, 1.0]], 40, axis=0)
    kinds = np.repeat(["a", "b"], 40)
    found = transfer_labels(points[::40], points, kinds)
    assert found.labels.tolist() == ["a", "b"]
    kinds = [*kinds[:-1], "alone"]
    assert transfer_labels(points[::40], points, kinds).classes.tolist() == ["a", "alone", "b"]
    everyone = transfer_labels(points, points, ["same"] * 80)
    assert everyone.probability.tolist() == [1.0] * 80
    few = transfer_labels(points[:1], np.eye(2), ["a", "b"])
    np.testing.assert_allclose(few.probabilities.sum(), 1.0)


@pytest.mark.parametrize(
    "hold",
    [
        list,
        np.asarray,
        lambda kinds: pytest.importorskip("pandas").Series(kinds).astype("category"),
        lambda kinds: pytest.importorskip("polars").Series(kinds),
        lambda kinds: pytest.importorskip("pyarrow").chunked_array([kinds]),
    ],
)
def test_labels_may_be_held_by_anything(hold, fitted):
    found = fitted.transfer_labels(X[:5], hold(list(Y_KINDS)))
    assert found.labels.tolist() == X_KINDS[:5].tolist()


def test_numbers_are_labels_too(fitted):
    days = np.searchsorted(KINDS, Y_KINDS)
    assert fitted.transfer_labels(X[:3], days).classes.tolist() == [0, 1, 2]


BAD = {
    "too few": (Y_KINDS[:-1], r"Y_labels: got shape \(159,\); wants a label for each of 160 rows"),
    "a missing one": ([None, *Y_KINDS[1:]], r"Y_labels: got no label .* for 1 of 160 rows"),
    "an empty one": (["", *Y_KINDS[1:]], r"Y_labels: got no label"),
    "NaN": ([np.nan, *np.ones(159)], r"Y_labels: got no label"),
    "of two kinds": ([1, *Y_KINDS[1:]], r"Y_labels: got numbers and strings"),
    "a name": ("kind", r"Y_labels: got the name 'kind' beside a ndarray, which has no named"),
    "an infinite one": ([np.inf, *np.ones(159)], r"Y_labels: got an infinite label for 1 of 160"),
}


@pytest.mark.parametrize("fault", BAD)
def test_bad_labels_are_named(fault, fitted):
    labels, phrase = BAD[fault]
    with pytest.raises(ValueError, match=phrase):
        fitted.transfer_labels(X, labels)
    with pytest.raises(ValueError, match=phrase):
        fitted.transition_table(X_KINDS, labels)


def test_labels_of_the_source_are_checked_too(fitted):
    with pytest.raises(ValueError, match=r"X_labels: got shape \(3,\); wants a label for each of"):
        fitted.transition_table(KINDS, Y_KINDS)


def test_a_copy_is_without_the_points_of_the_fit(fitted):
    for twin in (pickle.loads(pickle.dumps(fitted)), copy.deepcopy(fitted)):
        with pytest.raises(ValueError, match="Y: got no points, and the estimator has those of"):
            twin.transfer_labels(X, Y_KINDS)
        assert (twin.transfer_labels(X, Y_KINDS, Y).labels == X_KINDS).all()
        with pytest.raises(ValueError, match="X: got no points"):
            twin.transition_table(X_KINDS, Y_KINDS, Y=Y)


def test_a_measure_has_no_labels():
    est = MongeMap(effort=0, random_state=0, candidates=["gaussian"]).fit(X, Y)
    with pytest.raises(ValueError, match="Y: got the measure Gaussian, of which there are no"):
        est.transfer_labels(X, Y_KINDS, Gaussian(np.zeros(2), np.eye(2)))


def test_of_cells_columns_of_obs_are_taken_by_name():
    anndata = pytest.importorskip("anndata")
    pd = pytest.importorskip("pandas")
    factors = RANDOM.normal(size=(2, 20))
    x, y = (
        anndata.AnnData(
            cloud @ factors,
            obs=pd.DataFrame(
                {"kind": pd.Categorical(kinds)}, index=[f"cell{i}" for i in range(len(kinds))]
            ),
        )
        for cloud, kinds in ((X, X_KINDS), (Y, Y_KINDS))
    )
    est = MongeMap(effort=0, random_state=0, components=2).fit(x, y)
    found = est.transfer_labels(x, "kind")
    x.obs = x.obs.assign(**found.columns("predicted"))
    assert (np.asarray(x.obs["predicted"]) == X_KINDS).all()
    assert x.obs["predicted_probability"].min() > 0.9
    np.testing.assert_allclose(est.transition_table("kind", "kind").shares, np.eye(3), atol=0.05)
    with pytest.raises(ValueError, match=r"Y_labels: got no column 'type' in obs; wants one of \["):
        est.transfer_labels(x, "type")


def test_of_data_frames_columns_are_taken_by_name_and_are_no_coordinates():
    pd = pytest.importorskip("pandas")
    x, y = (pd.DataFrame(cloud, columns=["g", "h"]) for cloud in (X, Y))
    est = MongeMap(effort=0, random_state=0).fit(x, y)
    labelled = y.assign(kind=pd.Categorical(Y_KINDS), w=1.0)
    plain = est.transfer_labels(x, Y_KINDS)
    found = est.transfer_labels(x, "kind", labelled[["kind", "h", "g"]])
    np.testing.assert_array_equal(found.probabilities, plain.probabilities)
    found = est.transfer_labels(x, "kind", labelled, target_weights="w")
    np.testing.assert_allclose(found.probabilities, plain.probabilities, atol=1e-12)
    both = x.assign(kind=X_KINDS), labelled[["g", "h", "kind"]]
    table = est.transition_table("kind", "kind", *both)
    np.testing.assert_array_equal(table.shares, est.transition_table(X_KINDS, Y_KINDS).shares)
    with pytest.raises(ValueError, match=r"Y_labels: got 'type'; wants a column, one of \['g'"):
        est.transfer_labels(x, "type", labelled)


def test_labels_before_a_fit_are_refused_as_all_else_is():
    with pytest.raises(NotFittedError, match="This MongeMap instance is not fitted yet"):
        MongeMap().transfer_labels(X, Y_KINDS)
    with pytest.raises(NotFittedError, match="This MongeMap instance is not fitted yet"):
        MongeMap().transition_table(X_KINDS, Y_KINDS)


def test_the_table_is_the_mean_of_soft_labels():
    points, kinds = _blobs(300, 1.5, np.random.default_rng(4))
    table = transition_table(points, points, kinds, kinds)
    soft = transfer_labels(points, points, kinds).probabilities
    for row, kind in zip(table.shares, table.sources, strict=True):
        np.testing.assert_allclose(row, soft[kinds == kind].mean(axis=0), rtol=1e-12)


def _repeated(points, kinds, weights):
    rows = np.repeat(np.arange(len(points)), weights)
    return points[rows], kinds[rows]


def test_whole_weights_vote_as_repeated_rows():
    random = np.random.default_rng(5)
    points, kinds = _blobs(120, 2.0, random)
    weights = random.integers(1, 4, 120)
    asked = points[:40] + 0.1
    one = Vote.chosen(points, np.searchsorted(KINDS, kinds), weights.astype(float))
    rows = np.repeat(np.arange(120), weights)
    # Of the same settings: repeats, each guessed by its twins, would choose others.
    twin = replace(one, points=one.points[rows], codes=one.codes[rows], masses=np.ones(len(rows)))
    np.testing.assert_allclose(one(asked), twin(asked), rtol=1e-12)
    table = transition_table(points, points, kinds, kinds, weights, weights)
    soft = transfer_labels(points, points, kinds, weights).probabilities
    for row, kind, count in zip(table.shares, table.sources, table.counts, strict=True):
        own = kinds == kind
        np.testing.assert_allclose(row, np.average(soft[own], axis=0, weights=weights[own]))
        assert count == weights[own].sum()


@pytest.mark.parametrize("unit", [1.0, 0.5, 7.25])
def test_a_point_of_weight_0_is_not_there_and_units_do_not_matter(unit):
    random = np.random.default_rng(6)
    points, kinds = _blobs(90, 2.0, random)
    weights = unit * random.uniform(0.2, 1.0, 90)
    asked = points[:20] + 0.1
    here = transfer_labels(asked, points, kinds, weights).probabilities
    more, others = np.concatenate([points, asked]), np.concatenate([kinds, ["d"] * 20])
    there = transfer_labels(asked, more, others, np.concatenate([weights, np.zeros(20)]))
    assert there.classes.tolist() == list(KINDS)
    np.testing.assert_allclose(there.probabilities, here, rtol=1e-9)
    if unit == 1.0:
        other = transfer_labels(asked, points, kinds, 0.5 * weights).probabilities
        np.testing.assert_allclose(other, here, rtol=1e-9)


def test_a_weighted_sample_has_the_probabilities_of_the_law():
    # As above, but "b" is seen four times as rarely: P(b | x) = 1/(1 + exp(1/2 − x₀)) with weights.
    random = np.random.default_rng(7)
    codes = (random.uniform(size=3000) < 0.2).astype(int)
    points = random.normal(size=(3000, 2)) + codes[:, None] * [1.0, 0.0]
    asked = random.normal(size=(500, 2)) + np.array([0.5, 0.0])
    exact = 1.0 / (1.0 + np.exp(0.5 - asked[:, 0]))
    weighted, plain = (
        np.abs(transfer_labels(asked, points, codes, own).probabilities[:, 1] - exact).mean()
        for own in (np.where(codes == 1, 4.0, 1.0) / 3.0, None)
    )
    assert weighted < 0.1  # 64 votes err by 1/16
    assert plain > 0.2


def test_a_weighted_fit_uses_its_weights():
    random = np.random.default_rng(8)
    weights = random.integers(0, 3, len(Y)).astype(float)
    own = random.integers(1, 3, len(X)).astype(float)
    est = MongeMap(effort=0, random_state=0, candidates=["gaussian"])
    est.fit(X, Y, source_weights=own, target_weights=weights)
    found = est.transfer_labels(X[:9], Y_KINDS)
    told = est.transfer_labels(X[:9], Y_KINDS, Y, target_weights=weights)
    np.testing.assert_array_equal(found.probabilities, told.probabilities)
    table = est.transition_table(X_KINDS, Y_KINDS)
    assert table.counts.tolist() == [int(own[kind == X_KINDS].sum()) for kind in KINDS]
    again = est.transition_table(X_KINDS, Y_KINDS, X, Y, own, weights)
    np.testing.assert_array_equal(table.shares, again.shares)
    with pytest.raises(ValueError, match=r"target_weights: got shape \(2,\); wants one weight for"):
        est.transfer_labels(X, Y_KINDS, target_weights=[1.0, 2.0])
