"""Input-convex neural networks."""

import itertools
from collections.abc import Sequence
from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp

from brenier._checks import check_key
from brenier._types import Array, Float, Key, Point, Scalar
from brenier.potentials._base import AbstractPotential
from brenier.potentials._max_affine import SoftMaximum

ACTIVATIONS = {
    "softplus": jax.nn.softplus,
    # (t + √(t² + 1))/2: convex, increasing, all derivatives algebraic, no exp.
    "squareplus": lambda t: 0.5 * (t + jnp.sqrt(t * t + 1.0)),
    "celu": jax.nn.celu,
}


class ICNN(AbstractPotential):
    """φ(x) = ⟨p(w), z_K⟩ + ½‖Fx‖² + (m/2)‖x‖² + ⟨c, x⟩ + s(x), z_{k+1} = σ(p(U_k)z_k + q_k(x))

    q_k(x) = W_k x + b_k, plus ½(A_k x)² by rows where the layers are quadratic; p is softplus
    (non-negative weights by reparametrisation: convex for every parameter value), σ convex and
    increasing, F a quadratic skip, m = floor + e^{log_modulus} > 0, so that the gradient is a
    bijection of R^d. s is a ``SoftMaximum`` or absent: potentials of maps onto many modes are
    close to a maximum of many affine pieces, which sums of units approximate poorly. Not for few
    points in low dimension, where ``LogSumExp`` needs fewer parameters. Amos, Xu, Kolter (2017);
    DLV26 section 3.4.

    >>> import jax
    >>> phi = ICNN.identity(jax.random.key(0), dimension=2, widths=(20, 20))
    >>> float(phi.strong_convexity()) > 0
    True
    """

    inputs: tuple[Float[Array, "_ d"], ...]
    biases: tuple[Float[Array, " _"], ...]
    hidden: tuple[Float[Array, "_ _"], ...]
    output: Float[Array, " h"]
    linear: Point
    factor: Float[Array, "r d"]
    log_modulus: Scalar
    activation: Literal["softplus", "squareplus", "celu"] = eqx.field(
        static=True, default="softplus", kw_only=True
    )
    floor: float = eqx.field(static=True, default=1e-3, kw_only=True)
    maximum: SoftMaximum | None = eqx.field(default=None, kw_only=True)
    quadratic: tuple[Float[Array, "_ d"], ...] = eqx.field(default=(), kw_only=True)

    def __check_init__(self):
        if self.activation not in ACTIVATIONS:
            raise ValueError(f"activation: got {self.activation!r}; wants {list(ACTIVATIONS)}.")
        if len(self.quadratic) not in (0, len(self.inputs)):
            raise ValueError(
                f"quadratic: got {len(self.quadratic)} layers; wants none or {len(self.inputs)}."
            )

    @classmethod
    def identity(
        cls,
        key: Key,
        dimension: int,
        widths: Sequence[int] = (64, 64),
        *,
        activation: Literal["softplus", "squareplus"] = "softplus",
        share: float = 0.1,
        scale: float = 1.0,
        sharpness: float = 1.0,
        floor: float = 1e-3,
        pieces: int = 0,
        quadratic: float = 0.0,
    ) -> "ICNN":
        """A random network whose gradient is about the identity on points of size ``scale``.

        Args:
            key: of the weights.
            dimension: d.
            widths: of the hidden layers.
            activation: σ.
            share: the part of the Hessian that the units make up, and the maximum as much again;
                the quadratic skip makes up the rest.
            scale: the size of the points.
            sharpness: each unit bends over a range of about ``scale``/``sharpness``.
            floor: the least modulus of strong convexity.
            pieces: of the maximum s; none where 0.
            quadratic: the size of A_k x at such points; affine layers where 0.
        """
        if len(widths) < 1 or min(widths) < 1:
            raise ValueError(f"widths: got {tuple(widths)}; wants at least one positive width.")
        if pieces < 0:
            raise ValueError(f"pieces: got {pieces}; wants 0 or more.")
        keys = jax.random.split(check_key("key", key), 2 * len(widths))
        inputs = tuple(
            sharpness * jax.random.normal(k, (h, dimension)) / (scale * jnp.sqrt(dimension))
            for k, h in zip(keys[: len(widths)], widths, strict=True)
        )
        biases = tuple(
            sharpness * jax.random.normal(k, (h,))
            for k, h in zip(keys[len(widths) :], widths, strict=True)
        )
        # Not split off with the others, which stay as they are without it.
        curved = jax.random.split(jax.random.fold_in(key, 1), len(widths))
        rows = tuple(
            quadratic * jax.random.normal(k, (h, dimension)) / (scale * jnp.sqrt(dimension))
            for k, h in zip(curved, widths, strict=True)
        )
        hidden = tuple(
            jnp.full((h1, h0), _inverse_softplus(1.0 / h0)) for h0, h1 in itertools.pairwise(widths)
        )
        gain = share * (scale / sharpness) ** 2 * 4.0 * dimension / (len(widths) * widths[-1])
        output = jnp.full((widths[-1],), _inverse_softplus(gain))
        maximum = None
        if pieces:
            maximum = SoftMaximum.random(
                jax.random.fold_in(key, 0),
                dimension,
                pieces,
                share=share,
                scale=scale,
                sharpness=sharpness,
            )
        rest = 1.0 - share * (1 if maximum is None else 2) - floor
        return cls(
            inputs,
            biases,
            hidden,
            output,
            jnp.zeros(dimension),
            jnp.sqrt(0.5 * rest) * jnp.eye(dimension),
            jnp.log(jnp.asarray(0.5 * rest)),
            activation=activation,
            floor=floor,
            maximum=maximum,
            quadratic=rows if quadratic else (),
        )

    @property
    def dimension(self) -> int:
        return self.linear.shape[-1]

    def value(self, x: Point) -> Scalar:
        sigma = ACTIVATIONS[self.activation]
        layers = self.layers(x)
        z = sigma(layers[0])
        for raw, layer in zip(self.hidden, layers[1:], strict=True):
            z = sigma(z @ jax.nn.softplus(raw).T + layer)
        skip = x @ self.factor.T
        quadratic = 0.5 * (skip @ skip) + 0.5 * self.strong_convexity() * (x @ x)
        smooth = jax.nn.softplus(self.output) @ z + quadratic + self.linear @ x
        return smooth if self.maximum is None else smooth + self.maximum.value(x)

    def layers(self, x: Point) -> list[Float[Array, " _"]]:
        """q_k(x) of every layer."""
        # x @ Wᵀ, not W @ x: over many points XLA would transpose the latter, at twice the time.
        layers = [
            x @ weight.T + bias for weight, bias in zip(self.inputs, self.biases, strict=True)
        ]
        for k, weight in enumerate(self.quadratic):
            layers[k] += 0.5 * jnp.square(x @ weight.T)
        return layers

    def slopes(self, x: Point) -> list[Float[Array, "_ d"]]:
        """∂q_k/∂x of every layer."""
        slopes = list(self.inputs)
        for k, weight in enumerate(self.quadratic):
            slopes[k] += (x @ weight.T)[:, None] * weight
        return slopes

    def strong_convexity(self) -> Scalar:
        return self.floor + jnp.exp(self.log_modulus)


def _inverse_softplus(value: float | Array) -> Array:
    return jnp.log(jnp.expm1(jnp.asarray(value)))
