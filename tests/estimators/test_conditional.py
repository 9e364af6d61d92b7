"""Maps of conditions, against laws whose maps are known for every condition."""

import warnings

import anndata
import numpy as np
import pandas as pd
import pytest
import sklearn

import brenier
from brenier import ConditionalMongeMap
from brenier.estimators.candidates import discard_record
from brenier.estimators.conditional._gaussian_part import gaussian_part
from brenier.estimators.conditional._sides import Side, Sides, within_conditions
from brenier.maps import ConditionalMap

DOSES = np.array([0.0, 1.0, 2.0, 3.0])


def known(dose: float) -> tuple[np.ndarray, np.ndarray]:
    """A and b of the Monge map x ↦ Ax + b of a dose."""
    turn = np.array([[0.8, -0.6], [0.6, 0.8]])
    return turn @ np.diag(np.exp([0.3 * dose, -0.2 * dose])) @ turn.T, np.array([dose, 4.0])


def rows(x: np.ndarray, doses: np.ndarray) -> np.ndarray:
    """The image of every row under the known map of its dose."""
    images = [known(dose)[0] @ point + known(dose)[1] for point, dose in zip(x, doses, strict=True)]
    return np.stack(images)


def moments_of(n: int, seed: int) -> np.ndarray:
    """Points whose mean is 0 and whose covariance is 1 to rounding."""
    x = np.random.default_rng(seed).normal(size=(n, 2))
    x -= x.mean(axis=0)
    return x @ np.linalg.inv(np.linalg.cholesky(x.T @ x / n)).T


def data(n: int = 60) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    x = np.concatenate([moments_of(n, k) for k in range(4)])
    y = np.concatenate([moments_of(n, 10 + k) for k in range(4)])
    doses = np.repeat(DOSES, n)
    return x, rows(y, doses), doses


@pytest.fixture(scope="module")
def fitted() -> ConditionalMongeMap:
    x, y, doses = data()
    return ConditionalMongeMap(effort="quick", random_state=0).fit(x, y, doses, doses)


def uvp(est: ConditionalMongeMap, dose: float) -> float:
    x = np.random.default_rng(5).normal(size=(400, 2))
    true = rows(x, np.full(400, dose))
    moved = est.transform(x, dose)
    return float(100 * np.mean(np.sum((moved - true) ** 2, axis=1)) / np.sum(true.var(axis=0)))


# With exact moments only smoothing is left: below 1 % of the variance, between doses too.
@pytest.mark.parametrize("dose", [0.0, 2.0, 0.5, 1.5, 2.5])
def test_the_map_of_a_dose_seen_or_not_is_the_known_one(fitted, dose):
    assert uvp(fitted, dose) < 1.0


def test_there_and_back_and_in_the_dtype(fitted):
    x = moments_of(30, 7).astype(np.float32)
    moved = fitted.transform(x, 1.5)
    assert moved.dtype == np.float32
    np.testing.assert_allclose(fitted.inverse_transform(moved, 1.5), x, atol=1e-4)


def test_rows_of_several_conditions_go_each_its_own_way(fitted):
    x = moments_of(20, 8)
    doses = np.tile([1.0, 2.0], 10)
    moved = fitted.transform(x, doses)
    for dose in (1.0, 2.0):
        own = doses == dose
        np.testing.assert_allclose(moved[own], fitted.transform(x[own], dose), rtol=1e-12)


def test_what_is_saved_moves_alike(fitted, tmp_path):
    brenier.save(tmp_path / "m.brenier", fitted.map_)
    loaded = brenier.load(tmp_path / "m.brenier", "conditional map")
    assert isinstance(loaded, ConditionalMap)
    assert loaded.known == fitted.conditions_ == ((0.0,), (1.0,), (2.0,), (3.0,))
    x = moments_of(10, 9)
    np.testing.assert_array_equal(loaded.at(1.5)(x), fitted.map_.at(1.5)(x))
    with pytest.raises(ValueError, match=r"got a ConditionalMap; wants a map\."):
        brenier.load(tmp_path / "m.brenier", "map")


