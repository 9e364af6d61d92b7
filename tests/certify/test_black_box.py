"""Anyone's map: what is wrong with it is named, and its derivatives are right."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import sparse

from brenier import audit
from brenier.certify import jacobian_asymmetry
from brenier.certify._black_box import BlackBox
from brenier.maps import AffineMap
from brenier.measures import Gaussian

_X = np.random.default_rng(0).normal(size=(50, 3))


def _some_nan(x):
    return np.where(x[:, :1] > 1.0, np.nan, x)


def _masked(x):
    return np.ma.masked_where(x > 1.0, x)


def _noisy(size=1e-3, offset=0.0, dtype=np.float64):
    random = np.random.default_rng(0)
    return lambda x: (x + size * random.normal(size=x.shape) + offset).astype(dtype)


def _noise_by_row(x):
    return x + 1e-3 * np.random.default_rng(0).normal(size=x.shape)


def _whitened_by_groups(x):
    x = x.copy()
    for rows in np.array_split(np.arange(len(x)), 4):
        x[rows] /= x[rows].std(axis=0)
    return x


def _raises(x):
    raise KeyError("weights")


def _exits(x):
    raise SystemExit(3)


def test_an_adaptive_solver_may_hang_on_the_batch():
    # Its steps change with rounding: values differ by less than its tolerance between batches.
    BlackBox(lambda x: x * (1.0 + 1e-6 * len(x))).checked(_X)


BAD = {
    "narrow": (lambda x: x[:, :1], r"map: got values of shape \(.*, 1\)"),
    "few": (lambda x: x[:5], "map: got values of shape"),
    "some NaN": (_some_nan, "map: got NaN or infinite values at .* points, the first at x ="),
    "a mask": (_masked, "map: got NaN or infinite values at .* of 500 points, the first"),
    "infinite": (lambda x: np.where(x > 1.0, np.inf, x), "map: got NaN or infinite values at"),
    "too large": (
        lambda x: 1e155 * x,
        "map: got values up to .*, whose squared distances overflow",
    ),
    "an exit": (_exits, r"map: raised SystemExit .*\(3\)"),
    "text": (lambda x: x.astype(str), "map: got values of dtype <U"),
    "complex": (lambda x: x + 0j, "map: got values of dtype complex128; wants real"),
    "bool": (lambda x: x > 0, "map: got values of dtype bool"),
    "ragged": (lambda x: [[1.0]] * 3 + [[1.0, 2.0]], "map: returned a list that makes no array"),
    "objects": (lambda x: x.astype(object) + np.array([None]), "map: raised TypeError"),
    "None": (lambda x: None, "map: returned None; wants one array"),
    "nothing": (lambda x: object(), "map: returned a object that makes no array"),
    "tuple": (lambda x: (x, x), "map: returned a tuple of 2; wants one array"),
    "noise": (_noisy(), "map: got values that differ by .* two calls.*deterministic"),
    "noise at an offset": (_noisy(offset=1e7), "between two calls on the same points"),
    "noise at an offset, float32": (_noisy(0.1, 1e3, np.float32), "between two calls on the"),
    "noise in one of two units": (
        lambda x: np.stack([1e6 * x[:, 0], _noisy(1e-2)(x)[:, 1]], axis=1) + _NOISE.normal(),
        "between two calls",
    ),
    "noise row by row": (_noise_by_row, "where the same points stand in another order"),
    "mean of the batch": (lambda x: x - x.mean(axis=0), "batch-dependent; wants .*by itself"),
    "deviation of the batch": (lambda x: x / x.std(), "batch-dependent"),
    "groups of the batch": (_whitened_by_groups, "batch-dependent"),
    "largest of the batch": (lambda x: x / np.abs(x).max(), "batch-dependent"),
    "an error of its own": (_raises, "map: raised KeyError on a NumPy array of shape .*'weights'"),
    "one point": (
        lambda x: jnp.array([x[0] ** 2, x[1]]),
        r"shape \(2, 2\) .* give jax\.vmap\(map\)",
    ),
    "one point, raising": (
        eqx.nn.MLP(2, 2, 4, 1, key=jax.random.key(0)),
        r"map: raised .* give jax\.vmap\(map\)",
    ),
    "one point, of the right shape": (
        lambda x: x / (1.0 + jnp.sum(x**2)),
        r"batch-dependent.* give jax\.vmap\(map\)",
    ),
}
_NOISE = np.random.default_rng(1)


@pytest.mark.parametrize("case", BAD)
def test_a_bad_map_is_named(case):
    map, message = BAD[case]
    with pytest.raises(ValueError, match=message):
        audit(map, Gaussian.standard(2), key=jax.random.key(0), samples=500, budget=0.1)


@pytest.mark.parametrize("case", ["noise", "mean of the batch", "noise row by row"])
def test_a_bad_map_is_named_before_its_jacobians_are_compared(case):
    map, message = BAD[case]
    with pytest.raises(ValueError, match=message):
        jacobian_asymmetry(map, _X)


@pytest.mark.parametrize("offset", [0.0, 1e3, 1e6])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rounding_at_an_offset_is_no_noise(offset, dtype):
    weights = np.random.default_rng(2).normal(size=(3, 64)).astype(dtype)

    def network(x):
        return np.tanh(x.astype(dtype) @ weights) @ weights.T + dtype(offset)

    x = np.random.default_rng(3).normal(size=(1000, 3))
    assert BlackBox(network).checked(x).shape == x.shape
    assert BlackBox(lambda y: network(y - offset)).checked(x + offset).shape == x.shape


@pytest.mark.parametrize(
    ("kind", "precision"),
    [
        (lambda x: x, 2.3e-16),
        (lambda x: x.tolist(), 2.3e-16),
        (lambda x: x.astype(np.longdouble), 2.3e-16),
        (lambda x: x.astype(object), 2.3e-16),
        (lambda x: np.round(1e6 * x).astype(int), 1e-6),
        (lambda x: pytest.importorskip("pandas").DataFrame(x, columns=["a", "b", "c"]), 2.3e-16),
        (lambda x: sparse.csr_array(x), 2.3e-16),
        (lambda x: np.ma.masked_array(x), 2.3e-16),
        (lambda x: x.astype(np.float32), 1.2e-7),
        (lambda x: jnp.asarray(x, jnp.float32), 1.2e-7),
        (lambda x: x.astype(np.float16), 9.8e-4),
        (lambda x: jnp.asarray(x, jnp.bfloat16), 7.9e-3),
        (jax.vmap(lambda x: 2.0 * x), 2.3e-16),
        # In single precision inside, in double outside.
        (lambda x: np.sin(x.astype(np.float32)).astype(np.float64), 2e-7),
        (lambda x: (x + 1e3).astype(np.float32).astype(np.float64), 2e-7),
        # A solver whose steps change where its argument does.
        (lambda x: x + 1e-5 * np.sin(1e9 * x), 3e-5),
    ],
)
def test_what_a_map_may_return_and_how_precise_that_is(kind, precision):
    box = BlackBox(kind)
    values = box.checked(_X)
    assert values.dtype == np.float64
    assert values.shape == _X.shape
    assert precision / 30.0 < box.precision < precision


def test_a_smooth_map_stays_as_precise_as_float64():
    box = BlackBox(lambda x: 100.0 * np.sin(10.0 * x) + np.maximum(x, 0.0))
    box.checked(_X)
    assert box.precision == np.finfo(np.float64).eps


def test_single_precision_hidden_in_a_map_gives_no_defect():
    certificate = audit(
        lambda x: (x.astype(np.float32) + np.float32(0.1)).astype(np.float64),
        np.random.default_rng(0).normal(size=(1000, 2)),
        key=jax.random.key(0),
        budget=0.1,
    )
    assert certificate.verdict.optimality == "optimal"
    assert 1e-9 < certificate.how["precision"] < 1e-6
    assert any(question == "error of the map's values" for question, _, _ in certificate.rows())


def test_the_step_grows_with_the_offset():
    box = BlackBox(lambda x: (np.sin(x) + 1e3).astype(np.float32))
    box.checked(_X)
    jacobian, how = box.jacobian(_X)
    exact = np.cos(_X)[:, None, :] * np.eye(3)
    # Rounding of 3e-5 over a step of 0.05, and its square: not 3e-5 over 5e-3.
    np.testing.assert_allclose(jacobian, exact, atol=5e-3)
    assert how.step > 0.02


def test_blocks_bound_what_a_map_is_given_and_tell_how_far_it_is():
    shapes, told = [], []

    def map(x):
        shapes.append(x.shape)
        return 2.0 * x

    x = np.random.default_rng(0).normal(size=(10_000, 2))
    np.testing.assert_array_equal(BlackBox(map, callback=told.append)(x), 2.0 * x)
    assert shapes == [(3334, 2), (3333, 2), (3333, 2)]
    assert [(now.step, now.steps) for now in told] == [(0, 10_000), (3334, 10_000), (6667, 10_000)]
    shapes.clear()
    BlackBox(map)(np.zeros((40, 2**16)))
    assert max(n for n, _ in shapes) <= 16


def test_a_slow_map_is_named_before_the_long_part(monkeypatch):
    clock = iter(np.arange(0.0, 10_000.0, 100.0))
    monkeypatch.setattr("brenier.certify._black_box.time.perf_counter", lambda: next(clock))
    with pytest.warns(UserWarning, match=r"map: takes 2e.03 ms a point, so that 650 of them take"):
        BlackBox(lambda x: x).checked(_X)


def test_a_jacobian_with_nan_is_named():
    with pytest.raises(ValueError, match="jacobian: got NaN"):
        BlackBox(lambda x: x, lambda x: np.full((*x.shape, 3), np.nan)).jacobian(_X)


def test_the_truth_is_called_by_its_name():
    with pytest.raises(ValueError, match="truth: got values of shape"):
        audit(lambda x: x, _X, truth=lambda x: x[:, :1], budget=0.1)


def test_what_is_no_map():
    with pytest.raises(
        ValueError, match=r"map: got float; wants a callable .* estimator.transform is"
    ):
        BlackBox(3.0)
    with pytest.raises(ValueError, match="map: got the class AffineMap; wants an instance"):
        BlackBox(AffineMap)


def test_a_map_that_writes_into_its_argument_does_no_harm():
    def writes(x):
        x *= 2.0
        return x

    kept = _X.copy()
    np.testing.assert_allclose(BlackBox(writes)(_X), 2.0 * kept)
    np.testing.assert_array_equal(_X, kept)


def test_differences_match_the_derivative():
    box = BlackBox(lambda x: np.stack([x[:, 0] * x[:, 1], np.sin(x[:, 2]), x[:, 0] ** 3], axis=1))
    jacobian, how = box.jacobian(_X)
    exact = np.zeros((50, 3, 3))
    exact[:, 0, 0], exact[:, 0, 1] = _X[:, 1], _X[:, 0]
    exact[:, 1, 2] = np.cos(_X[:, 2])
    exact[:, 2, 0] = 3.0 * _X[:, 0] ** 2
    assert 0 < how.step < 1e-4
    np.testing.assert_allclose(jacobian, exact, atol=20 * how.errors.max())
    assert how.errors.max() < 1e-8


def test_a_map_of_ours_has_its_exact_jacobian():
    matrix = np.array([[1.0, 2.0], [0.0, 1.0]])
    jacobian, how = BlackBox(AffineMap(matrix, np.zeros(2))).jacobian(_X[:, :2])
    assert how.step == 0.0
    np.testing.assert_array_equal(jacobian, np.broadcast_to(matrix, (50, 2, 2)))


def test_single_precision_takes_a_longer_step():
    box = BlackBox(lambda x: np.float32(2.0) * x.astype(np.float32))
    box(_X)
    jacobian, how = box.jacobian(_X)
    assert how.step > 1e-3
    np.testing.assert_allclose(jacobian, np.broadcast_to(2.0 * np.eye(3), (50, 3, 3)), atol=1e-3)


def test_single_precision_shows_in_the_differences_themselves():
    box = BlackBox(lambda x: np.float32(2.0) * x.astype(np.float32))
    jacobian, how = box.jacobian(_X)
    assert how.step > 1e-3
    np.testing.assert_allclose(jacobian, np.broadcast_to(2.0 * np.eye(3), (50, 3, 3)), atol=1e-3)


def test_a_module_of_torch():
    torch = pytest.importorskip("torch")
    module = torch.nn.Linear(3, 3)
    expected = _X @ module.weight.detach().numpy().T + module.bias.detach().numpy()
    np.testing.assert_allclose(BlackBox(module)(_X), expected, atol=1e-5)


def test_tensors_of_torch_as_they_come():
    torch = pytest.importorskip("torch")
    weight = torch.randn(3, 3, requires_grad=True)
    box = BlackBox(lambda x: torch.as_tensor(x).float() @ weight)
    expected = _X @ weight.detach().numpy()
    np.testing.assert_allclose(box.checked(_X), expected, atol=1e-5)
    box = BlackBox(lambda x: torch.as_tensor(x).bfloat16())
    box.checked(_X)
    assert box.precision == torch.finfo(torch.bfloat16).eps
    dense = BlackBox(lambda x: torch.as_tensor(x).to_sparse())(_X)
    np.testing.assert_array_equal(dense, _X)


def test_a_function_of_tensors_is_told_how_to_be_one_of_arrays():
    torch = pytest.importorskip("torch")
    with pytest.raises(ValueError, match=r"raised TypeError .* lambda x: map\(torch.as_tensor\(x"):
        BlackBox(lambda x: torch.relu(x)).checked(_X)
    with pytest.raises(ValueError, match=r"raised AttributeError .* lambda x: map\(torch.as_tens"):
        BlackBox(lambda x: x.unsqueeze(0)).checked(_X)
    double = torch.nn.Linear(3, 3)
    with pytest.raises(ValueError, match=r"raised RuntimeError .* dtype=torch.float32"):
        BlackBox(lambda x: double(torch.as_tensor(x))).checked(_X)


def test_a_module_of_torch_in_training_mode():
    torch = pytest.importorskip("torch")
    module = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.Dropout(), torch.nn.BatchNorm1d(3))
    with pytest.raises(ValueError, match=r"BatchNorm1d, Dropout in training mode.*\.eval\(\)"):
        BlackBox(module)
    assert BlackBox(module.eval()).checked(_X).shape == _X.shape
    # Layers that are the same in both modes may stay in training mode.
    assert BlackBox(torch.nn.Linear(3, 3)).checked(_X).shape == _X.shape


def test_a_module_of_torch_that_takes_gradients():
    torch = pytest.importorskip("torch")

    class Gradient(torch.nn.Module):
        def forward(self, x):
            x.requires_grad_()
            return torch.autograd.grad((x**4).sum() / 4.0, x)[0]

    with pytest.raises(ValueError, match=r"raised RuntimeError .*opens torch\.enable_grad\(\)"):
        BlackBox(Gradient()).checked(_X)
