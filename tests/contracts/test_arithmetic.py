"""Importing brenier changes nothing in JAX; inside of it digits do not depend on the device."""

import inspect
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax._src.lax import lax as products

import brenier
from brenier._arithmetic import GUARDED, in_own_arithmetic, own_arithmetic
from brenier.flows import HeldOutDual, SemiDual, solve
from brenier.maps import EntropicMap, GradientMap
from brenier.measures import Empirical
from brenier.numerics import conjugate, energy_distance_squared, sinkhorn
from brenier.potentials import ICNN

ROOMS = [
    "certify", "estimators", "exact", "flows", "functionals", "grids", "images", "maps",
    "measures", "numerics", "potentials", "problems", "velocities",
]  # fmt: skip
# A GPU's TF32: a float32 with ten bits behind the leading one.
_TF32 = {"exponent_bits": 8, "mantissa_bits": 10}


def clouds(n: int = 61, d: int = 2) -> tuple[np.ndarray, np.ndarray]:
    r = np.random.default_rng(0)
    return r.normal(size=(n, d)), r.normal(size=(n + 7, d)) ** 3 / 3.0 + 1.0


@pytest.fixture
def tensor_cores(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """JAX as on a GPU that rounds float32 products where it is not told "highest".

    Yields what it rounded. Programs that were compiled before, and those compiled here, are let go.
    """
    rounded: list[str] = []
    true_product = products.dot_general

    def product(lhs, rhs, dimension_numbers, precision=None, *args, **kwargs):
        asked = precision or jax.config.jax_default_matmul_precision
        single = lhs.dtype == rhs.dtype == jnp.float32
        if single and "highest" not in str(asked).lower():
            rounded.append(f"{lhs.shape} x {rhs.shape}")
            lhs, rhs = (lax.reduce_precision(x, **_TF32) for x in (lhs, rhs))
        return true_product(lhs, rhs, dimension_numbers, precision, *args, **kwargs)

    jax.clear_caches()
    monkeypatch.setattr(products, "dot_general", product)
    monkeypatch.setattr(lax, "dot_general", product)
    yield rounded
    monkeypatch.undo()
    jax.clear_caches()


def test_the_double_rounds_what_a_gpu_rounds(tensor_cores):
    x = jnp.full((3, 3), 1.0 + 2.0**-12, jnp.float32)
    assert (x @ jnp.eye(3, dtype=jnp.float32))[0, 0] == 1.0
    assert len(tensor_cores) == 1
    with own_arithmetic():
        assert (x @ jnp.eye(3, dtype=jnp.float32))[0, 0] > 1.0
    assert len(tensor_cores) == 1


def of_sinkhorn():
    x, y = (jnp.asarray(z, jnp.float32) for z in clouds())
    return sinkhorn(x, y, epsilon=0.1, tolerance=1e-3).g


def of_energy_distance():
    x, y = (jnp.asarray(z, jnp.float32) for z in clouds())
    return energy_distance_squared(x, y)


def of_entropic_map():
    x, y = (z.astype(np.float32) for z in clouds())
    return EntropicMap.from_samples(x, y)(x)


def _network() -> ICNN:
    return jax.tree.map(
        lambda a: a.astype(jnp.float32), ICNN.identity(jax.random.key(0), 2, (8,), pieces=4)
    )


def of_conjugates():
    y = jnp.asarray(clouds()[1], jnp.float32)
    return conjugate(_network().value, y).point


def of_held_out_dual():
    x, y = (z.astype(np.float32) for z in clouds())
    return HeldOutDual(x, y)(GradientMap(_network()))


def of_training():
    x, y = (Empirical(jnp.asarray(z, jnp.float32)) for z in clouds())
    solution = solve(
        x, y, method=SemiDual(steps=4, batch=32), initial=GradientMap(_network()),
        key=jax.random.key(0), metric=HeldOutDual(x.points, y.points), blocks=1, throw=False,
    )  # fmt: skip
    return solution.map(x.points)


def of_fit():
    x, y = (z.astype(np.float32) for z in clouds())
    return brenier.MongeMap(random_state=0, candidates=["entropic"]).fit(x, y).transform(x)


def of_audit():
    x, y = (z.astype(np.float32) for z in clouds())
    map = EntropicMap.from_samples(x, y)
    return brenier.audit(map, x, y, key=jax.random.key(0)).defect.gap


@pytest.mark.parametrize(
    "answer",
    [
        of_sinkhorn, of_energy_distance, of_fit, of_audit,
        *(
            pytest.param(answer, marks=pytest.mark.slow)
            for answer in (of_conjugates, of_entropic_map, of_held_out_dual, of_training)
        ),
    ],
)  # fmt: skip
def test_no_product_is_rounded_and_the_answer_is_that_of_the_cpu(answer, request):
    expected = np.asarray(answer())
    rounded = request.getfixturevalue("tensor_cores")
    found = np.asarray(answer())
    assert rounded == []
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("room", ROOMS)
def test_every_public_function_and_method_is_in_own_arithmetic(room):
    module = import_module(f"brenier.{room}")
    for name in module.__all__:
        member = getattr(module, name)
        if inspect.isclass(member):
            for key, method in vars(member).items():
                if inspect.isfunction(method) and (not key.startswith("_") or key == "__call__"):
                    assert hasattr(method, GUARDED), f"{room}.{name}.{key}"
        elif inspect.isfunction(member) or hasattr(member, "__wrapped__"):
            assert hasattr(member, GUARDED), f"{room}.{name}"


def test_a_generator_leaves_the_callers_settings_alone():
    @in_own_arithmetic
    def steps():
        yield jnp.ones(1).dtype
        yield jnp.ones(1).dtype

    with jax.enable_x64(False):
        seen = [(dtype, jnp.ones(1).dtype) for dtype in steps()]
    assert seen == 2 * [(jnp.float64, jnp.float32)]


def test_a_callers_settings_come_back_after_an_error():
    with jax.enable_x64(False):
        with pytest.raises(ValueError, match="method"):
            conjugate(lambda x: x @ x, jnp.ones((1, 2)), method="nothing")
        assert not jax.config.jax_enable_x64
        assert jax.config.jax_default_matmul_precision is None


_USER = """
import copy, pickle
import jax, jax.numpy as jnp, numpy as np
before = {name: getattr(jax.config, name) for name in dir(jax.config) if name.startswith("jax_")}
import brenier
from brenier.maps import EntropicMap
kept = ("jax_compilation_cache_dir", "jax_persistent_cache_min_compile_time_secs")
changed = {n for n, v in before.items() if getattr(jax.config, n) != v} - set(kept)
assert not changed, changed
assert jnp.ones(1).dtype == jnp.float32

r = np.random.default_rng(0)
x, y = r.normal(size=(50, 2)), 1.0 + r.normal(size=(60, 2)) ** 3
m = EntropicMap.from_samples(x, y)
whole = m(x)
assert whole.dtype == np.float64
single = jnp.asarray(x, jnp.float32)

# Inside of the user's transformations float32 is all that JAX allows, and the result says so.
moved = jax.jit(lambda z: m(z))(single)
assert moved.dtype == jnp.float32
np.testing.assert_allclose(moved, whole, atol=1e-4)
np.testing.assert_allclose(jax.vmap(lambda z: m(z))(single), whole, atol=1e-4)
slope = jax.grad(lambda z: m(z).sum())(single)
step = jax.jit(jax.jacfwd(lambda z: m(z)))(single[0])
assert slope.dtype == step.dtype == jnp.float32
near = (np.asarray(m(x[:1] + 1e-6 * np.eye(2))) - np.asarray(m(x[:1] - 1e-6 * np.eye(2)))) / 2e-6
np.testing.assert_allclose(step, near.T, atol=1e-3)
np.testing.assert_allclose(slope[0], near.sum(1), atol=1e-3)

with jax.enable_x64(True):
    inside = jax.jit(lambda z: m(z))(x)
    assert inside.dtype == np.float64
    np.testing.assert_allclose(inside, whole, atol=1e-12)

"""
_MORE = """
est = brenier.MongeMap(random_state=0, candidates=["log-sum-exp"]).fit(x, y)
assert est.transform(x).dtype == np.float64
np.testing.assert_allclose(est.inverse_transform(est.transform(x)), x, atol=1e-6)
draws = brenier.measures.Gaussian(np.zeros(2), np.eye(2)).sample(jax.random.key(0), 3)
assert draws.dtype == np.float64
for kept in (est, m, est.map_):
    again = pickle.loads(pickle.dumps(kept))
    copied = copy.deepcopy(kept)
    answer = kept.transform if kept is est else kept
    for other in (again, copied):
        np.testing.assert_array_equal((other.transform if kept is est else other)(x), answer(x))
brenier.save("map.brenier", m)
np.testing.assert_array_equal(brenier.load("map.brenier")(x), whole)
assert jnp.ones(1).dtype == jnp.float32
"""


@pytest.mark.parametrize(
    "program",
    [
        pytest.param(_USER + _MORE, id="jax first"),
        pytest.param("import brenier\n" + _USER, id="brenier first", marks=pytest.mark.slow),
    ],
)
def test_importing_brenier_changes_nothing_in_the_users_own_code(program, tmp_path):
    env = {k: v for k, v in os.environ.items() if k != "JAX_ENABLE_X64"}
    done = subprocess.run(
        [sys.executable, "-W", "error::UserWarning", "-c", program],
        capture_output=True, text=True, env=env, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_no_module_makes_single_precision_when_it_is_imported():
    """Modules are read outside of brenier's arithmetic: what jnp makes there has seven digits."""
    program = """
import jax, pkgutil, importlib, sys, brenier
for module in pkgutil.walk_packages(brenier.__path__, "brenier."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
made = [f"{name}.{own}" for name, module in sorted(sys.modules.items())
        if name.startswith("brenier") for own, value in vars(module).items()
        for leaf in jax.tree.leaves(value)
        if isinstance(leaf, jax.Array) and leaf.dtype == "float32"]
print(" ".join(made))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr
