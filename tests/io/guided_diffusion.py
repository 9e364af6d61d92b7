"""guided-diffusion's networks in plain NumPy, by their published names and shapes.

Written from the paper's appendix and the names in its files; one image (channels, height, width) at
a time, in float64, with nothing in common with brenier's own layers.
"""

import numpy as np


def state_dict(
    *,
    width=32,
    multipliers=(1, 2),
    blocks=1,
    attention=(2,),
    residual=False,
    scales=False,
    classes=0,
    variance=False,
    seed=0,
):
    """Random weights; ``attention`` holds factors by which the resolution is divided."""
    random, found = np.random.default_rng(seed), {}

    def layer(name, shape, norm=False):
        fan = int(np.prod(shape[1:])) if len(shape) > 1 else 1
        found[f"{name}.weight"] = random.normal(size=shape) / fan**0.5 * (0.1 if norm else 1) + norm
        found[f"{name}.bias"] = 0.1 * random.normal(size=shape[:1])

    def block(name, inputs, outputs):
        layer(f"{name}.in_layers.0", (inputs,), norm=True)
        layer(f"{name}.in_layers.2", (outputs, inputs, 3, 3))
        layer(f"{name}.emb_layers.1", ((1 + scales) * outputs, 4 * width))
        layer(f"{name}.out_layers.0", (outputs,), norm=True)
        layer(f"{name}.out_layers.3", (outputs, outputs, 3, 3))
        if inputs != outputs:
            layer(f"{name}.skip_connection", (outputs, inputs, 1, 1))

    def attend(name, channels):
        layer(f"{name}.norm", (channels,), norm=True)
        layer(f"{name}.qkv", (3 * channels, channels, 1))
        layer(f"{name}.proj_out", (channels, channels, 1))

    def resample(name, conv, channels):
        if residual:
            block(name, channels, channels)
        else:
            layer(f"{name}.{conv}", (channels, channels, 3, 3))

    layer("time_embed.0", (4 * width, width))
    layer("time_embed.2", (4 * width, 4 * width))
    if classes:
        found["label_emb.weight"] = random.normal(size=(classes, 4 * width))
    sizes = [int(width * m) for m in multipliers]
    now, passed, count = sizes[0], [sizes[0]], 1
    layer("input_blocks.0.0", (now, 3, 3, 3))
    for level, size in enumerate(sizes):
        for _ in range(blocks):
            block(f"input_blocks.{count}.0", now, size)
            if 2**level in attention:
                attend(f"input_blocks.{count}.1", size)
            now, count = size, count + 1
            passed.append(now)
        if level + 1 < len(sizes):
            resample(f"input_blocks.{count}.0", "op", now)
            count += 1
            passed.append(now)
    block("middle_block.0", now, now)
    attend("middle_block.1", now)
    block("middle_block.2", now, now)
    count = 0
    for level in reversed(range(len(sizes))):
        for i in range(blocks + 1):
            block(f"output_blocks.{count}.0", now + passed.pop(), sizes[level])
            now, here = sizes[level], 1
            if 2**level in attention:
                attend(f"output_blocks.{count}.1", now)
                here = 2
            if level and i == blocks:
                resample(f"output_blocks.{count}.{here}", "conv", now)
            count += 1
    layer("out.0", (now,), norm=True)
    layer("out.2", (6 if variance else 3, now, 3, 3))
    return {name: array.astype(np.float32) for name, array in found.items()}


