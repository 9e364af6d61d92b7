"""scikit-learn's own checks of estimators: all that apply pass."""

import json
import subprocess
import sys

import numpy as np
import pytest

from brenier import MongeMap

# In a process of its own: the checks set parameters to values that our annotations exclude, which
# the test suite, and not the library, refuses at once.
_PROGRAM = """
import json
import numpy as np
from sklearn.utils.estimator_checks import check_estimator
from brenier import Generator, MongeMap

def twice(x):
    # Points to map onto: the checks know one data set, and labels that are none of ours.
    return 1.0 + 2.0 * x if isinstance(x, np.ndarray) and x.dtype.kind in "iuf" else x

class OntoTwice(MongeMap):
    def fit(self, X, y=None):
        return super().fit(X, twice(X))

    def score(self, X, y=None):
        return super().score(X, twice(X))

found = [
    (one["check_name"], one["status"], str(one["exception"]))
    for one in check_estimator({}, on_skip=None, on_fail=None)
]
print(json.dumps(found))
"""


@pytest.mark.parametrize(
    "made",
    [
        'OntoTwice(effort="quick", candidates=["gaussian"])',
        pytest.param('Generator(source="isotropic", epsilon=0.5)', marks=pytest.mark.slow),
    ],
)
def test_every_check_passes(made):
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", _PROGRAM.replace("{}", made)],
        check=True,
        capture_output=True,
        text=True,
    )
    results = json.loads(run.stdout)
    others = [one for one in results if one[1] != "passed"]
    # Arrays of other libraries are tried where SCIPY_ARRAY_API was set before all imports.
    assert [one[:2] for one in others] == [["check_array_api_input", "skipped"]], others
    assert len(results) > 40


def test_a_target_that_is_missing_is_named():
    with pytest.raises(ValueError, match="requires y to be passed, but the target y is None"):
        MongeMap().fit(np.ones((3, 2)), None)
