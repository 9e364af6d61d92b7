"""Rows far outside of the others: found where they are, and not found in honest laws."""

import time

import numpy as np
import pytest

from brenier.numerics._outliers import describe_outliers, gross_outliers


def _mixture(share, apart):
    def draw(g, n, d):
        x = g.normal(size=(n, d))
        x[g.random(n) < share] += apart
        return x

    return draw


def _zeros(share, draw):
    return lambda g, n, d: np.where(g.random((n, d)) < share, 0.0, draw(g, n, d))


def _counts(mean, size):
    return lambda g, n, d: g.poisson(g.gamma(size, mean / size, size=(n, d))).astype(float)


def _repeated(g, n, d):
    x = g.standard_t(3, size=(n, d))
    x[1] = x[0]
    return x


def _normal(g, n, d):
    return g.normal(size=(n, d))


HONEST = {
    "normal": _normal,
    "t3": lambda g, n, d: g.standard_t(3, size=(n, d)),
    "t2": lambda g, n, d: g.standard_t(2, size=(n, d)),
    "lognormal": lambda g, n, d: np.exp(1.5 * g.normal(size=(n, d))),
    "wide lognormal": lambda g, n, d: np.exp(2.0 * g.normal(size=(n, d))),
    "Pareto": lambda g, n, d: g.pareto(1.5, size=(n, d)),
    "Cauchy": lambda g, n, d: g.standard_cauchy(size=(n, d)),
    "exponential": lambda g, n, d: g.exponential(size=(n, d)),
    "gamma": lambda g, n, d: g.gamma(0.05, size=(n, d)),
    "a fifth zeros": _zeros(0.2, lambda g, n, d: g.gamma(1.0, size=(n, d))),
    "many zeros": _zeros(0.95, lambda g, n, d: g.gamma(1.0, size=(n, d))),
    "many zeros, heavy tails": _zeros(0.95, lambda g, n, d: g.standard_t(2, size=(n, d))),
    "counts": _counts(5.0, 0.1),
    "many zeros, counts": _zeros(0.9, _counts(100.0, 0.5)),
    "rare ones": lambda g, n, d: g.poisson(0.01, size=(n, d)).astype(float),
    "Zipf": lambda g, n, d: g.zipf(2.5, size=(n, d)).astype(float),
    "integers": lambda g, n, d: np.round(g.normal(40.0, 15.0, size=(n, d))),
    "doses": lambda g, n, d: g.choice(
        [0.0, 1.0, 10.0, 100.0], p=[0.5, 0.3, 0.15, 0.05], size=(n, d)
    ),
    "one-hot": lambda g, n, d: np.eye(d + 1)[g.integers(0, d + 1, n)][:, :d],
    "one repeated row": _repeated,
    "drawn with replacement": lambda g, n, d: g.standard_t(3, size=(n, d))[g.integers(0, n, n)],
    **{
        f"{share:.0%} {apart} away": _mixture(share, apart)
        for share in (0.5, 0.1, 0.03)
        for apart in (10.0, 100.0)
    },
}


@pytest.mark.parametrize("law", HONEST)
def test_honest_laws_raise_no_alarm(law):
    g = np.random.default_rng(0)
    sizes = [(50, 1)] * 150 + [(50, 20)] * 15 + [(300, 5)] * 30 + [(2000, 10)] * 4 + [(50_000, 2)]
    alarms = sum(len(gross_outliers(HONEST[law](g, n, d))) > 0 for n, d in sizes)
    # One of a thousand data sets in the mean: Poisson, 0.2 of these 200; 3 or more in one of 870.
    assert alarms <= 2


@pytest.mark.parametrize("law", ["normal", "t3", "exponential", "a fifth zeros"])
@pytest.mark.parametrize("code", [-9999.0, 1e10, -1e30])
@pytest.mark.parametrize(("n", "share"), [(300, 0.01), (300, 0.1), (5000, 0.002), (5000, 0.1)])
def test_codes_are_found_and_nothing_else(law, code, n, share):
    for seed in range(5):
        g = np.random.default_rng(seed)
        x = HONEST[law](g, n, 3)
        rows = np.sort(g.choice(n, int(share * n), replace=False))
        x[rows, 1] = code
        assert np.array_equal(gross_outliers(x), rows)


@pytest.mark.parametrize("n", [50, 100, 1000])
@pytest.mark.parametrize("code", [-9999.0, 9999.0, 1e30])
def test_one_row_is_enough(n, code):
    x = np.random.default_rng(n).normal(size=(n, 2))
    x[7, 0] = code
    assert gross_outliers(x).tolist() == [7]