def test_the_score_is_half_the_known_distance(fitted):
    x, y, doses = data()
    half = [
        0.5 * (np.sum((np.eye(2) - known(dose)[0]) ** 2) + np.sum(known(dose)[1] ** 2))
        for dose in DOSES
    ]
    # Below it, by the maps' error; the clouds' own distance is a little above that of the laws.
    assert fitted.score(x, y, doses, doses) == pytest.approx(np.mean(half), rel=0.02)


def test_an_audit_has_a_certificate_for_each_condition(fitted):
    x, y, doses = data()
    found = fitted.audit(x, y, doses, doses, budget=0.4)
    assert list(found.certificates) == [f"condition {dose:g}" for dose in DOSES]
    assert all(one.verdict.optimality == "optimal" for one in found.certificates.values())
    assert found.certificates["condition 1"].defect.level == pytest.approx(1 - 0.05 / 4)
    assert "optimal: 4 of 4 conditions" in found.summary
    assert str(found).splitlines()[-1] == found.summary
    assert set(found.to_dict()["conditions"]) == set(found.certificates)


def test_a_number_outside_is_extrapolated_with_a_warning(fitted):
    with pytest.warns(UserWarning, match=r"got condition 9, outside of what was fitted, 0 to 3"):
        fitted.transform(np.zeros((1, 2)), 9.0)


def test_a_category_not_seen_gets_what_all_have_in_common_and_a_warning():
    r = np.random.default_rng(0)
    kinds = np.repeat(["a", "b", "c"], 50)
    places = 6.0 * np.repeat(np.arange(3), 50)[:, None]
    x, y = places + r.normal(size=(2, 150, 2))
    est = ConditionalMongeMap(effort="quick", random_state=0).fit(x, y + 3.0, kinds, kinds)
    with pytest.warns(UserWarning, match=r"got condition 'd', which was not fitted.* a, b, c"):
        moved = est.transform(x, "d")
    assert np.abs(moved.mean(axis=0) - x.mean(axis=0) - 3.0).max() < 0.5


X, Y = np.random.default_rng(1).normal(size=(2, 12, 2))
SIX = np.repeat(["a", "b"], 6)


@pytest.mark.parametrize(
    ("of_x", "of_y", "message"),
    [
        (SIX[:5], SIX, r"condition_X: got 5 rows of conditions; wants 12"),
        (SIX, None, r"condition_Y: got None; wants the condition of every row"),
        (SIX, np.repeat(["a", "c"], 6), r"condition_X: got no row of condition c"),
        (SIX, np.repeat(["a"], 12), r"condition_Y: got no row of condition b, which the other"),
        (SIX, np.repeat([1.0, 2.0], 6), r"condition_Y: got columns of \['numbers'\]; wants those"),
        (["b", *["a"] * 11], SIX, r"condition_X: got too few rows of condition b \(1\); wants at"),
        (SIX, [*["a"] * 11, None], r"condition_Y: got no value of condition in 1 rows, the first"),
        (np.arange(12.0), np.arange(12.0), r"too few rows.*Numbers that seldom repeat want"),
        ("kind", SIX, r"condition_X: got the name 'kind' beside a ndarray, which has"),
        (np.full(12, np.inf), SIX, r"condition_X: got an infinite value of condition"),
    ],
)
def test_conditions_that_cannot_be_are_named(of_x, of_y, message):
    with pytest.raises(ValueError, match=message):
        ConditionalMongeMap().fit(X, Y, of_x, of_y)


def test_other_bad_input_is_named(fitted):
    with pytest.raises(ValueError, match=r"effort: got 'much'; wants one of"):
        ConditionalMongeMap(effort="much").fit(X, Y, SIX, SIX)
    with pytest.raises(ValueError, match=r"X: got the measure Gaussian; wants points"):
        ConditionalMongeMap().fit(brenier.measures.Gaussian.standard(2), Y, SIX, SIX)
    with pytest.raises(ValueError, match=r"condition: got None; wants condition, of each row"):
        fitted.transform(X)
    with pytest.raises(ValueError, match=r"condition: got 2 values, .* wants 1: condition"):
        fitted.transform(X, (1.0, 2.0))
    with pytest.raises(ValueError, match=r"condition: got 'a' as condition; wants a finite"):
        fitted.transform(X, "a")
    with pytest.raises(ValueError, match=r"condition_Y: got no row of condition 2"):
        fitted.audit(X, Y, np.repeat([1.0, 2.0], 6), np.full(12, 1.0))


