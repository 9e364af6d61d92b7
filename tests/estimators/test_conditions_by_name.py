"""Conditions are found by the names of their columns, whoever holds them, and dates are none."""

import dataclasses

import numpy as np
import pytest

import brenier
from brenier import ConditionalMongeMap
from brenier.estimators.conditional import ConditionalTable, _fit
from brenier.estimators.conditional._gaussian_part import gaussian_part
from brenier.io import Table

pd = pytest.importorskip("pandas")
R = np.random.default_rng(0)
TOLD = pd.DataFrame({"dose": np.tile([0.0, 1.0, 2.0], 24), "time": np.repeat([0.0, 1.0, 2.0], 24)})
BACK = TOLD[["time", "dose"]]
KINDS = pd.DataFrame({"type": np.tile(["a", "b"], 36), "batch": np.repeat(["p", "q"], 36)})
X = R.normal(size=(72, 2))
SHIFT = TOLD.to_numpy() * [10.0, 1.0]
ONE = np.zeros((1, 2))
TABLE = ConditionalTable(())


@pytest.fixture(autouse=True)
def _gaussian_only(monkeypatch):
    """Fits of the Gaussian part alone, in closed form."""
    monkeypatch.setattr(_fit, "choose", lambda sides, *_: (gaussian_part(sides), TABLE))


def fit(x, y, *told) -> ConditionalMongeMap:
    return ConditionalMongeMap(random_state=0).fit(x, y, *told)


@pytest.fixture
def doses(_gaussian_only) -> ConditionalMongeMap:
    return fit(X, X + SHIFT, TOLD, TOLD)


def test_columns_of_frames_are_found_by_name(doses):
    # Of the shift (10 dose, time), which smoothing keeps to some per cent of its spread.
    np.testing.assert_allclose(doses.transform(ONE, (2.0, 0.0)), [[20.0, 0.0]], atol=0.5)
    moved = doses.transform(X, TOLD)
    np.testing.assert_array_equal(doses.transform(X, BACK), moved)
    np.testing.assert_array_equal(doses.transform(X, TOLD.to_numpy()), moved)
    np.testing.assert_array_equal(doses.transform(X, pd.DataFrame(TOLD.to_numpy())), moved)
    np.testing.assert_array_equal(fit(X, X + SHIFT, TOLD, BACK).transform(X, TOLD), moved)
    named = fit(X, X + SHIFT, TOLD.to_numpy(), TOLD)
    np.testing.assert_array_equal(named.transform(X, BACK), moved)
    assert named.map_.covariates.own_names == ("dose", "time")
    assert doses.score(X, X + SHIFT, BACK, TOLD) == doses.score(X, X + SHIFT, TOLD, TOLD)


def test_categories_are_found_by_name_too():
    y = X + np.stack([np.where(KINDS.type == "a", 0.0, 9.0), np.where(KINDS.batch == "p", 0, 3)], 1)
    est = fit(X, y, KINDS, KINDS)
    np.testing.assert_array_equal(
        est.transform(X, KINDS[["batch", "type"]]), est.transform(X, KINDS)
    )
    mixed = KINDS[["type"]].assign(dose=TOLD.dose)
    est = fit(X, y, mixed, mixed[["dose", "type"]])
    back = est.transform(X, mixed[["dose", "type"]])
    np.testing.assert_array_equal(back, est.transform(X, mixed))


@pytest.mark.parametrize(
    ("told", "message"),
    [
        (TOLD.rename(columns={"dose": "DOSE"}), r"missing \['dose'\], unknown \['DOSE'\]"),
        (TOLD.assign(z=1.0), r"missing \[\], unknown \['z'\]\); wants \['dose', 'time'\]"),
        (TOLD[["dose"]], r"got columns \['dose'\] \(missing \['time'\], unknown \[\]\)"),
        (TOLD.dose, r"missing \['time'\]"),
    ],
)
def test_other_columns_are_named(doses, told, message):
    with pytest.raises(ValueError, match=rf"condition: .*{message}"):
        doses.transform(X, told)
    with pytest.raises(ValueError, match=rf"condition_Y: .*{message}"):
        fit(X, X, TOLD, told)


