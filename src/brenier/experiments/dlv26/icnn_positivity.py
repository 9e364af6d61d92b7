"""How an input-convex network keeps its weights non-negative: four reparametrisations measured.

    brenier reproduce dlv26-icnn-positivity --seeds 20 --json

Figure 2 of DLV26 by the explicit scheme with the natural-gradient oracle, 2 x 20 softplus units,
100 particles: squared energy distance to the target after 20 steps, over seeds. ``potentials.ICNN``
takes the first; ``docs/choices.md`` says what was found.
"""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from brenier._progress import Progress
from brenier._types import Array, Float, Key, Point, Scalar
from brenier.experiments._command import command
from brenier.experiments._run import Run
from brenier.flows import ConstrainedDrift, NaturalGradient, advance
from brenier.maps import GradientMap
from brenier.numerics import energy_distance_squared
from brenier.potentials import ICNN, AbstractPotential
from brenier.problems import figure2

TIME = "minutes"

# p ≥ 0 and its inverse on p > 0.
_POSITIVE: dict[str, tuple[Callable[[Array], Array], Callable[[Array], Array]]] = {
    "softplus": (jax.nn.softplus, lambda w: jnp.log(jnp.expm1(w))),
    "abs": (jnp.abs, lambda w: w),
    "square": (jnp.square, jnp.sqrt),
    "exp": (jnp.exp, jnp.log),
}
_METHOD = ConstrainedDrift(
    step_size=0.3,
    final_step_size=0.1,
    steps=20,
    particles=100,
    oracle=NaturalGradient(steps=2, damping=0.05),
)
_EVALUATION = 10_000


class _Network(AbstractPotential):
    """An ``ICNN`` of two layers whose non-negative weights are p(raw)."""

    start: ICNN
    hidden: Float[Array, "h h"]
    output: Float[Array, " h"]
    positive: str = eqx.field(static=True)

    @classmethod
    def near_identity(cls, key: Key, positive: str) -> "_Network":
        start = ICNN.identity(key, 2, (20, 20), share=0.85, scale=2.5, sharpness=5.0)
        inverse = _POSITIVE[positive][1]
        hidden, output = (inverse(jax.nn.softplus(raw)) for raw in (start.hidden[0], start.output))
        return cls(start, hidden, output, positive)

    @property
    def dimension(self) -> int:
        return 2

    def value(self, x: Point) -> Scalar:
        p, net = _POSITIVE[self.positive][0], self.start
        z = jax.nn.softplus(net.inputs[0] @ x + net.biases[0])
        z = jax.nn.softplus(p(self.hidden) @ z + net.inputs[1] @ x + net.biases[1])
        skip = net.factor @ x
        quadratic = 0.5 * (skip @ skip) + 0.5 * self.strong_convexity() * (x @ x)
        return p(self.output) @ z + quadratic + net.linear @ x

    def strong_convexity(self) -> Scalar:
        return self.start.strong_convexity()


def main(run: Run) -> dict[str, Any]:
    """Mean, median, largest and failed, over seeds, for each reparametrisation."""
    problem, count = figure2(), run.seeds_or(20)

    def distance(key: Key, positive: str) -> Scalar:
        start_key, run_key, x_key, y_key = jax.random.split(key, 4)
        start = GradientMap(_Network.near_identity(start_key, positive))
        state = _METHOD.init(problem.source, problem.target, start, key=run_key)
        map = _METHOD.current_map(
            advance(_METHOD, state, problem.source, problem.target, _METHOD.steps)
        )
        x, y = (
            m.sample(k, _EVALUATION) for m, k in ((problem.source, x_key), (problem.target, y_key))
        )
        return energy_distance_squared(map(x).astype(jnp.float32), y.astype(jnp.float32))

    keys = jax.random.split(jax.random.key(run.seed), count)
    report = {}
    for index, name in enumerate(_POSITIVE):
        run.progress(Progress(index, len(_POSITIVE), name))
        found = np.asarray(jax.lax.map(lambda key, name=name: distance(key, name), keys))
        good = found[np.isfinite(found)]
        report[name] = {
            "mean": float(good.mean()),
            "median": float(np.median(good)),
            "max": float(good.max()),
            "failed": int(count - len(good)),
        }
    return {"seeds": count, "variants": report}


if __name__ == "__main__":
    command(__spec__.name)
