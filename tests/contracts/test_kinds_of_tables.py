"""Data frames of any library: read as arrays are, their columns matched by name, or refused so."""

import numpy as np
import pandas as pd
import pytest

import brenier
from brenier import Generator, MongeMap, audit, audit_pairs
from brenier._checks import as_float_array, as_points, check_points
from brenier._extras import MissingExtraError
from brenier.estimators import principal_components

RANDOM = np.random.default_rng(0)
X, Y = RANDOM.normal(size=(60, 2)), 1.0 + RANDOM.normal(size=(50, 2)) * [1.0, 3.0]


def _columns(values, names):
    return dict(zip(names, values.T, strict=True))


def _polars(values, names):
    return pytest.importorskip("polars").DataFrame(_columns(values, names))


def _lazy(values, names):
    return _polars(values, names).lazy()


def _arrow(values, names):
    return pytest.importorskip("pyarrow").table(_columns(values, names))


def _duckdb(values, names):
    duckdb = pytest.importorskip("duckdb")
    frame = pd.DataFrame(_columns(values, names))
    relation = duckdb.from_df(frame)
    assert list(relation.columns) == list(names)
    return relation


def _pandas(values, names):
    return pd.DataFrame(_columns(values, names))


def _narwhals(values, names):
    return pytest.importorskip("narwhals").from_native(_arrow(values, names))


MAKERS = {
    "pandas": _pandas,
    "polars": _polars,
    "polars, lazy": _lazy,
    "pyarrow": _arrow,
    "duckdb": _duckdb,
    "narwhals": _narwhals,
}
# As it comes back from ``Generator.sample``.
BACK = {
    "pandas": "pandas", "polars": "polars", "polars, lazy": "polars", "pyarrow": "pyarrow",
    "duckdb": "pyarrow", "narwhals": "pyarrow",
}  # fmt: skip
FITTED = MongeMap(effort=0, random_state=0).fit(X, Y)


@pytest.fixture(params=MAKERS)
def kind(request):
    return request.param


def test_numbers_are_those_of_the_array(kind):
    table = MAKERS[kind](X, "ab")
    np.testing.assert_array_equal(as_float_array("X", table), X)
    np.testing.assert_array_equal(check_points("X", table), X)
    single = as_float_array("X", MAKERS[kind](X.astype(np.float32), "ab"))
    assert single.dtype == np.float32
    np.testing.assert_array_equal(as_points("X", table, 2), X)
    space = principal_components(table, MAKERS[kind](Y[:, ::-1], "ba"), 1)
    np.testing.assert_array_equal(space.y, principal_components(X, Y, 1).y)


def test_columns_are_matched_by_name(kind):
    make, expected = MAKERS[kind], FITTED.transform(X)
    est = MongeMap(effort=0, random_state=0).fit(make(X, "ab"), make(Y[:, ::-1], "ba"))
    assert est.feature_names_in_.tolist() == ["a", "b"]
    for other in MAKERS.values():
        np.testing.assert_array_equal(est.transform(other(X[:, ::-1], "ba")), expected)
    assert est.score(make(X, "ab"), make(Y[:, ::-1], "ba")) == FITTED.score(X, Y)
    back = est.inverse_transform(make(expected, "ab"))
    np.testing.assert_array_equal(back, FITTED.inverse_transform(expected))
    with pytest.raises(ValueError, match=r"X: got columns \['a', 'c'\] \(missing \['b'\], unknow"):
        est.transform(make(X, "ac"))
    with pytest.raises(ValueError, match=r"Y: got columns"):
        MongeMap(effort=0).fit(make(X, "ab"), make(Y, "ac"))


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_output_is_what_was_asked_for(kind, library):
    pytest.importorskip(library)
    est = MongeMap(effort=0, random_state=0).set_output(transform=library)
    made = est.fit_transform(MAKERS[kind](X, "ab"), MAKERS[kind](Y, "ab"))
    assert type(made).__module__.startswith(library)
    asked = {
        "transform": (made, FITTED.transform(X)),
        "inverse_transform": (est.inverse_transform(made), FITTED.inverse_transform(made)),
        "interpolate": (est.interpolate(MAKERS[kind](X, "ab"), t=0.5), FITTED.interpolate(X, 0.5)),
    }
    for name, (own, expected) in asked.items():
        assert type(own).__module__.startswith(library), name
        assert list(own.columns) == ["a", "b"], name
        np.testing.assert_array_equal(np.asarray(own), expected)