def test_a_series_has_a_name_as_a_column_has():
    est = fit(X, X + SHIFT, TOLD.dose, TOLD[["dose"]])
    with pytest.raises(ValueError, match=r"condition: got columns \['time'\] \(missing \['dose'\]"):
        est.transform(X, TOLD.time)
    plain = est.transform(X, TOLD.dose.to_numpy())
    np.testing.assert_array_equal(est.transform(X, TOLD.dose.rename(None)), plain)


def test_columns_of_the_points_may_be_named_and_are_no_coordinates(doses):
    x, y = (pd.DataFrame(z, columns=["a", "b"]).join(TOLD) for z in (X, X + SHIFT))
    moved = doses.transform(X, TOLD)
    est = fit(x, y[["time", "b", "a", "dose"]], ["dose", "time"], ["time", "dose"])
    assert est.feature_names_in_.tolist() == ["a", "b"]
    np.testing.assert_array_equal(est.transform(x, ["dose", "time"]), moved)
    np.testing.assert_array_equal(est.transform(x[["a", "b"]], BACK), moved)
    assert est.transform(x[["a", "b"]], (2.0, 0.0)).shape == X.shape
    weighted = fit(x.assign(w=1.0), y, ["dose", "time"], ["dose", "time"], "w")
    np.testing.assert_allclose(weighted.transform(X, TOLD), moved, atol=1e-9)
    tables = (Table(z.to_numpy(), "t.csv", tuple(z.columns)) for z in (x, y))
    of_tables = fit(*tables, ["dose", "time"], ["dose", "time"])
    np.testing.assert_array_equal(of_tables.transform(X, TOLD), moved)
    words = x[["a", "b"]].join(KINDS.type)
    est = fit(words, words, "type", "type")
    np.testing.assert_array_equal(est.transform(words, "type"), est.transform(X, KINDS.type))
    with pytest.raises(ValueError, match=r"condition_X: got 'tpye'; wants a column, one of \["):
        fit(words, words, "tpye", "type")
    with pytest.raises(ValueError, match=r"condition_X: got 'dsoe'; wants a column, one of \["):
        fit(x, y, ["dsoe", "time"], ["dose", "time"])


def test_a_text_that_is_neither_column_nor_category_is_refused_with_what_is_near():
    anndata = pytest.importorskip("anndata")
    obs = KINDS.rename(columns={"type": "cell_type"}).set_axis([f"c{i}" for i in range(72)])
    cells = anndata.AnnData(X, obs)
    est = fit(cells, cells.copy(), "cell_type", "cell_type")
    near = r"condition: got 'cel_type', which is neither a column.* as \['cell_type'\]"
    with pytest.raises(ValueError, match=near):
        est.transform(cells, "cel_type")
    frame = pd.DataFrame(X, columns=list(cells.var_names))
    frame["cell_type"] = obs.cell_type.to_numpy()
    with pytest.raises(ValueError, match=near):
        est.transform(frame, "cel_type")
    np.testing.assert_array_equal(
        est.transform(cells, "cell_type"), est.transform(X, obs.cell_type.to_numpy())
    )
    np.testing.assert_array_equal(est.transform(cells, "a"), est.transform(X, "a"))
    for points, new in ((cells, ("c",)), (X, "c")):  # what was not fitted may still be asked for
        with pytest.warns(UserWarning, match=r"got cell_type 'c', which was not fitted"):
            est.transform(points, new)