def test_whole_rows_and_different_codes_on_both_sides():
    x = np.random.default_rng(0).normal(size=(1000, 4))
    x[10:20] = -9999.0
    x[30:40, 0] = 9999.0
    x[50, 1] = -1e30
    x[60:63, 2] = -999.0
    x[70:80, 2] = -1e12
    rows = [*range(10, 20), *range(30, 40), 50, *range(60, 63), *range(70, 80)]
    assert gross_outliers(x).tolist() == rows


def test_a_code_close_to_many_different_values():
    x = np.random.default_rng(0).normal(500.0, 100.0, size=(1000, 2))
    x[:10, 1] = 9999.0
    assert gross_outliers(x).tolist() == list(range(10))


def test_one_row_of_many_need_not_be_so_far():
    x = np.random.default_rng(0).normal(500.0, 100.0, size=(2000, 2))
    x[5, 0] = -9999.0
    assert gross_outliers(x).tolist() == [5]


def test_a_code_among_heavy_tails_and_zeros():
    g = np.random.default_rng(0)
    for law in ("Pareto", "many zeros", "wide lognormal"):
        x = HONEST[law](g, 2000, 2)
        x[:20, 0] = -9999.0
        assert gross_outliers(x).tolist() == list(range(20))


def test_codes_among_ages():
    x = np.random.default_rng(0).integers(0, 91, (1000, 1)).astype(float)
    x[:20] = 999.0
    assert gross_outliers(x).tolist() == list(range(20))


def test_rows_in_other_units_are_found():
    g = np.random.default_rng(0)
    x = np.exp(g.normal(size=(500, 3)))
    x[5:15] *= 1e6
    assert gross_outliers(x).tolist() == list(range(5, 15))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("scale", [1e-25, 1e-3, 1e25])
@pytest.mark.parametrize("law", ["normal", "t2", "many zeros"])
def test_shift_and_scale_change_nothing(law, scale, dtype):
    g = np.random.default_rng(1)
    x = HONEST[law](g, 400, 3)
    x[:8, 2] = -1e5
    rows = gross_outliers(x)
    assert rows.tolist() == list(range(8))
    shift = np.array([3.0, -5.0, 7.0])
    units = scale * np.array([1.0, 3.0, 0.5])
    assert np.array_equal(gross_outliers((x * units).astype(dtype)), rows)
    assert np.array_equal(gross_outliers(((x + shift) * units).astype(dtype)), rows)
    assert np.array_equal(gross_outliers((-x * units).astype(dtype)), rows)


def test_the_widest_numbers_overflow_nowhere():
    x = np.random.default_rng(0).normal(size=(200, 1))
    x[3], x[4] = np.finfo(float).max, np.finfo(float).min
    assert gross_outliers(x).tolist() == [3, 4]


def test_few_rows_and_constant_columns_tell_nothing():
    assert len(gross_outliers(np.array([[0.0], [1.0], [1e9]]))) == 0
    x = np.zeros((100, 1))
    x[:3] = -9999.0
    assert len(gross_outliers(x)) == 0


def test_many_rows_take_seconds_at_most():
    x = np.random.default_rng(0).standard_t(3, size=(260_000, 10)).astype(np.float32)
    x[::500, 4] = -9999.0
    start = time.perf_counter()
    assert len(gross_outliers(x)) == 520
    # A tenth of this on an idle core.
    assert time.perf_counter() - start < 5.0


def test_the_warning_names_count_row_column_and_range():
    x = np.random.default_rng(0).uniform(-1.0, 1.0, size=(300, 2))
    x[:2] = [[-3.1, -3.0], [2.9, 3.0]]
    x[[17, 40, 99], 0] = -9999.0
    assert describe_outliers("X", gross_outliers(x), x) == (
        "X: 3 of 300 rows lie far outside of the others (first: row 17, column 0 is -9999, where "
        "the others are within [-3.1, 2.9]); they pull the whole map. Take them out, or pass "
        'outliers="drop".'
    )
    assert "row 17, column 'age' is -9999" in describe_outliers(
        "X", gross_outliers(x), x, ["age", "b"]
    )


def test_the_warning_of_one_row():
    x = np.random.default_rng(0).normal(size=(300, 2)).astype(np.float32)
    x[8, 1] = 1e30
    text = describe_outliers("Y", gross_outliers(x), x)
    assert text.startswith(
        "Y: 1 of 300 rows lies far outside of the others (row 8, column 1 is 1e+30"
    )
