"""Records of unfinished work: what is written is read back, to the last bit."""

import dataclasses

import equinox as eqx
import numpy as np
import pytest

from brenier.io import read_record, write_record
from brenier.io.modules._tree import saved_classes
from brenier.potentials import Quadratic
from brenier.potentials.host import (
    CompiledPotential,
    HostLogSumExp,
    HostMixture,
    HostPotential,
    HostQuadratic,
    fit_separable,
    soft_hinges,
)

_DRAWS = np.random.default_rng(0)
_U, _V = _DRAWS.normal(size=(2, 40, 2))
_POTENTIALS = (
    HostQuadratic.identity(2),
    HostLogSumExp(_V[:5], _DRAWS.normal(size=5), 0.1, 0.2).astype(np.float32),
    fit_separable(_U, _V, np.eye(2), 6),
    soft_hinges(_U, _V, 4, _DRAWS),
    CompiledPotential(Quadratic.identity(2), np.dtype(np.float32)),
    HostMixture((HostQuadratic.identity(2), HostQuadratic.identity(2)), np.array([0.3, 0.7])),
)


def test_every_potential_of_the_host_has_an_example():
    ours = {cls for cls in saved_classes().values() if issubclass(cls, HostPotential)}
    assert ours == {type(own) for own in _POTENTIALS}


@pytest.mark.parametrize("potential", _POTENTIALS, ids=lambda own: type(own).__name__)
def test_a_potential_is_read_back_bit_for_bit(potential, tmp_path):
    content = {"done": [potential], "step": 3, "left": None, "nan": float("nan")}
    write_record(tmp_path / "record", "work", content)
    read = read_record(tmp_path / "record", "work")
    (own,) = read.pop("done")
    assert (read["step"], read["left"], str(read["nan"])) == (3, None, "nan")
    assert type(own) is type(potential)
    if isinstance(own, HostMixture):
        own, potential = own.potentials[0], potential.potentials[0]
    for field in dataclasses.fields(own):
        assert eqx.tree_equal(
            getattr(own, field.name), getattr(potential, field.name), typematch=True
        )
    x = _U.astype(own.precision)
    np.testing.assert_array_equal(own.value(x), potential.value(x))


def test_another_kind_is_refused(tmp_path):
    write_record(tmp_path / "record", "work", {})
    with pytest.raises(ValueError, match="record: got a brenier work; wants a brenier fit"):
        read_record(tmp_path / "record", "fit")
