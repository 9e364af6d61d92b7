"""Points on their way, and along maps through many snapshots: exact for affine maps."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone

import brenier
from brenier import MongeMap, TimeSeries
from brenier.estimators.time import beginning, between
from brenier.io import Table
from brenier.maps import AffineMap, ConjugateMap, SubspaceMap

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(120, 2))
# Each the image of the first under an affine map of a symmetric positive matrix: known exactly.
STEPS = [
    (np.array([[2.0, 0.5], [0.5, 1.0]]), np.array([1.0, 0.0])),
    (np.array([[0.5, 0.1], [0.1, 1.5]]), np.array([-2.0, 3.0])),
]
SECOND = X @ STEPS[0][0] + STEPS[0][1]
THIRD = SECOND @ STEPS[1][0] + STEPS[1][1]
SNAPSHOTS, TIMES = [X, SECOND, THIRD], [0.0, 2.0, 5.0]
AFFINE = MongeMap(candidates=["gaussian"], random_state=0)


@pytest.fixture(scope="module")
def one():
    return clone(AFFINE).fit(X, SECOND)


@pytest.fixture(scope="module")
def series():
    return TimeSeries(clone(AFFINE)).fit(SNAPSHOTS, TIMES)


def test_points_go_straight(one):
    moved = one.transform(X)
    for t in (0.0, 0.25, 1.0):
        np.testing.assert_allclose(one.interpolate(X, t), (1.0 - t) * X + t * moved, rtol=1e-12)
    single = one.interpolate(X.astype(np.float32), 0.5)
    assert single.dtype == np.float32
    for t in (-0.1, 1.5):
        with pytest.warns(UserWarning, match=r"t: got .*outside of \[0, 1\]"):
            beyond = one.interpolate(X, t)
        np.testing.assert_allclose(beyond, (1.0 - t) * X + t * moved, rtol=1e-9, atol=1e-9)
    for t in ("0.5", np.nan, [0.5], None):
        with pytest.raises(ValueError, match=r"t: got .* wants a finite number"):
            one.interpolate(X, t)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["gradient", "conjugate", "subspace"])
def test_where_points_on_their_way_began(kind, one):
    map, x = one.map_, X
    if kind == "conjugate":
        map = ConjugateMap(one.map_.potential)
    if kind == "subspace":
        basis = np.linalg.qr(RANDOM.normal(size=(5, 2)))[0]
        shift = RANDOM.normal(size=5)
        map = SubspaceMap(map, basis, RANDOM.normal(size=5), shift - basis @ (basis.T @ shift))
        x = RANDOM.normal(size=(20, 5))
    for share in (0.1, 0.5, 0.9):
        np.testing.assert_allclose(beginning(map, between(map, x, share), share), x, atol=1e-8)
    with pytest.raises(ValueError, match="map: got a AffineMap; wants the gradient"):
        beginning(AffineMap(np.eye(2), np.ones(2)), X, 0.5)


def _exact(maps, x, time):
    """Where points of the first snapshot are at a time, by the maps' own images."""
    u, w = maps[0](x), maps[1](maps[0](x))
    if time <= 2.0:
        return np.asarray(x + time / 2.0 * (u - x))
    return np.asarray(u + (time - 2.0) / 3.0 * (w - u))


def test_the_maps_are_those_that_made_the_snapshots(series):
    # Covariances are shrunk: some per cent of the spread.
    np.testing.assert_allclose(series.maps_[0](X), SECOND, atol=0.3)
    np.testing.assert_allclose(series.maps_[1](SECOND), THIRD, atol=0.3)


@pytest.mark.parametrize("start", [0.0, 1.0, 4.0, 5.0])
@pytest.mark.parametrize("goal", [0.5, 2.0, 3.0, 5.0])
def test_points_of_any_time_are_led_to_any_other(start, goal, series):
    given, wanted = (_exact(series.maps_, X[:20], time) for time in (start, goal))
    np.testing.assert_allclose(series.transform(given, start, goal), wanted, atol=1e-7)
    # And back to where they came from to rounding and the conjugate's tolerance.
    back = series.transform(series.transform(given, start, goal), goal, start)
    np.testing.assert_allclose(back, given, atol=1e-7)


