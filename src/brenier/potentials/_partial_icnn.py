"""Networks that are input-convex in the point, and anything in the condition."""

import dataclasses
from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from brenier._checks import check_at_least, check_key
from brenier._types import Array, Float, Key
from brenier.numerics import code_length
from brenier.potentials._conditional import AbstractConditionalPotential
from brenier.potentials._icnn import ICNN


class PartialICNN(AbstractConditionalPotential):
    """φ(x; c): an ``ICNN`` in x whose other parameters move with c.

    q_k(x; c) = W_k (x ∘ (1 + M u)) + b_k + B_k u in the place of W_k x + b_k, where u(c) =
    (c, tanh(Pc + p)); the output's weights, the linear part and the slopes and offsets of its
    maximum, where it has one, move by linear functions of u too. The weights between layers, which
    must not be negative, stay. So φ(·; c) is convex for every c and every value of the parameters,
    and slopes bend smoothly with c.

    Amos, Xu & Kolter (2017), eq. 3, without gates between the layers; Bunne et al. (2022).

    Not for a few hundred points: the other potentials of conditions are learned of fewer.

    Args:
        network: where u = 0.
        embedding, threshold: P (r, e) and p (r,).
        stretch: M, (d, s) with s = e + r.
        biases: B_k of every layer, (h, s).
        output: of the output's weights, (h, s).
        linear: of the linear part, (d, s).
        slopes, offsets: of the maximum of k pieces, (k·d, s) and (k, s); empty where it has none.
        code: of a condition: for each covariate how many categories it has, 0 for a number.

    >>> phi = PartialICNN.identity(ICNN.identity(jax.random.key(0), 2, (8,)), (0,),
    ...                            key=jax.random.key(1))
    >>> phi.at(jnp.zeros(1)).dimension
    2
    """

    network: ICNN
    embedding: Float[Array, "r e"]
    threshold: Float[Array, " r"]
    stretch: Float[Array, "d s"]
    biases: tuple[Float[Array, "_ s"], ...]
    output: Float[Array, "_ s"]
    linear: Float[Array, "d s"]
    slopes: Float[Array, "_ s"]
    offsets: Float[Array, "_ s"]
    code: tuple[int, ...] = eqx.field(static=True)

    @classmethod
    def identity(
        cls, network: ICNN, code: Sequence[int], width: int = 16, *, key: Key
    ) -> "PartialICNN":
        """The network at every condition, to begin with.

        Args:
            network: what it is.
            code: of a condition.
            width: r, how many functions of c there are beside c.
            key: of these.
        """
        check_at_least("width", width, 1)
        keys = jax.random.split(check_key("key", key))
        e, d = code_length(code), network.dimension
        size, pieces = e + width, 0 if network.maximum is None else len(network.maximum.offsets)
        return cls(
            network,
            jax.random.normal(keys[0], (width, e)),
            jax.random.normal(keys[1], (width,)),
            jnp.zeros((d, size)),
            tuple(jnp.zeros((len(bias), size)) for bias in network.biases),
            jnp.zeros((len(network.output), size)),
            jnp.zeros((d, size)),
            jnp.zeros((pieces * d, size)),
            jnp.zeros((pieces, size)),
            tuple(code),
        )

    @property
    def layout(self) -> tuple[int, ...]:
        return self.code

    @property
    def dimension(self) -> int:
        return self.network.dimension

    def at(self, condition: ArrayLike) -> ICNN:
        c = jnp.asarray(condition, self.embedding.dtype)
        u = jnp.concatenate([c, jnp.tanh(self.embedding @ c + self.threshold)])
        own, stretched = self.network, 1.0 + self.stretch @ u
        maximum = own.maximum
        if maximum is not None:
            maximum = dataclasses.replace(
                maximum,
                slopes=maximum.slopes + (self.slopes @ u).reshape(maximum.slopes.shape),
                offsets=maximum.offsets + self.offsets @ u,
            )
        return dataclasses.replace(
            own,
            inputs=tuple(weight * stretched for weight in own.inputs),
            biases=tuple(
                bias + moved @ u for bias, moved in zip(own.biases, self.biases, strict=True)
            ),
            output=own.output + self.output @ u,
            linear=own.linear + self.linear @ u,
            quadratic=tuple(weight * stretched for weight in own.quadratic),
            maximum=maximum,
        )
