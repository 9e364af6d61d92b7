"""Warnings of the library, in the words of the command line."""

import contextlib
import warnings
from collections.abc import Iterator


@contextlib.contextmanager
def said_of(*files: str) -> Iterator[list[str]]:
    """What an estimator warns of meanwhile, as the command line would say it of these files."""
    said: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        yield said
    said += [_for_files(str(one.message), *files) for one in caught]


def _for_files(message: str, *files: str) -> str:
    """A warning of an estimator as the command line would say it."""
    name, colon, rest = message.partition(":")
    where = dict(zip("XY", files, strict=False)).get(name, name)
    return where + colon + rest.replace('outliers="drop"', "--outliers drop")