def test_trajectories_go_through_all_times(series):
    paths = series.trajectories(SECOND[:7], from_time=2.0)
    assert paths.shape == (7, 3, 2)
    np.testing.assert_array_equal(paths[:, 1], SECOND[:7])
    np.testing.assert_array_equal(paths[:, 0], series.transform(SECOND[:7], 2.0, 0.0))
    np.testing.assert_array_equal(paths[:, 2], series.transform(SECOND[:7], 2.0, 5.0))
    between_them = series.trajectories(series.transform(X[:7], 0.0, 3.0), from_time=3.0)
    np.testing.assert_allclose(between_them[:, 0], X[:7], atol=1e-7)


def test_a_snapshot_of_any_time(series):
    for time, snapshot in zip(TIMES, SNAPSHOTS, strict=True):
        np.testing.assert_array_equal(series.interpolate(time), snapshot)
    wanted = _exact(series.maps_, X, 0.5)
    np.testing.assert_allclose(series.interpolate(0.5), wanted, atol=1e-9)
    last = series.maps_[1].inverse()(THIRD)
    np.testing.assert_allclose(
        series.interpolate(4.5), last + 2.5 / 3.0 * (THIRD - last), atol=1e-7
    )


def test_a_series_is_saved_and_read_again(series, tmp_path):
    series.save(tmp_path / "series.brenier")
    again = TimeSeries.load(tmp_path / "series.brenier")
    np.testing.assert_array_equal(again.transform(X, 0.0, 4.0), series.transform(X, 0.0, 4.0))
    np.testing.assert_array_equal(again.trajectories(X, 2), series.trajectories(X, 2))
    whole = brenier.load(tmp_path / "series.brenier")
    np.testing.assert_allclose(np.asarray(whole(X)), series.transform(X, 0.0, 5.0), rtol=1e-12)
    for copied in (again, pickle.loads(pickle.dumps(series))):
        with pytest.raises(ValueError, match="t: got a time for a series that was loaded or copie"):
            copied.interpolate(1.0)
    brenier.save(tmp_path / "map.brenier", series.maps_[0])
    with pytest.raises(ValueError, match=r"map\.brenier: got a GradientMap; wants a series with"):
        TimeSeries.load(tmp_path / "map.brenier")


BAD = {
    "one snapshot": ([X], [0.0], "snapshots: got 1; wants at least 2"),
    "none": ([], [], "snapshots: got 0; wants at least 2"),
    "too few times": (SNAPSHOTS, [0, 1], "times: got 2 times of 3 snapshots; wants one each"),
    "out of order": (SNAPSHOTS, [0, 2, 1], "times: got 1 after 2; wants times that rise"),
    "one twice": (SNAPSHOTS, [0, 1, 1], "times: got 1 after 1; wants times that rise"),
    "words": (SNAPSHOTS, ["a", "b", "c"], "times: got .* wants a finite number"),
    "NaN": (SNAPSHOTS, [0, np.nan, 1], "times: got nan; wants a finite number"),
    "other columns": ([X, SECOND[:, :1]], [0, 1], r"snapshots 0 \(X\) and 1 \(Y\): Y: got dim"),
}


@pytest.mark.parametrize("fault", BAD)
def test_bad_series_are_named(fault):
    snapshots, times, phrase = BAD[fault]
    with pytest.raises(ValueError, match=phrase):
        TimeSeries(clone(AFFINE)).fit(snapshots, times)


def test_times_outside_are_named(series):
    for call in (
        lambda: series.transform(X, -1.0, 2.0),
        lambda: series.trajectories(X, from_time=6),
    ):
        with pytest.raises(ValueError, match=r"from_time: got .*; wants a time from 0 to 5"):
            call()
    with pytest.raises(ValueError, match=r"to_time: got 5.5; wants a time from 0 to 5"):
        series.transform(X, 0.0, 5.5)
    with pytest.raises(ValueError, match="t: got 7; wants a time from 0 to 5"):
        series.interpolate(7)


