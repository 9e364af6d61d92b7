"""What a user writes: ``make lint`` has mypy read it in strict rules; ``test_types`` runs it."""

import tempfile
from typing import assert_type

import jax
import numpy as np

import brenier
from brenier.certify import Certificate
from brenier.maps import AbstractMap, GradientMap
from brenier.potentials import Quadratic

random = np.random.default_rng(0)
X, Y = random.normal(size=(12, 2)), random.normal(size=(14, 2)) + 1.0

est = brenier.MongeMap(random_state=0).fit(X, Y)
assert_type(est, brenier.MongeMap)
assert_type(est.transform(X), np.ndarray)
assert_type(est.inverse_transform(X), np.ndarray)

certificate = brenier.audit(
    est.map_, random.normal(size=(50, 2)), key=jax.random.key(0), budget=0.1
)
assert_type(certificate, Certificate)
assert_type(certificate.defect.upper, float)
assert_type(certificate.verdict.optimality, str)

path = tempfile.mkdtemp() + "/map.brenier"
brenier.save(path, est.map_)
loaded = brenier.load(path)
assert_type(loaded, AbstractMap)
image: jax.Array = loaded.inverse()(loaded(X))

problem = brenier.problems.affine()
start = GradientMap(Quadratic.identity(problem.source.dimension))
solution = brenier.solve(
    problem.source,
    problem.target,
    method=brenier.flows.ConstrainedDrift(steps=2, particles=16),
    initial=start,
    key=jax.random.key(0),
    callback=lambda progress: print(progress.step, progress.metric),
)
assert_type(solution, brenier.Solution[AbstractMap])
assert_type(solution.map, AbstractMap)
assert_type(solution.result, brenier.Result)
print(brenier.__version__, image.shape)
