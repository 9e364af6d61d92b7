"""Checkpoints: the same bits back, and nothing of another run."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from brenier import Checkpoint
from brenier.io.modules._container import read_container, write_container
from brenier.maps import GradientMap
from brenier.potentials import ICNN


class _State(eqx.Module):
    map: GradientMap
    key: jax.Array
    old_key: jax.Array
    step: jax.Array
    moments: tuple[jax.Array, ...]
    seen: np.ndarray
    best: float
    weak: jax.Array
    activation: object = jax.nn.softplus


def _state(seed=0, widths=(4, 4), dtype=jnp.float64, floor=1e-3):
    key = jax.random.key(seed, impl="rbg")
    potential = ICNN.identity(jax.random.key(seed), 2, widths, floor=floor)
    return _State(
        GradientMap(potential),
        key,
        jax.random.PRNGKey(seed),
        jnp.asarray(7, jnp.int32),
        (jnp.array([0.1 + seed, jnp.nan, -0.0], dtype),),
        np.arange(3),
        0.1 + seed,
        jnp.broadcast_to(1.0 + seed, (2,)),
    )


def _bits(state):
    leaves = jax.tree.leaves(state)
    keys = [jax.random.key_data(x) if x is state.key else x for x in leaves]
    return [np.asarray(x).tobytes() for x in keys if not callable(x)]


def test_the_state_comes_back_bit_for_bit(tmp_path):
    checkpoint = Checkpoint(tmp_path / "run", every=3)
    saved, template = _state(1), _state(0)
    assert checkpoint.load(template) is None
    checkpoint.save(saved)
    loaded = checkpoint.load(template)
    assert _bits(loaded) == _bits(saved)
    assert jax.tree.structure(loaded) == jax.tree.structure(saved)
    kinds = [jax.typeof(leaf) for leaf in jax.tree.leaves(loaded) if eqx.is_array(leaf)]
    assert kinds == [jax.typeof(leaf) for leaf in jax.tree.leaves(saved) if eqx.is_array(leaf)]
    assert isinstance(loaded.best, float)
    assert isinstance(loaded.seen, np.ndarray)
    draw = jax.random.normal(loaded.key, (3,))
    np.testing.assert_array_equal(draw, jax.random.normal(saved.key, (3,)))


def test_a_second_save_replaces_the_first_and_equal_states_give_equal_bytes(tmp_path):
    checkpoint, again = Checkpoint(tmp_path / "run"), Checkpoint(tmp_path / "again")
    checkpoint.save(_state(1))
    checkpoint.save(_state(2))
    again.save(_state(2))
    assert _bits(checkpoint.load(_state(0))) == _bits(_state(2))
    assert (tmp_path / "run").read_bytes() == (tmp_path / "again").read_bytes()


@pytest.mark.parametrize(
    ("other", "phrase"),
    [
        (lambda: _state(widths=(5, 5)), r"\.map\.potential\.inputs\[0\] of dtype float64"),
        (lambda: _state(dtype=jnp.float32), r"wants state\.moments\[0\] of dtype float32"),
        (lambda: eqx.tree_at(lambda s: s.activation, _state(), jax.nn.relu), "structure differ"),
        (lambda: _state(floor=0.5), "structure differ"),
        (lambda: (_state(), jnp.zeros(2)), r"wants state\[0\]"),
    ],
    ids=["shape", "dtype", "function", "static", "tree"],
)
def test_a_checkpoint_of_another_run_is_refused(other, phrase, tmp_path):
    checkpoint = Checkpoint(tmp_path / "run")
    checkpoint.save(_state())
    with pytest.raises(ValueError, match=f"checkpoint of another run.*{phrase}"):
        checkpoint.load(other())


def test_a_damaged_checkpoint_and_a_map_are_refused(tmp_path):
    import brenier

    checkpoint = Checkpoint(tmp_path / "run")
    checkpoint.save(_state())
    data = (tmp_path / "run").read_bytes()
    (tmp_path / "run").write_bytes(data[:-100])
    with pytest.raises(ValueError, match="truncated"):
        checkpoint.load(_state())
    brenier.save(tmp_path / "run", _state().map)
    with pytest.raises(ValueError, match="got a brenier map; wants a brenier checkpoint"):
        checkpoint.load(_state())


def test_every_is_at_least_one():
    with pytest.raises(ValueError, match="every: got 0"):
        Checkpoint("run", every=0)


@pytest.mark.parametrize(
    "dtype", ["bfloat16", "float16", "float8_e4m3fn", "bool", "uint8", "int64"]
)
def test_any_dtype_comes_back_bit_for_bit(dtype, tmp_path):
    checkpoint = Checkpoint(tmp_path / "run")
    state = {"array": jnp.array([0.0, 1.0, 3.0]).astype(dtype), "one": jnp.ones((), dtype)}
    checkpoint.save(state)
    found = checkpoint.load(jax.tree.map(jnp.zeros_like, state))
    for got, wanted in zip(jax.tree.leaves(found), jax.tree.leaves(state), strict=True):
        assert got.dtype == wanted.dtype
        np.testing.assert_array_equal(np.asarray(got, float), np.asarray(wanted, float))


def _other_array(content):
    content["arrays"][3] = np.zeros((2, 2))


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content.pop("leaves"),
        lambda content: content.update(leaves="x"),
        lambda content: content.update(leaves=[5] * len(content["leaves"])),
        lambda content: content.update(leaves=content["leaves"][:-1]),
        lambda content: content.pop("structure"),
        _other_array,
    ],
    ids=["no leaves", "text", "numbers", "one less", "no structure", "another shape"],
)
def test_an_impossible_checkpoint_is_refused_in_one_line(change, tmp_path):
    checkpoint = Checkpoint(tmp_path / "run")
    checkpoint.save(_state())
    manifest, arrays = read_container(tmp_path / "run", "checkpoint")
    content = {"leaves": manifest["leaves"], "structure": manifest["structure"], "arrays": arrays}
    change(content)
    arrays = content.pop("arrays")
    write_container(tmp_path / "run", "checkpoint", content, arrays)
    with pytest.raises(ValueError, match="run: got") as refusal:
        checkpoint.load(_state())
    assert "\n" not in str(refusal.value)
