"""The encoder of a set of images by its closed form, audited, and which images share codes."""

import dataclasses
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from brenier._progress import Progress, ProgressCallback
from brenier.certify import alignment, assignment_test, audit_pairs
from brenier.experiments.krco22._image_measures import largest_error
from brenier.io import read_images, write_whole
from brenier.measures import Empirical, StandardNormal
from brenier.report import image_grid_figure, png_bytes
from brenier.velocities import AtomsVelocity, FlowMap, HyperbolicClock

_LEVEL, _BUDGET = 0.95, 20.0
_AFHQ_SIDE, _DRAWS = 64, 400
# The standard deviation of the Gaussian about each atom: 1.3 of 256 grey levels on [-1, 1].
_BLUR = 0.01


def audited(x: np.ndarray, codes: np.ndarray, seed: int) -> dict[str, Any]:
    """What is told of an encoder by its pairs: the assignment test, and both bounds."""
    test = assignment_test(x, codes)
    certificate = audit_pairs(
        x,
        codes,
        StandardNormal(x.shape[1]),
        key=jax.random.key(seed),
        level=_LEVEL,
        samples=len(x),
        budget=_BUDGET,
    )
    d = certificate.defect
    return {
        "assignment": dataclasses.asdict(test),
        "defect_lower": d.lower,
        "defect_upper": d.upper,
        "relative_lower": d.relative_lower,
        "relative_upper": d.relative_upper,
        "verdict": certificate.verdict.optimality,
    }


@dataclasses.dataclass(frozen=True)
class _AtomsEncoder:
    """The encoder of n images, as atoms blurred by ``_BLUR``, in the space that they span.

    Across that space the posterior mean is 0 and the flow a scaling, so that both the map and its
    defect are those of at most n dimensions, exactly.
    """

    basis: np.ndarray
    encoder: FlowMap
    signal: float

    @classmethod
    def of(cls, atoms: np.ndarray) -> "_AtomsEncoder":
        basis = np.linalg.qr(atoms.T)[0]
        velocity = HyperbolicClock(AtomsVelocity(Empirical(atoms @ basis)))
        signal = 1.0 / np.sqrt(1.0 + _BLUR**2)
        return cls(basis, FlowMap(velocity, np.arctanh(signal), 0.0, tolerance=1e-6), signal)

    def encode(self, x: np.ndarray) -> np.ndarray:
        """Points of μ_a, a = ``signal``, in all dimensions."""
        return self._through(self.encoder, x, 1.0 / np.sqrt(1.0 - self.signal**2))

    def decode(self, codes: np.ndarray) -> np.ndarray:
        return self._through(self.encoder.inverse(), codes, np.sqrt(1.0 - self.signal**2))

    def _through(self, flow: FlowMap, x: np.ndarray, across: float) -> np.ndarray:
        inside = x @ self.basis
        moved = np.asarray(flow(jnp.asarray(inside)))
        return moved @ self.basis.T + across * (x - inside @ self.basis.T)


def closed_form(place: Path, out: Path, seed: int, progress: ProgressCallback) -> dict[str, Any]:
    """The encoder of all images, and of each class, without a network.

    A decoder of atoms gives the atoms back, whichever code it gets: it memorises. What it shows is
    the encoder of KRCO22's numerical result, exactly, and which of the images share codes.
    """
    images = read_images(place, size=(_AFHQ_SIDE, _AFHQ_SIDE), colours="rgb")
    names = images.class_names or ()
    random = np.random.default_rng(seed)
    shape = images.pixels.shape[1:]
    everything = 2.0 * images.pixels.reshape(len(images.pixels), -1).astype(np.float64) - 1.0
    codes = random.normal(size=(_DRAWS, everything.shape[1]))
    found: dict[str, Any] = {"notes": list(images.notes)}
    decoded = {}
    for index, name in enumerate(("all", *names)):
        progress(Progress(index, 1 + len(names), f"{name}: encoding by the closed form"))
        atoms = everything if name == "all" else everything[images.labels == index - 1]
        model = _AtomsEncoder.of(atoms)
        x = model.signal * (atoms + _BLUR * random.normal(size=atoms.shape))
        own = model.encode(x)
        test = assignment_test(x, own)
        back = model.decode(own)
        # Fresh draws of the law itself, in the space of the atoms, for bounds that mean something.
        inside = atoms @ model.basis
        picked = inside[random.integers(len(atoms), size=_DRAWS)]
        fresh = model.signal * (picked + _BLUR * random.normal(size=picked.shape))
        drawn = audited(fresh, np.asarray(model.encoder(jnp.asarray(fresh))), seed)
        found[name] = {
            "images": len(atoms),
            "assignment": dataclasses.asdict(test),
            "draws": drawn,
            "round_trip_error": largest_error(back, x),
        }
        decoded[name] = model.decode(codes)
    out.mkdir(parents=True, exist_ok=True)
    grid = [
        (name, np.clip(0.5 * decoded[name][:12].reshape(-1, *shape) + 0.5, 0.0, 1.0))
        for name in names
    ]
    write_whole(out / f"{place.name}-pairs.png", png_bytes(image_grid_figure(grid)))
    found["pairs"] = {
        f"{first} and {second}": alignment(
            decoded[first], decoded[second], key=jax.random.key(seed)
        )
        for i, first in enumerate(names)
        for second in names[i + 1 :]
    }
    return found