def test_columns_are_matched_by_name_through_all_snapshots(series):
    pd = pytest.importorskip("pandas")
    frames = [pd.DataFrame(cloud, columns=["a", "b"]) for cloud in SNAPSHOTS]
    frames[1] = frames[1][["b", "a"]]
    named = TimeSeries(clone(AFFINE)).fit(frames, TIMES)
    assert named.feature_names_in_.tolist() == ["a", "b"]
    moved = named.transform(frames[0][["b", "a"]], 0.0, 5.0)
    np.testing.assert_array_equal(moved, series.transform(X, 0.0, 5.0))
    with pytest.raises(ValueError, match=r"snapshots\[2\]: got columns"):
        TimeSeries().fit([*frames[:2], frames[2].rename(columns={"a": "c"})], TIMES)


def test_of_cells_a_column_of_obs_holds_the_time(series):
    anndata = pytest.importorskip("anndata")
    pd = pytest.importorskip("pandas")
    factors = RANDOM.normal(size=(2, 12))
    obs = pd.DataFrame(
        {"day": pd.Categorical(np.repeat(["0", "5", "2"], 120)), "kind": "any"},
        index=[f"cell{i}" for i in range(360)],
    )
    values = np.concatenate([SNAPSHOTS[i] for i in (0, 2, 1)]) @ factors
    cells = anndata.AnnData(values, obs=obs)
    found = TimeSeries(clone(AFFINE).set_params(components=2)).fit(cells, "day")
    assert found.times_.tolist() == [0.0, 2.0, 5.0]
    some = cells[:10]
    there = found.transform(some, 0, 5)
    # Principal components and their shrunk covariances are of other clouds: some per cent.
    wanted = series.transform(X[:10], 0, 5) @ factors
    assert np.linalg.norm(there - wanted) < 0.15 * np.linalg.norm(wanted)
    np.testing.assert_allclose(found.transform(there, 5, 0), some.X, atol=1e-6)
    assert found.interpolate(1.0).shape == (120, 12)
    for column, phrase in (
        ("kind", "times: got the column 'kind', whose entries are not numbers"),
        ("hour", "times: got no column 'hour' in obs"),
        (3, "times: got int"),
    ):
        with pytest.raises(ValueError, match=phrase):
            TimeSeries().fit(cells, column)


def test_of_one_data_frame_a_column_holds_the_time(series):
    pd = pytest.importorskip("pandas")
    whole = pd.DataFrame(np.concatenate(SNAPSHOTS), columns=["a", "b"])
    whole = (
        whole.assign(day=np.repeat([0, 2, 5], 120)).sample(frac=1.0, random_state=0).sort_index()
    )
    found = TimeSeries(clone(AFFINE)).fit(whole, "day")
    assert found.feature_names_in_.tolist() == ["a", "b"]
    np.testing.assert_array_equal(found.transform(X, 0, 5), series.transform(X, 0, 5))
    table = Table(whole.to_numpy(), "t.csv", ("a", "b", "day"))
    np.testing.assert_array_equal(
        TimeSeries(clone(AFFINE)).fit(table, "day").transform(X, 0, 5), series.transform(X, 0, 5)
    )
    for column, phrase in (
        ("dya", r"times: got 'dya'; wants a column, one of \['a', 'b', 'day'\]"),
        ([0, 2, 5], "times: got list beside one table; wants the column that holds the time"),
    ):
        with pytest.raises(ValueError, match=phrase):
            TimeSeries().fit(whole, column)
    dates = whole.assign(day=pd.to_datetime("2024-01-01") + pd.to_timedelta(whole.day, "D"))
    with pytest.raises(ValueError, match=r"times, day: got the date 2024-01-0.*; wants numbers"):
        TimeSeries().fit(dates, "day")


def test_dates_and_durations_are_no_times(series):
    days = np.array(["2024-01-01", "2024-01-03", "2024-01-06"], "M8[D]")
    spans = days - days[0]
    held = [days, spans, spans.astype("m8[ns]"), list(days), list(spans), days.astype(object)]
    for times in (*held, spans.astype(object)):
        with pytest.raises(ValueError, match=r"times: got the (date|duration) .*; wants numbers"):
            TimeSeries().fit(SNAPSHOTS, times)
    for time in (days[0], spans[1], days[0].astype(object), np.asarray(spans[1])):
        with pytest.raises(ValueError, match=r"to_time: got the (date|duration) .*; wants numbers"):
            series.transform(X, 0.0, time)
