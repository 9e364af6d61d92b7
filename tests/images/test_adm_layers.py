"""The layers of guided-diffusion's networks against the same of PyTorch, where that is there."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from brenier.images._layers import (
    Attention,
    Convolution,
    Dense,
    GroupNorm,
    ResidualBlock,
    rounded_frequencies,
    wave_features,
)

torch = pytest.importorskip("torch")
functional = torch.nn.functional
GROUPS = 32


def drawn(*shape):
    random = np.random.default_rng(sum(shape))
    return torch.from_numpy(random.normal(size=shape).astype(np.float32))


def norm(x, weight, bias):
    return functional.group_norm(x, GROUPS, weight, bias)


def ours(weight, heads=1):
    """A tensor of theirs in our layout: inputs before outputs, q, k and v before heads."""
    array = weight.numpy()
    if heads > 1:
        parts = array.reshape(heads, 3, -1, *array.shape[1:])
        array = parts.swapaxes(0, 1).reshape(array.shape)
    if array.ndim == 4 and array.shape[2] > 1:
        return jnp.asarray(array.transpose(2, 3, 1, 0))
    return jnp.asarray(array if array.ndim == 1 else array.reshape(len(array), -1).T)


def image(x):
    return jnp.asarray(x[0].numpy().transpose(1, 2, 0))


def check(found, expected):
    """Single precision on both sides."""
    wanted = image(expected)
    np.testing.assert_allclose(found, wanted, atol=1e-5 * float(jnp.abs(wanted).max()))


@pytest.mark.parametrize("scales", [True, False])
@pytest.mark.parametrize(
    ("channels", "resampling"), [((32, 64), "none"), ((64, 64), "down"), ((64, 64), "up")]
)
def test_residual_blocks(channels, resampling, scales):
    inputs, outputs = channels
    x, condition = drawn(1, inputs, 16, 12), drawn(1, 24)
    told = 2 * outputs if scales else outputs
    norms = [1.0 + 0.1 * drawn(inputs), drawn(inputs), 1.0 + 0.1 * drawn(outputs), drawn(outputs)]
    first, second = drawn(outputs, inputs, 3, 3) / 20, drawn(outputs, outputs, 3, 3) / 20
    dense, skip = drawn(told, 24) / 5, drawn(outputs, inputs, 1, 1) / 5
    biases = [drawn(outputs), drawn(outputs), drawn(told), drawn(outputs)]

    def resampled(x):
        if resampling == "down":
            return functional.avg_pool2d(x, 2, 2)
        return functional.interpolate(x, scale_factor=2) if resampling == "up" else x

    hidden = functional.silu(norm(x, *norms[:2]))
    hidden = functional.conv2d(resampled(hidden), first, biases[0], padding=1)
    embedded = functional.linear(functional.silu(condition), dense, biases[2])[..., None, None]
    if scales:
        scale, shift = embedded.chunk(2, dim=1)
        hidden = norm(hidden, *norms[2:]) * (1 + scale) + shift
    else:
        hidden = norm(hidden + embedded, *norms[2:])
    hidden = functional.conv2d(functional.silu(hidden), second, biases[1], padding=1)
    straight = resampled(x)
    if inputs != outputs:
        straight = functional.conv2d(straight, skip, biases[3])

    def convolution(weight, bias):
        return Convolution(ours(weight), ours(bias), 1)

    block = ResidualBlock(
        GroupNorm(*(ours(part) for part in norms[:2]), GROUPS),
        convolution(first, biases[0]),
        Dense(ours(dense), ours(biases[2])),
        GroupNorm(*(ours(part) for part in norms[2:]), GROUPS),
        convolution(second, biases[1]),
        Dense(ours(skip), ours(biases[3])) if inputs != outputs else None,
        0.0,
        scales,
        resampling,
    )
    found = jax.jit(lambda x, by: block(x, by, None))(image(x), jnp.asarray(condition[0].numpy()))
    check(found, straight + hidden)


@pytest.mark.parametrize("order", ["legacy", "new"])
@pytest.mark.parametrize("heads", [1, 4])
def test_attention_in_both_orders(order, heads):
    channels, x = 32, drawn(1, 32, 6, 8)
    scale, shift = 1.0 + 0.1 * drawn(channels), drawn(channels)
    rows, row_bias = drawn(3 * channels, channels, 1) / 5, drawn(3 * channels)
    last, last_bias = drawn(channels, channels, 1) / 5, drawn(channels)
    flat = x.reshape(1, channels, -1)
    qkv = functional.conv1d(norm(flat, scale, shift), rows, row_bias)
    size, length = channels // heads, flat.shape[-1]
    if order == "new":
        parts = [part.reshape(heads, size, length) for part in qkv.chunk(3, dim=1)]
    else:
        parts = list(qkv.reshape(heads, 3 * size, length).split(size, dim=1))
    query, key, value = parts
    root = 1.0 / math.sqrt(math.sqrt(size))
    shares = torch.softmax(torch.einsum("bct,bcs->bts", query * root, key * root), dim=-1)
    mixed = torch.einsum("bts,bcs->bct", shares, value).reshape(1, channels, length)
    expected = (flat + functional.conv1d(mixed, last, last_bias)).reshape(x.shape)
    sorted_heads = heads if order == "legacy" else 1
    layer = Attention(
        GroupNorm(ours(scale), ours(shift), GROUPS),
        Dense(ours(rows, sorted_heads), ours(row_bias, sorted_heads)),
        Dense(ours(last), ours(last_bias)),
        heads,
    )
    check(eqx.filter_jit(layer)(image(x)), expected)


def test_the_embedding_of_steps():
    """Ours has sines first: a network's first layer is turned as it is read."""
    width, half = 64, 32
    steps = torch.tensor([0.0, 1.0, 17.5, 999.0])
    exponents = -math.log(10000) * torch.arange(half, dtype=torch.float32) / half
    angles = steps[:, None] * torch.exp(exponents)[None]
    expected = torch.cat([torch.sin(angles), torch.cos(angles)], dim=-1).numpy()
    waves = rounded_frequencies(width)
    found = jnp.stack([wave_features(jnp.float32(step), waves) for step in steps.numpy()])
    # The rounding of an angle of 999 radians.
    np.testing.assert_allclose(found, expected, atol=999 * 2.0**-23)