@pytest.mark.slow
def test_cells_by_a_column_of_obs():
    r = np.random.default_rng(0)
    counts = r.poisson(2.0, (80, 6)).astype(np.float32)
    kinds = np.tile(["B", "T"], 40)
    x = anndata.AnnData(counts, pd.DataFrame({"kind": kinds}, index=[f"a{i}" for i in range(80)]))
    effect = np.where(kinds == "B", 3.0, 6.0)[:, None] * np.eye(6)[0]
    y = anndata.AnnData((counts + effect).astype(np.float32), x.obs.copy())
    est = ConditionalMongeMap(effort="quick", components=2, random_state=0)
    est.fit(x, y, "kind", "kind")
    moved = est.transform(x, "kind")
    assert moved.dtype == np.float32
    for kind in ("B", "T"):
        own = kinds == kind
        shift = (moved[own] - counts[own]).mean(axis=0)
        np.testing.assert_allclose(shift, effect[own][0], atol=0.5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        one = est.transform(x[:3], "B")
    np.testing.assert_allclose(est.inverse_transform(one, "B"), counts[:3], atol=1e-3)


def weighted_rows(n: int = 20) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Points of two conditions with weights that are whole numbers, 0 among them."""
    r = np.random.default_rng(3)
    kinds = np.repeat(["a", "b"], n)
    x, y = r.normal(size=(2, 2 * n, 2)) + np.where(kinds == "a", 0.0, 3.0)[:, None]
    return x, 2.0 * y + 1.0, kinds, r.integers(0, 4, 2 * n).astype(float)


def moments(x, y, kinds, kinds_y, a=None, b=None):
    """The Gaussian part of a fit: in closed form, and smoothed over conditions."""
    sides = [
        Side(points, of, np.ones(len(of), bool), weights)
        for points, of, weights in ((x, kinds, a), (y, kinds_y, b))
    ]
    return gaussian_part(Sides(*sides, np.eye(2), (2,)))


def test_whole_weights_are_repeated_rows_to_the_gaussian_part():
    x, y, kinds, w = weighted_rows()
    of = (kinds == "b").astype(int)
    rows = np.repeat(np.arange(len(x)), w.astype(int))
    own = moments(x, y, of, of, w, np.ones(len(w)))
    twin = moments(x[rows], y, of[rows], of)
    for code in np.eye(2):
        for part in ("logarithm", "shift"):
            pair = (np.asarray(getattr(phi, part)(code)) for phi in (own, twin))
            np.testing.assert_allclose(*pair, rtol=1e-9, atol=1e-12)


def test_rows_of_weight_0_are_not_there():
    x, y, kinds, w = weighted_rows()
    kept = w > 0
    est = ConditionalMongeMap(effort="quick", random_state=0)
    own = est.fit(x, y, kinds, kinds, source_weights=w).transform(x, kinds)
    assert est.n_effective_ == (w.sum(), len(y))
    value = est.score(x, y, kinds, kinds, sample_weight=w)
    assert value == pytest.approx(est.score(x[kept], y, kinds[kept], kinds, w[kept]), rel=1e-12)
    est.fit(x[kept], y, kinds[kept], kinds, sample_weight=w[kept])
    np.testing.assert_allclose(est.transform(x, kinds), own, rtol=1e-9)


def test_weights_of_a_condition_know_no_other_condition():
    assert within_conditions(None, np.zeros(2, int), 1) is None
    w = np.array([0.5, 1.0, 30.0, 60.0])
    found = within_conditions(w, np.array([0, 0, 1, 1]), 2)
    np.testing.assert_allclose(found, [0.6, 1.2, 0.6, 1.2])  # of Kish's sum, (Σw)²/Σw²


@pytest.mark.slow
def test_a_weighted_sample_has_the_map_of_its_law():
    # x is drawn where it is seldom, and counts for the more there; the known map is 2x + c.
    r = np.random.default_rng(4)
    doses = np.repeat([0.0, 1.0, 2.0], 300)
    x = r.normal(size=(900, 2)) + np.array([0.8, 0.0])
    w = np.exp(-0.8 * x[:, 0])
    y = 2.0 * r.normal(size=(900, 2)) + doses[:, None]
    errors = []
    for weights in (w, None):
        est = ConditionalMongeMap(effort="quick", random_state=0)
        est.fit(x, y, doses, doses, source_weights=weights)
        fresh = r.normal(size=(300, 2))
        error = est.transform(fresh, 1.5) - (2.0 * fresh + 1.5)
        errors.append(float(np.mean(error**2)))
    assert errors[0] < 0.15
    assert errors[1] > 4.0 * errors[0]


def test_weights_are_routed_and_checked():
    x, y, kinds, _ = weighted_rows()
    with sklearn.config_context(enable_metadata_routing=True):
        est = ConditionalMongeMap().set_fit_request(source_weights=True, condition_X=True)
        assert est.get_metadata_routing().fit.requests["source_weights"] is True
    with pytest.raises(ValueError, match=r"source_weights: got shape \(2,\); wants one weight"):
        ConditionalMongeMap().fit(x, y, kinds, kinds, [1.0, 2.0])
    with pytest.raises(ValueError, match=r"condition_X: got no row of condition a"):
        ConditionalMongeMap().fit(x, y, kinds, kinds, np.where(kinds == "a", 0.0, 1.0))


@pytest.mark.slow
def test_rows_far_outside_are_named_or_left_out():
    x, y, kinds, _ = weighted_rows()
    x[3] = 1e4
    with pytest.warns(UserWarning, match=r"X: 1 of 40 rows lies far outside.*\(row 3,"):
        kept = ConditionalMongeMap(effort="quick", random_state=0).fit(x, y, kinds, kinds)
    assert kept.outliers_[0].tolist() == [3]
    est = ConditionalMongeMap(effort="quick", outliers="drop", random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        est.fit(x, y, kinds, kinds)
    rest = np.arange(len(x)) != 3
    other = ConditionalMongeMap(effort="quick", random_state=0)
    other.fit(x[rest], y, kinds[rest], kinds)
    np.testing.assert_allclose(est.transform(y, kinds), other.transform(y, kinds), rtol=1e-9)


@pytest.mark.slow
def test_a_fit_that_is_kept_goes_on_to_the_same_maps(tmp_path):
    x, y, doses = data(50)
    est = ConditionalMongeMap(effort="quick", random_state=0, checkpoint=tmp_path / "kept")
    first = est.fit(x, y, doses, doses).transform(x, doses)
    parts = {path.name for path in (tmp_path / "kept").iterdir()}
    used = {row.name for row in est.candidates_.parts if row.weight} - {"gaussian", "own"}
    assert used <= parts
    assert parts
    np.testing.assert_array_equal(est.fit(x, y, doses, doses).transform(x, doses), first)
    discard_record(tmp_path / "kept")
    assert not (tmp_path / "kept").exists()


def test_a_column_of_weights_is_no_coordinate():
    x, y, kinds, w = weighted_rows()
    frame = pd.DataFrame({"a": x[:, 0], "w": w, "b": x[:, 1]})
    est = ConditionalMongeMap(effort="quick", random_state=0, components=1)
    named = est.fit(frame, y, kinds, kinds, source_weights="w").transform(x, kinds)
    value = est.score(frame, y, kinds, kinds, source_weights="w")
    plain = est.fit(x, y, kinds, kinds, source_weights=w)
    np.testing.assert_array_equal(named, plain.transform(x, kinds))
    assert value == plain.score(x, y, kinds, kinds, source_weights=w)
