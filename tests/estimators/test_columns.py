"""Columns are matched by their labels, of whatever kind these are; two of one label are refused."""

import numpy as np
import pandas as pd
import pytest

from brenier import Generator, MongeMap

RANDOM = np.random.default_rng(0)
X, Y = RANDOM.normal(size=(40, 2)), 1.0 + RANDOM.normal(size=(40, 2)) * [1.0, 3.0]
LABELS = {
    "strings": ["b", "a"],
    "tuples": [("x", 2), ("x", 1)],
    "numbers": [1, 0],
    "years": [2020, 2019],
    "mixed": ["a", 1],
    "dates": list(pd.to_datetime(["2020-01-02", "2020-01-01"])),
}


def _frame(values, labels):
    return pd.DataFrame(dict(enumerate(values.T))).set_axis(pd.Index(labels), axis=1)


@pytest.fixture(scope="module", params=LABELS)
def labels(request):
    return LABELS[request.param]


def test_columns_are_matched_by_label(labels):
    turned = labels[::-1]
    plain = MongeMap(effort=0, random_state=0).fit(X, Y)
    fitted = MongeMap(effort=0, random_state=0).fit(_frame(X, labels), _frame(Y[:, ::-1], turned))
    expected = plain.transform(X)
    for frame in (_frame(X, labels), _frame(X[:, ::-1], turned)):
        np.testing.assert_array_equal(np.asarray(fitted.transform(frame)), expected)
    np.testing.assert_array_equal(np.asarray(fitted.transform(X)), expected)
    with pytest.raises(ValueError, match="X: got columns"):
        fitted.transform(_frame(X, ["c", labels[0]]))


def test_labels_come_back_and_are_matched_in_scores(labels):
    fitted = Generator(random_state=0, epsilon=1.0).fit(_frame(X, labels))
    made = fitted.sample(3, random_state=0)
    assert list(made.columns) == labels
    turned = fitted.score(_frame(X[:, ::-1], labels[::-1]))
    assert turned == fitted.score(_frame(X, labels)) == fitted.score(X)


def test_frames_without_names_stand_as_they_are():
    fitted = MongeMap(effort=0, random_state=0).fit(pd.DataFrame(X), pd.DataFrame(Y))
    assert "feature_names_in_" not in vars(fitted)
    expected = np.asarray(fitted.transform(X))
    for frame in (pd.DataFrame(X), _frame(X, ["a", "b"]), _frame(X[:, ::-1], [1, 0])):
        np.testing.assert_array_equal(np.asarray(fitted.transform(frame)), expected)


@pytest.mark.parametrize("double", [["a", "a"], [1, 1], [("x", 1), ("x", 1)]])
def test_two_columns_of_one_label_are_refused(double):
    wrong = r"(X|Y): got columns \[.*\] more than once; wants distinct names"
    fitted = MongeMap(effort=0, random_state=0).fit(_frame(X, ["a", "b"]), _frame(Y, ["a", "b"]))
    generator = Generator(random_state=0, epsilon=1.0).fit(_frame(X, ["a", "b"]))
    for refused in (
        lambda: MongeMap(effort=0).fit(_frame(X, double), Y),
        lambda: MongeMap(effort=0).fit(X, _frame(Y, double)),
        lambda: fitted.transform(_frame(X, double)),
        lambda: Generator().fit(_frame(X, double)),
        lambda: generator.score(_frame(X, double)),
    ):
        with pytest.raises(ValueError, match=wrong):
            refused()
