"""Warnings that point at the line of the user's that they are about."""

import sys
import warnings

# Packages between a call and what it comes to: brenier itself, and those that check its types.
_BETWEEN = {"brenier", "jaxtyping", "beartype", "equinox"}


def warn_user(text: str, category: type[Warning] = UserWarning) -> None:
    """Warn of something in the innermost call that is not brenier's own."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back is not None and _package(frame.f_globals) in _BETWEEN:
        level, frame = level + 1, frame.f_back
    warnings.warn(text, category, stacklevel=level + 1)


def _package(names: dict[str, object]) -> str:
    return str(names.get("__name__")).partition(".")[0]
