"""Clouds read block after block give what they give in memory."""

import re
import warnings

import numpy as np
import pytest

from brenier import Generator, MongeMap
from brenier.estimators.data import _cloud
from brenier.estimators.data._covariance import shrunk_covariance

RANDOM = np.random.default_rng(0)
POINTS = (RANDOM.normal(size=(5000, 3)) @ RANDOM.normal(size=(3, 3)) + 4.0).astype(np.float32)


def _read(name, value, dimension, *, random_state=0, outliers="warn"):
    """The cloud, its points and mean as they were given."""
    found = _cloud.read_cloud(
        name, value, dimension, random_state=random_state, outliers=outliers, columns=None
    )
    return found._replace(points=found.points + found.origin, mean=found.mean + found.origin)


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(_cloud, "MOST_POINTS", 1000)
    monkeypatch.setattr(_cloud, "_ROWS", 333)


def test_moments_and_a_sample_of_a_memory_map(small_blocks, tmp_path):
    import pandas as pd

    np.save(tmp_path / "x.npy", POINTS)
    file = np.load(tmp_path / "x.npy", mmap_mode="r")
    sample = _read("X", file, 3)
    wide = POINTS.astype(np.float64)
    np.testing.assert_allclose(sample.mean, wide.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(sample.covariance, np.cov(wide.T, ddof=0), rtol=1e-10)
    assert sample.points.shape == (1000, 3)
    assert sample.points.dtype == np.float32
    # Distinct, and of the file, up to what is lost in taking the origin off and on.
    rows = {row.tobytes() for row in np.round(POINTS, 4)}
    assert len({row.tobytes() for row in np.round(sample.points, 4)} & rows) > 990
    # Four standard errors of the mean of a fifth of the points.
    error = 4.0 * wide.std(axis=0) / np.sqrt(1000)
    assert (np.abs(sample.points.mean(axis=0) - wide.mean(axis=0)) < error).all()
    for value in (POINTS, pd.DataFrame(POINTS)):
        np.testing.assert_array_equal(_read("X", value, 3).points, sample.points)


@pytest.mark.parametrize("outliers", ["warn", "drop", "keep"])
def test_outliers_are_rows_of_what_was_given(outliers, small_blocks):
    far = POINTS.copy()
    far[[40, 3000, 4999]] = -9e4
    drawn = _read("X", far, 3, outliers="keep").points
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = _read("X", far, 3, outliers=outliers)
    seen = np.flatnonzero((drawn < -8e4).all(axis=1))
    assert len(found.outliers) == (0 if outliers == "keep" else len(seen))
    assert (far[found.outliers] == -9e4).all()
    assert len(found.points) == 1000 - (len(seen) if outliers == "drop" else 0)


def test_few_points_are_all_taken():
    sample = _read("X", POINTS[:50], 3)
    np.testing.assert_allclose(sample.points, POINTS[:50], rtol=1e-5)
    np.testing.assert_allclose(
        sample.covariance, shrunk_covariance(POINTS[:50].astype(float)), atol=1e-6
    )


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda x: x.__setitem__((700, 1), np.nan), "X, rows from 666: got 1 NaN or infinite"),
        (lambda x: x.__setitem__((slice(None), 2), 1.0), r"X: got constant columns \[2\]"),
    ],
)
def test_faults_are_named(spoil, message, small_blocks):
    bad = POINTS.copy()
    spoil(bad)
    with pytest.raises(ValueError, match=message):
        _read("X", bad, 3)
    with pytest.raises(ValueError, match="got dimension 3; wants dimension 4"):
        _read("X", POINTS, 4)


_FAR = [1e9, 1e12, 1e30, 1e100, 1e300]


@pytest.mark.parametrize("value", _FAR)
@pytest.mark.parametrize("row", [0, 17])
@pytest.mark.parametrize("sides", ["X", "Y", "XY"])
def test_rows_that_leave_the_others_no_digits_are_left_out_and_named(value, row, sides):
    r = np.random.default_rng(0)
    clouds = {"X": r.normal(size=(60, 2)), "Y": 1.0 + 2.0 * r.normal(size=(65, 2))}
    rest = {name: np.delete(z, row, axis=0) if name in sides else z for name, z in clouds.items()}
    settings = {"random_state": 0, "candidates": ["gaussian"]}
    alone = MongeMap(outliers="keep", **settings).fit(rest["X"], rest["Y"]).transform(rest["X"])
    for name in sides:
        clouds[name][row, 1] = value
    with pytest.warns(UserWarning, match="it is left out, since beside it") as caught:
        beside = MongeMap(**settings).fit(clouds["X"], clouds["Y"])
    assert [str(one.message)[:1] for one in caught] == list(sides)
    assert all(one.filename == __file__ for one in caught)
    assert f"row {row}, column 1" in str(caught[0].message)
    np.testing.assert_allclose(beside.transform(rest["X"]), alone, rtol=1e-10)
    dropped = MongeMap(outliers="drop", **settings).fit(clouds["X"], clouds["Y"])
    np.testing.assert_allclose(dropped.transform(rest["X"]), alone, rtol=1e-10)


@pytest.mark.parametrize("value", _FAR)
def test_a_generator_leaves_them_out_too(value):
    x = np.random.default_rng(0).normal(size=(120, 2))
    x[0, 0] = value
    with pytest.warns(UserWarning, match="it is left out, since beside it"):
        made = Generator(random_state=0, source="isotropic").fit(x).sample(300, random_state=0)
    assert 0.5 < made.std() < 1.5


@pytest.mark.parametrize("value", _FAR)
@pytest.mark.parametrize("effort", [0, "quick"])
def test_kept_rows_give_a_map_or_one_clear_refusal(value, effort):
    r = np.random.default_rng(0)
    x, y = r.normal(size=(40, 2)), r.normal(size=(45, 2))
    x[0, 0] = value
    est = MongeMap(random_state=0, outliers="keep", effort=effort)
    try:
        said = "" if np.isfinite(est.fit(x, y).transform(x)).all() else "not finite"
    except ValueError as error:
        said = str(error)
    assert re.fullmatch("(X: got .* out.*)?", said)
