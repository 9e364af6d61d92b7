"""Images that are not held in memory: rows of them are read when a batch wants them."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, Protocol, runtime_checkable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from brenier._checks import check_key
from brenier._types import Array, Float, Int, Key, Point, Points, Scalar
from brenier.measures import AbstractMeasure


@runtime_checkable
class ImageRows(Protocol):
    """An array of images (n, h, w, c) that may lie in files: ``[rows]`` reads some of them.

    ``io.open_images`` gives one of a large folder; data sets of h5py and zarr are others.

    >>> isinstance(np.zeros((3, 8, 8, 1)), ImageRows)
    True
    """

    @property
    def shape(self) -> tuple[int, ...]:
        """(n, h, w, c)."""

    def __getitem__(self, rows: Any) -> Any:
        """The images (k, h, w, c) at rows (k,), which count up."""


class StreamedImages(AbstractMeasure):
    """Each of n images in [-1, 1]^d, d = h w c, with probability 1/n, read when it is drawn.

    ``Empirical`` of images that are too many to hold. Reading is done on the host, between the
    programs of the device. Not where a density is needed: it has none, and says so.

    Args:
        images: grey levels in [0, 1]; the same rows are to be the same images whenever they are
            read.
        rows: those that are meant (n,); all where None.

    >>> images = StreamedImages(np.full((3, 1, 2, 1), 0.5))
    >>> images.size, images.at(jnp.array([2])).tolist()
    (3, [[0.0, 0.0]])
    """

    rows: Int[Array, " n"]
    reader: "_Reader" = eqx.field(static=True)
    has_density: ClassVar[bool] = False

    def __init__(self, images: ImageRows, rows: Int[np.ndarray, " n"] | None = None):
        self.reader = _Reader(images)
        self.rows = jnp.asarray(np.arange(images.shape[0]) if rows is None else rows, jnp.int32)

    @property
    def dimension(self) -> int:
        return self.reader.dimension

    @property
    def size(self) -> int:
        """The number of images."""
        return self.rows.shape[0]

    def at(self, places: Int[Array, " k"]) -> Float[Array, "k d"]:
        """The images at places below ``size``, as points (k, d) in float32."""
        out = jax.ShapeDtypeStruct((places.shape[0], self.dimension), jnp.float32)
        return jax.pure_callback(self.reader, out, self.rows[places], vmap_method="sequential")

    def sample(self, key: Key, n: int) -> Points:
        """n independent draws, with replacement."""
        check_key("key", key)
        return self.at(jax.random.randint(key, (n,), 0, self.size))

    def point_log_density(self, x: Point) -> Scalar:
        raise ValueError(
            "measure: got StreamedImages, which has no density; wants a measure with a "
            "log-density (Gaussian, GaussianMixture, Gibbs)."
        )


@contextmanager
def own_failures(*images: Any) -> Iterator[None]:
    """A block in which what stopped the reading of images is raised, not what JAX says of it."""
    try:
        yield
    except Exception:  # of which kind JAX makes it depends on the device
        for one in images:
            if isinstance(one, StreamedImages) and one.reader.failure is not None:
                raise one.reader.failure from None
        raise


class _Reader:
    """The host's side: rows to points; it keeps the error that stopped it, which JAX rewrites."""

    def __init__(self, images: ImageRows):
        self.images = images
        self.shape = tuple(images.shape[1:])
        self.dimension = int(np.prod(self.shape))
        self.failure: Exception | None = None

    def __repr__(self) -> str:
        return f"{type(self.images).__name__} of {self.shape}"

    def __call__(self, rows: Any) -> Float[np.ndarray, "k d"]:
        # In the order of the file, each once: what lies on disks is read so.
        wanted, places = np.unique(np.asarray(rows), return_inverse=True)
        try:
            read = np.asarray(self.images[wanted], np.float32)
            _check(wanted, read, self.shape)
        except Exception as error:
            self.failure = error
            raise
        # As ``ImageModel.points``.
        return (2.0 * read.reshape(len(read), -1) - 1.0)[places]


def _check(rows: np.ndarray, read: np.ndarray, shape: tuple[int, ...]) -> None:
    if read.shape != (len(rows), *shape):
        raise ValueError(f"images: got shape {read.shape}; wants {(len(rows), *shape)}.")
    # NaN is in no interval either.
    inside = ((read >= 0.0) & (read <= 1.0)).all(axis=(1, 2, 3))
    if not inside.all():
        raise ValueError(
            f"images: got values outside of [0, 1], or NaN, in image {rows[~inside][0]}; wants "
            "grey levels in [0, 1]."
        )
