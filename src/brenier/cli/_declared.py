"""What a user declares of the source and the pairs on the command line of ``brenier audit``."""

import dataclasses
from pathlib import Path

import numpy as np

from brenier.io import check_file, read_array
from brenier.measures import AbstractMeasure, Gaussian, StandardNormal


@dataclasses.dataclass(frozen=True)
class Declarations:
    """As they were typed; None where nothing was.

    Attributes:
        law: "normal", for N(0, I), or file.npz with arrays mean (d,) and covariance (d, d).
        symmetry: as for ``brenier.audit``.
        box: "LOW,HIGH".
        kurtosis: of gaps.
        groups: a file with a label a row; of cells, a column of obs.
    """

    law: str | None = None
    symmetry: str | None = None
    box: str | None = None
    kurtosis: float | None = None
    groups: str | None = None

    def measure(self, dimension: int) -> AbstractMeasure | None:
        """The law of the source."""
        if self.law is None:
            return None
        if self.law == "normal":
            return StandardNormal(dimension)
        if not self.law.endswith(".npz"):
            raise ValueError(
                f"--law: got {self.law}; wants normal, for N(0, I), or file.npz with arrays mean "
                "and covariance."
            )
        check_file(self.law, "file.npz", f"--law {self.law}")
        return Gaussian(read_array(f"{self.law}:mean"), read_array(f"{self.law}:covariance"))

    def ends(self) -> tuple[float, float] | None:
        """The box."""
        if self.box is None:
            return None
        try:
            low, high = (float(end) for end in self.box.split(","))
        except ValueError:
            raise ValueError(f"--box: got {self.box}; wants LOW,HIGH, as in 0,1.") from None
        return low, high

    def labels(self, rows: int) -> np.ndarray | None:
        """A label for each of so many rows, from the lines of a file: a header may come first."""
        if self.groups is None:
            return None
        path = Path(self.groups)
        check_file(path, "a file of labels", f"--groups {path}")
        if path.suffix in (".npy", ".npz"):
            found = read_array(self.groups)
            labels = found[:, 0] if found.shape[1:] == (1,) else found
        else:
            try:
                text = path.read_text("utf-8-sig")
            except UnicodeDecodeError as error:
                raise ValueError(
                    f"--groups: got {path}, which is not UTF-8 ({error.reason}); wants text."
                ) from None
            labels = np.array([line.strip() for line in text.splitlines()])
            if any(mark in label for label in labels for mark in ",;\t"):
                raise ValueError(
                    f"--groups: got {path} with lines of several columns; wants one label a line."
                )
            labels = labels[len(labels) - rows == 1 :]
        if labels.shape != (rows,):
            raise ValueError(
                f"--groups: got {path} with labels of shape {labels.shape}; wants one for each of "
                f"{rows:,} rows."
            )
        return labels
