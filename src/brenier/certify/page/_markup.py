"""Pieces of HTML: a section, a sentence, a value; all text from outside is escaped."""

import html
from collections.abc import Mapping
from typing import Any


def section(title: str, content: str) -> str:
    return f"<section><h2>{title}</h2>{content}</section>"


def sentence(text: str | None) -> str:
    """The text with a capital at its beginning and a full stop at its end."""
    text = prose(text or "")
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")


def prose(text: str) -> str:
    """Escaped, with no line break before a per cent sign nor about the bar of KL(μ | ν)."""
    return escaped(text).replace(" %", "\u00a0%").replace(" | ", "\u00a0|\u00a0")


def listed(value: Any) -> str:
    """A value of ``Certificate.how``: lists and mappings with commas, floats to four digits."""
    if value is None:
        return "none"
    if isinstance(value, Mapping):
        return ", ".join(f"{escaped(key)} {listed(item)}" for key, item in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(listed(item) for item in value)
    if isinstance(value, float):
        return f"{value:.4g}"
    return escaped(value)


def count(value: Any) -> str:
    """A whole number with separators of thousands."""
    return f"{value:,}" if isinstance(value, int) else escaped(value)


def escaped(value: Any) -> str:
    return html.escape(str(value))