def test_one_warning_names_how_many_and_a_few(doses):
    told = np.stack([np.linspace(3.0, 9.0, 72), np.full(72, -1.0)], axis=1)
    with pytest.warns(UserWarning, match="condition: got") as caught:
        doses.transform(X, told)
    texts = [str(one.message) for one in caught]
    assert len(texts) == 2
    assert texts[0].startswith("condition: got 72 values of dose, 3, 3.08451, 3.16901 and 69 more,")
    assert texts[1].startswith("condition: got time -1, outside of what was fitted, 0 to 2:")
    est = fit(X, X, KINDS, KINDS)
    with pytest.warns(UserWarning, match=r"got 2 values of type, 'c', 'd', which were not fitted"):
        est.transform(X[:2], [["c", "p"], ["d", "q"]])


def test_whole_numbers_are_a_category_of_text_however_they_are_held():
    batches = np.repeat(["1", "2"], 36)
    est = fit(X, X, batches, batches)
    moved = est.transform(X, batches)
    held = batches.astype(int)
    gap = pd.Series([*held, None]).dropna()
    assert gap.dtype == float
    for told in (held, held.astype(float), gap, pd.Categorical(held), held.astype(object)):
        np.testing.assert_array_equal(est.transform(X, told), moved)
    for one in (1, 1.0, np.float32(1.0), "1"):
        np.testing.assert_array_equal(est.transform(ONE, one), est.transform(ONE, "1"))
    # As the docs have it, categories of pandas are categories, of numbers too.
    assert fit(X, X, pd.Categorical(held), held.astype(str)).conditions_ == (("1",), ("2",))


DAYS = pd.to_datetime(["2024-01-01", "2024-01-02"]).repeat(36)
SPANS = DAYS - DAYS[0]
DATES = {
    "index": DAYS,
    "series": pd.Series(DAYS),
    "with a zone": DAYS.tz_localize("UTC"),
    "numpy": DAYS.to_numpy(),
    "numpy, days": DAYS.to_numpy().astype("M8[D]"),
    "list": list(DAYS),
    "tuple": tuple(DAYS),
    "dates": [day.date() for day in DAYS],
    "column": pd.DataFrame({"day": DAYS, "dose": TOLD.dose}),
    "categories": pd.Categorical(DAYS),
    "periods": pd.PeriodIndex(DAYS, freq="D"),
    "objects": np.array([["a", day] for day in DAYS], dtype=object),
    "spans": SPANS,
    "numpy's spans": SPANS.to_numpy().astype("m8[D]"),
    "list of spans": list(SPANS),
    "Python's spans": [span.to_pytimedelta() for span in SPANS],
}


@pytest.mark.parametrize("held", DATES)
def test_dates_are_refused_with_what_makes_numbers_of_them(held, doses):
    phrase = r"got the (date 2024-01-01|duration 0).*; wants numbers, as days"
    with pytest.raises(ValueError, match=rf"condition_X.*: {phrase}"):
        fit(X, X, DATES[held], DATES[held])
    if held != "tuple":  # which is one condition of all rows
        with pytest.raises(ValueError, match=rf"condition.*: {phrase}"):
            doses.transform(X, DATES[held])


@pytest.mark.parametrize(
    "one", [DAYS[0], DAYS[0].date(), np.datetime64("2024-01-01"), np.timedelta64(1, "D"), SPANS[0]]
)
def test_one_date_is_no_condition_either(one, doses):
    est = fit(X, X, KINDS.type, KINDS.type)
    for call in (lambda: doses.transform(X, (one, 1.0)), lambda: est.transform(X, one)):
        with pytest.raises(ValueError, match=r"condition.*: got the (date|duration) .*; wants num"):
            call()


def test_names_are_in_the_file_and_older_files_are_told_by_what_they_say(doses, tmp_path):
    brenier.save(tmp_path / "m.brenier", doses.map_)
    found = brenier.load(tmp_path / "m.brenier", "conditional map").covariates
    assert (found.names, found.is_named) == (("dose", "time"), True)
    plain = fit(X, X, TOLD.to_numpy(), TOLD.to_numpy()).map_.covariates
    assert (plain.names, plain.own_names) == (("condition 0", "condition 1"), None)
    older = [dataclasses.replace(own, is_named=None) for own in (found, plain)]
    assert [own.own_names for own in older] == [("dose", "time"), None]