def test_the_index_of_pandas_is_kept():
    frame = _pandas(X, "ab").set_index(np.arange(60) + 7)
    est = MongeMap(effort=0, random_state=0).set_output(transform="pandas")
    assert est.fit_transform(frame, Y).index.tolist() == frame.index.tolist()
    for own in (
        est.inverse_transform(frame),
        est.interpolate(frame, 0.5),
        est.interpolate(X=X, t=0),
    ):
        assert isinstance(own, pd.DataFrame)
    assert est.inverse_transform(X=frame).index.tolist() == frame.index.tolist()


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_a_series_gives_points_as_they_were_asked_for(kind, library):
    pytest.importorskip(library)
    make = MAKERS[kind]
    series = brenier.TimeSeries(MongeMap(effort=0, random_state=0))
    series.fit([make(X, "ab"), make(Y, "ab")], [0, 1])
    there, half = series.transform(make(X, "ab"), 0, 1), series.interpolate(0.5)
    assert type(there) is type(half) is np.ndarray
    assert series.set_output(transform=library) is series
    for own, expected in (
        (series.transform(make(X, "ab"), 0, 1), there),
        (series.interpolate(t=0.5), half),
    ):
        assert type(own).__module__.startswith(library)
        assert list(own.columns) == ["a", "b"]
        np.testing.assert_array_equal(np.asarray(own), expected)
    assert series.trajectories(X, 0).shape == (60, 2, 2)


def test_the_names_of_cells_are_kept():
    anndata = pytest.importorskip("anndata")
    names = [f"cell {i}" for i in range(60)]
    genes = pd.DataFrame(index=["a", "b"])
    x, y = anndata.AnnData(X, pd.DataFrame(index=names), genes), anndata.AnnData(Y, var=genes)
    est = MongeMap(effort=0, random_state=0, components=2)
    assert isinstance(est.fit(x, y).transform(x), np.ndarray)
    made = est.set_output(transform="pandas").transform(x[10:20])
    assert made.index.tolist() == names[10:20]
    assert made.columns.tolist() == ["a", "b"]
    for own in (est.inverse_transform(x[10:20]), est.interpolate(x[10:20], 0.5)):
        assert own.index.tolist() == names[10:20]
        assert own.columns.tolist() == ["a", "b"]
    assert isinstance(est.transform(X), pd.DataFrame)
    conditional = brenier.ConditionalMongeMap(effort="quick", random_state=0, components=2)
    doses = np.repeat([0.0, 1.0], 30)
    conditional.fit(x, y[:40], doses, np.repeat([0.0, 1.0], 20)).set_output(transform="pandas")
    assert conditional.transform(x, doses).index.tolist() == names
    assert conditional.inverse_transform(x, doses).index.tolist() == names
    series = brenier.TimeSeries(MongeMap(effort=0, obsm="X_own", random_state=0))
    x.obsm["X_own"], y.obsm["X_own"] = X, Y
    series.fit([x, y], [0, 1]).set_output(transform="pandas")
    assert series.transform(x[:5], 0, 1).index.tolist() == names[:5]


def test_what_is_generated_is_of_the_kind_that_came_in(kind):
    est = Generator(random_state=0, epsilon=1.0).fit(MAKERS[kind](X, "ab"))
    made = est.sample(5, random_state=0)
    assert type(made).__module__.startswith(BACK[kind])
    plain = Generator(random_state=0, epsilon=1.0).fit(X)
    np.testing.assert_array_equal(as_float_array("made", made), plain.sample(5, random_state=0))
    assert est.score(MAKERS[kind](X[:, ::-1], "ba")) == plain.score(X)