class Reference:
    """The network of such weights; ``heads`` is a function of (channels, on the way up)."""

    def __init__(self, weights, heads, *, new_order=False):
        self.weights = {name: array.astype(float) for name, array in weights.items()}
        self.heads, self.new_order = heads, new_order

    def __call__(self, step, image, label=None):
        """The whole output (channels, height, width) at a number for the step."""
        width = self.weights["time_embed.0.weight"].shape[1]
        # The frequencies are numbers of float32, as the original's; so are their exponents.
        exponents = np.float32(-np.log(1e4)) * np.arange(width // 2, dtype=np.float32)
        exponents = (exponents / np.float32(width // 2)).astype(float)
        angles = step * np.exp(exponents).astype(np.float32).astype(float)
        told = np.concatenate([np.cos(angles), np.sin(angles)])
        told = self.dense("time_embed.2", silu(self.dense("time_embed.0", told)))
        if label is not None:
            told = told + self.weights["label_emb.weight"][label]
        hidden, passed = self.conv("input_blocks.0.0", image), []
        passed.append(hidden)
        for i in range(1, self.count("input_blocks")):
            hidden = self.run(f"input_blocks.{i}", hidden, told, down=True)
            passed.append(hidden)
        hidden = self.run("middle_block", hidden, told)
        for i in range(self.count("output_blocks")):
            hidden = np.concatenate([hidden, passed.pop()])
            hidden = self.run(f"output_blocks.{i}", hidden, told, up=True)
        return self.conv("out.2", silu(self.norm("out.0", hidden)))

    def count(self, kind):
        return 1 + max(int(n.split(".")[1]) for n in self.weights if n.startswith(kind))

    def run(self, home, x, told, down=False, up=False):
        """The modules of a block, one after the other, each known by what weights it has."""
        for i in range(3):
            name = f"{home}.{i}"
            if f"{name}.op.weight" in self.weights:
                x = self.conv(f"{name}.op", x)[:, ::2, ::2]
            elif f"{name}.conv.weight" in self.weights:
                x = self.conv(f"{name}.conv", doubled(x))
            elif f"{name}.qkv.weight" in self.weights:
                x = self.attend(name, x, up)
            elif f"{name}.in_layers.0.weight" in self.weights:
                halve = down and self.halves(int(home.split(".")[1]))
                x = self.block(name, x, told, halved if halve else doubled if up and i else same)
        return x

    def halves(self, number):
        """In a network whose blocks resample: every (blocks + 1)-th, but for the last."""
        levels = 1 + sum(
            f"output_blocks.{i}.{j}.in_layers.0.weight" in self.weights
            for i in range(self.count("output_blocks"))
            for j in (1, 2)
        )
        return levels > 1 and number % (self.count("output_blocks") // levels) == 0

    def block(self, name, x, told, resampled):
        hidden = resampled(silu(self.norm(f"{name}.in_layers.0", x)))
        hidden = self.conv(f"{name}.in_layers.2", hidden)
        more = self.dense(f"{name}.emb_layers.1", silu(told))[:, None, None]
        if len(more) == len(hidden):
            hidden = self.norm(f"{name}.out_layers.0", hidden + more)
        else:
            scale, shift = np.split(more, 2)
            hidden = self.norm(f"{name}.out_layers.0", hidden) * (1.0 + scale) + shift
        hidden = self.conv(f"{name}.out_layers.3", silu(hidden))
        straight = resampled(x)
        if f"{name}.skip_connection.weight" in self.weights:
            straight = self.conv(f"{name}.skip_connection", straight)
        return straight + hidden

    def attend(self, name, x, up):
        channels = len(x)
        pixels = self.norm(f"{name}.norm", x).reshape(channels, -1)
        rows = self.weights[f"{name}.qkv.weight"][:, :, 0] @ pixels
        rows = rows + self.weights[f"{name}.qkv.bias"][:, None]
        heads = self.heads(channels, up)
        each = channels // heads
        mixed = []
        for h in range(heads):
            if self.new_order:
                starts = [part * channels + h * each for part in range(3)]
            else:
                starts = [(3 * h + part) * each for part in range(3)]
            q, k, v = (rows[start : start + each] for start in starts)
            scores = q.T @ k / each**0.5
            shares = np.exp(scores - scores.max(axis=1, keepdims=True))
            mixed.append(v @ (shares / shares.sum(axis=1, keepdims=True)).T)
        out = self.weights[f"{name}.proj_out.weight"][:, :, 0] @ np.concatenate(mixed)
        return x + (out + self.weights[f"{name}.proj_out.bias"][:, None]).reshape(x.shape)

    def dense(self, name, x):
        return self.weights[f"{name}.weight"] @ x + self.weights[f"{name}.bias"]

    def norm(self, name, x):
        grouped = x.reshape(32, -1)
        centred = grouped - grouped.mean(axis=1, keepdims=True)
        whole = centred / np.sqrt((centred**2).mean(axis=1, keepdims=True) + 1e-5)
        scale, shift = (self.weights[f"{name}.{end}"] for end in ("weight", "bias"))
        return whole.reshape(x.shape) * scale[:, None, None] + shift[:, None, None]

    def conv(self, name, x):
        kernel = self.weights[f"{name}.weight"]
        edge = kernel.shape[2] // 2
        padded = np.pad(x, ((0, 0), (edge, edge), (edge, edge)))
        height, width = x.shape[1:]
        return self.weights[f"{name}.bias"][:, None, None] + sum(
            np.einsum("oi,ihw->ohw", kernel[:, :, r, s], padded[:, r : r + height, s : s + width])
            for r in range(kernel.shape[2])
            for s in range(kernel.shape[3])
        )


def silu(x):
    return x / (1.0 + np.exp(-x))


def same(x):
    return x


def doubled(x):
    return x.repeat(2, axis=1).repeat(2, axis=2)


def halved(x):
    return (x[:, ::2, ::2] + x[:, 1::2, ::2] + x[:, ::2, 1::2] + x[:, 1::2, 1::2]) / 4.0
