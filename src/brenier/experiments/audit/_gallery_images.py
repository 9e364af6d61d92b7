"""Two small image models: scikit-learn's digits, and tiles of its photographs."""

import time
from collections.abc import Callable, Iterator

import jax
import numpy as np
from sklearn.datasets import load_digits, load_sample_images

from brenier._progress import Progress
from brenier.experiments.audit._gallery_maps import Exhibit
from brenier.images import DDPM, TrainingSettings, UNetSettings, fit_images, image_model
from brenier.numerics import in_blocks

# Of the two models; their images are of one size, and stand under one heading.
DIGITS, TILES = "digits", "photographs"
_PROBLEM = "images of 8 × 8, d = 64"
_SIDE, _STEPS, _DDIM, _BLOCK = 8, 400, 50, 100
# Of the digits half are fresh: no others can be drawn. Tiles are drawn at will.
_FRESH_DIGITS, _TRAINED_TILES, _FRESH_TILES = 900, 4000, 2000
_SETTINGS = {
    DIGITS: TrainingSettings(
        method=DDPM(steps=_STEPS), network=UNetSettings(width=24), schedule="cosine", checks=4
    ),
    # Another schedule, and the noise itself is predicted: the DDPM of Ho et al.
    TILES: TrainingSettings(
        method=DDPM(steps=_STEPS),
        network=UNetSettings(width=24),
        schedule="linear",
        prediction="epsilon",
        checks=4,
    ),
}
_LEVELS = {DIGITS: 17, TILES: 256}


def encoder_exhibit(name: str, seed: int, tell: Callable[[str], None]) -> Iterator[Exhibit]:
    """A DDPM trained on one half of the images, and its DDIM encoder on the fresh ones."""
    began = time.process_time()
    trained, fresh = (_digits if name == DIGITS else _tiles)(np.random.default_rng(seed))

    def told(now: Progress) -> None:
        tell(f"DDPM of {name}: step {now.step} of {now.steps}, held-out loss {now.metric:.3f}")

    solution = fit_images(
        trained,
        key=jax.random.key(seed),
        settings=_SETTINGS[name],
        levels=_LEVELS[name],
        callback=told,
    )
    model = image_model(solution.map)
    seconds = time.process_time() - began
    x = model.points(fresh)
    codes = in_blocks(model.ddim_encoder(_DDIM), x, _BLOCK)
    yield Exhibit(
        name=f"DDPM encoder of {name}",
        problem=_PROBLEM,
        seconds=seconds,
        # Codes stay in single precision, so that the audit knows their rounding.
        pairs=(x.astype(np.float64), np.asarray(codes)),
    )


def _digits(random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    pixels = (load_digits().images / 16.0)[..., None].astype(np.float32)
    order = random.permutation(len(pixels))
    return pixels[order[_FRESH_DIGITS:]], pixels[order[:_FRESH_DIGITS]]


def _tiles(random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Grey tiles at independent uniform places of the two photographs: a law that can be drawn."""
    greys = np.stack([picture.mean(axis=2) for picture in load_sample_images().images])
    windows = np.lib.stride_tricks.sliding_window_view(greys, (_SIDE, _SIDE), axis=(1, 2))
    picked = tuple(
        random.integers(n, size=_TRAINED_TILES + _FRESH_TILES) for n in windows.shape[:3]
    )
    tiles = (windows[picked] / 255.0)[..., None].astype(np.float32)
    return tiles[:_TRAINED_TILES], tiles[_TRAINED_TILES:]