def test_audits_match_columns_by_name(kind):
    make, options = MAKERS[kind], {"budget": 0.1}
    known = audit(FITTED.map_, X, Y, **options).to_dict()
    found = audit(FITTED.map_, make(X, "ab"), make(Y[:, ::-1], "ba"), **options).to_dict()
    assert found["how"]["names"] == ["a", "b"]
    np.testing.assert_equal(found["defect"], known["defect"])
    named = {"column 1 of 2": "column 'a'", "column 2 of 2": "column 'b'"}
    axis = known["pushforward"]["axis"]
    known["pushforward"]["axis"] = named.get(axis, axis)
    np.testing.assert_equal(found["pushforward"], known["pushforward"])
    moved = FITTED.transform(X)
    pairs = audit_pairs(make(X, "ab"), make(moved[:, ::-1], "ba"), make(Y, "ab"), **options)
    known = audit_pairs(X, moved, Y, **options)
    np.testing.assert_equal(pairs.to_dict()["defect"], known.to_dict()["defect"])
    with pytest.raises(ValueError, match="target: got columns"):
        audit(FITTED.map_, make(X, "ab"), make(Y, "ac"), **options)


def _holding(kind, entries):
    """A table of that kind with a column "a" of numbers and "b" of the entries."""
    pa = pytest.importorskip("pyarrow")
    table = pa.table({"a": [0.5, 1.5, 2.5], "b": entries})
    if kind == "pandas":
        return table.to_pandas(types_mapper=pd.ArrowDtype)
    if kind.startswith("polars"):
        frame = pytest.importorskip("polars").from_arrow(table)
        return frame.lazy() if "lazy" in kind else frame
    if kind == "duckdb":
        return pytest.importorskip("duckdb").from_arrow(table)
    return table


_BIG = 2**53 + 1


def test_what_is_no_number_is_refused_by_name(kind):
    pa = pytest.importorskip("pyarrow")
    days = pa.array([0, 1, 2], pa.int32()).cast(pa.date32())
    for entries, phrase in (
        ([1.0, None, 2.0], r"X: got 1 NaN or infinite entries, the first at row 1, column 'b'"),
        ([1, None, 2], r"X: got 1 NaN or infinite entries, the first at row 1, column 'b'"),
        ([True, None, False], r"X: got 1 NaN or infinite entries, the first at row 1, column 'b'"),
        ([1, _BIG, None], rf"X, column 'b': got the integer {_BIG}, which float64 cannot hold"),
        (["u", "v", "w"], r"X, column 'b': got entries of type String; wants numbers"),
        (pa.array(["u", "v", "w"]).dictionary_encode(), r"X, column 'b': got entries of type"),
        (days, r"X, column 'b': got entries of type Date; wants numbers"),
    ):
        for door in (lambda x: check_points("X", x), lambda x: MongeMap(effort=0).fit(x, Y)):
            with pytest.raises(ValueError, match=phrase):
                door(_holding(kind, entries))


def test_whole_numbers_and_truths_are_read(kind):
    assert as_float_array("X", _holding(kind, [1, 2**60, 2]))[1, 1] == 2.0**60
    assert as_float_array("X", _holding(kind, [True, False, True]))[:, 1].tolist() == [1.0, 0, 1]


def test_a_relation_is_run_once():
    duckdb = pytest.importorskip("duckdb")
    drawn = duckdb.sql("select random() as a, random() as b from range(50)")
    generator = Generator(random_state=0, epsilon=1.0).fit(drawn)
    assert generator.sample(3).column_names == ["a", "b"]


def test_a_series_is_no_table():
    for library in ("pandas", "polars"):
        weights = pytest.importorskip(library).Series([1.0, 2.0])
        np.testing.assert_array_equal(as_float_array("weights", weights), [1.0, 2.0])


def test_without_narwhals_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setattr("brenier._extras.is_installed", lambda package: package != "narwhals")
    with pytest.raises(MissingExtraError, match=r'X: got no narwhals .* "brenier\[tables\]"'):
        MongeMap(effort=0).fit(_pandas(X, "ab"), Y)
    assert brenier.MongeMap(effort=0).fit(X, Y).n_features_in_ == 2
