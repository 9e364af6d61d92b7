"""Files that earlier versions wrote open as the same maps.

``written_by_e4e4e50`` holds one file of every class that could be saved at that commit, made there
by ``brenier.save``, and in ``values.npz`` what each gave at two points: the images of a map, the
values of a potential, the log-densities of a measure, three samples where it has no density.
"""

import re
from pathlib import Path

import jax
import numpy as np
import pytest

import brenier
from brenier.io import read_manifest
from brenier.io.modules._renamed import RENAMED_CLASSES
from brenier.io.modules._tree import saved_classes
from brenier.measures import AbstractMeasure

FOLDER = Path(__file__).parent / "written_by_e4e4e50"
FILES = sorted(FOLDER.glob("*.brenier"))
FILES_OF_FLOWS = sorted(FOLDER.glob("*FlowMap*"))


# Flows are compiled for seconds each, and differ by their velocities alone.
@pytest.mark.parametrize(
    "file",
    [
        pytest.param(f, id=f.stem, marks=[pytest.mark.slow] if f in FILES_OF_FLOWS[1:] else [])
        for f in FILES
    ],
)
def test_a_file_of_an_earlier_version_is_the_same_map(file):
    module = brenier.load(file)
    with np.load(FOLDER / "values.npz") as stored:
        wanted = stored[file.stem]
    # The points were drawn by the number in the file's name.
    x = 0.5 * np.random.default_rng(int(file.name[:2])).normal(size=(2, module.dimension))
    if not isinstance(module, AbstractMeasure):
        found = module(x)
    elif module.has_density:
        found = module.log_density(x)
    else:
        found = module.sample(jax.random.key(0), 3)
    # Another order of the same sums: rounding, over the hundreds of steps of a flow in float32.
    tolerance = 1e-4 if wanted.dtype == np.float32 else 1e-10
    np.testing.assert_allclose(found, wanted, rtol=tolerance, atol=tolerance)


def test_the_table_leads_from_names_that_are_gone_to_names_that_there_are():
    known = saved_classes()
    assert not set(RENAMED_CLASSES) & set(known)
    assert set(RENAMED_CLASSES.values()) <= set(known)
    text = "".join(str(read_manifest(file)) for file in FILES)
    named = set(re.findall(r"'class': '([\w.]+)'", text))
    assert named <= set(RENAMED_CLASSES) | set(known)
