"""A child forked after JAX's first use says so: whatever of brenier it calls, it does not hang."""

import multiprocessing
import subprocess
import sys

import pytest

_PROGRAM = """
import os, signal, sys, tempfile, traceback, warnings
import jax, jax.numpy as jnp, numpy as np
import brenier
from brenier import exact, flows, grids, maps, measures, numerics, potentials, velocities

warnings.simplefilter("ignore")
rng = np.random.default_rng(0)
x, y = rng.normal(size=(2, 60, 2))
key = jax.random.key(0)
map = maps.AffineMap.identity(2)
map(x)
fitted = brenier.MongeMap(effort="quick", random_state=0).fit(x, y)
generator = brenier.Generator(source="isotropic", epsilon=0.5, random_state=0).fit(x)
normal, potential = measures.StandardNormal(2), potentials.Quadratic.identity(2)
file = tempfile.mkdtemp() + "/map.brenier"
brenier.save(file, map)
line, box = measures.Gaussian.standard(1), grids.Box([-6.0], [6.0], [80])
one = np.ones((1, 2))
laws = [
    measures.Gaussian.standard(2), measures.Uniform.unit(2),
    measures.GaussianMixture(np.ones(1), one, np.eye(2)[None]), normal, measures.Empirical(x),
    measures.Gibbs(lambda z: z @ z, 2), maps.Pushforward(normal, map),
    measures.TensorTrain.from_grid(np.exp(-np.linspace(-7.0, 7.0, 50) ** 2), [-7], [7]),
]
calls = {
    "map": lambda: map(x),
    "a map of JAX's arrays": lambda: map(device),
    "jacobian": lambda: map.jacobian(x),
    "log_det": lambda: map.log_det(x),
    "transform": lambda: fitted.transform(x),
    "inverse_transform": lambda: fitted.inverse_transform(x),
    "score": lambda: fitted.score(x, y),
    "fit": lambda: brenier.MongeMap().fit(x, y),
    "audit": lambda: fitted.audit(x, y),
    "audit of pairs": lambda: brenier.audit_pairs(x, y),
    "audit of a function": lambda: brenier.audit(lambda z: z, x),
    "audit of a measure": lambda: brenier.audit(map, normal),
    "sample": lambda: generator.sample(3),
    "generator": lambda: brenier.Generator().fit(x),
    "log_density": lambda: normal.log_density(x),
    "score of a measure": lambda: normal.score(x),
    "potential": lambda: potential(x),
    "gradient": lambda: potential.gradient(x),
    "hessian": lambda: potential.hessian(x),
    "assignment": lambda: exact.solve_assignment(x, y),
    "semi-discrete": lambda: exact.solve_semi_discrete(measures.Gaussian.standard(2), x),
    "solve": lambda: brenier.solve(
        measures.Empirical(x), measures.Empirical(y), method=flows.SemiDual(), key=key
    ),
    "empirical": lambda: measures.Empirical(x),
    "load": lambda: brenier.load(file),
    "sinkhorn": lambda: numerics.sinkhorn(device, device, epsilon=0.1),
    "self-transport": lambda: numerics.self_transport(device, epsilon=0.1),
    "a grid": lambda: grids.Box([-6.0], [6.0], [80]),
    "Monge-Ampere": lambda: exact.solve_monge_ampere(line, line, box),
    "Sinkhorn's flow": lambda: flows.sinkhorn_flow(line, line, box, 1.0, epsilon=0.1),
    "random pieces": lambda: potentials.LogSumExp.identity(key, 2, 4),
    "a random potential": lambda: potentials.ICNN.identity(key, 2),
    "a random map": lambda: maps.ResidualNetwork.identity(key, 2),
    "a random velocity": lambda: velocities.NetworkVelocity.random(
        key, map.offset, map.offset, width=2, depth=1
    ),
    "a tensor train": lambda: measures.TensorTrain.from_grid(np.ones(50), [-7], [7]),
    **{f"sample of {type(m).__name__}": lambda m=m: m.sample(key, 3) for m in laws},
    **{f"quasi sample of {type(m).__name__}": lambda m=m: measures.quasi_sample(m, 3, key=key)
       for m in laws[:3]},
}
device = jnp.asarray(x)
for name, call in calls.items():
    child = os.fork()
    if child == 0:
        signal.alarm(10)
        try:
            call()
            print(name, "went through", flush=True)
        except RuntimeError as error:
            said = str(error)
            if not ("spawn" in said and "loky" in said):
                print(name, said, flush=True)
                os._exit(1)
            os._exit(0)
        except BaseException:
            traceback.print_exc()
        os._exit(1)
    _, status = os.waitpid(child, 0)
    if status:
        print(name, "HANGS" if status == signal.SIGALRM else status, flush=True)
"""


@pytest.mark.skipif(
    "fork" not in multiprocessing.get_all_start_methods(), reason="there is no fork here"
)
def test_every_entry_raises_in_a_child_forked_late():
    run = subprocess.run(
        [sys.executable, "-c", _PROGRAM], capture_output=True, text=True, timeout=300, check=False
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout == "", run.stdout + run.stderr
