"""Packages that only some uses need, and the extras of brenier that bring them."""

import importlib.util

# The name by which a package is imported, and the extra in pyproject.toml that it comes with.
EXTRAS = {
    "PIL": "images",
    "anndata": "cells",
    "diffusers": "diffusers",
    "h5py": "cells",
    "matplotlib": "plots",
    "narwhals": "tables",
    "ot": "exact",
    "pandas": "tables",
    "pyarrow": "tables",
    "torch": "diffusers",
}


class MissingExtraError(ImportError, ValueError):
    """A package that is not installed: for Python a fault of an import, for us one of the input."""


def is_installed(package: str) -> bool:
    """Whether a package is there; it is not imported.

    >>> is_installed("numpy")
    True
    """
    return importlib.util.find_spec(package) is not None


def check_installed(name: str, *packages: str) -> None:
    """Raise where a package that comes with an extra is not installed; none is imported.

    Args:
        name: of what needs it, for the message: an argument, a file, a command.
        packages: as they are imported; each a key of ``EXTRAS``.

    Raises:
        MissingExtraError: one line, that names the extra.

    >>> check_installed("figure", "matplotlib")
    """
    for package in packages:
        if not is_installed(package):
            raise missing_extra(name, package)


def missing_extra(name: str, package: str) -> MissingExtraError:
    """The error that says what to install.

    >>> print(missing_extra("a.h5ad", "anndata"))
    a.h5ad: got no anndata installed, which it needs; wants pip install "brenier[cells]".
    """
    return MissingExtraError(
        f"{name}: got no {package} installed, which it needs; wants "
        f'pip install "brenier[{EXTRAS[package]}]".',
        name=package,
    )


def of_an_extra(error: ImportError) -> str | None:
    """The package of an extra whose absence the error says; None where it says another thing."""
    package = (error.name or "").partition(".")[0]
    return package if package in EXTRAS and not is_installed(package) else None
