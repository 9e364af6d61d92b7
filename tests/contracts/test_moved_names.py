"""A public name that moved says in one line where it is now, however it is asked for."""

import importlib

import pytest

from brenier._moved import GONE, MOVED


def _found(name):
    module, _, attribute = name.rpartition(".")
    return getattr(importlib.import_module(module), attribute)


def _said(name):
    """What is said to both ways of asking for a name."""
    module, _, attribute = name.rpartition(".")
    for ask in (lambda: _found(name), lambda: exec(f"from {module} import {attribute}", {})):
        with pytest.raises(ImportError) as raised:
            ask()
        yield str(raised.value)


@pytest.mark.parametrize("name", MOVED)
def test_a_name_that_moved_says_where_it_is_now(name):
    assert set(_said(name)) == {f"{name} is now {MOVED[name]}."}
    assert callable(_found(MOVED[name]))


@pytest.mark.parametrize("name", GONE)
def test_a_name_that_went_says_what_to_take(name):
    assert set(_said(name)) == {f"{name} is gone: {GONE[name]}."}


def test_what_never_was_is_an_attribute_error():
    for module in {name.rpartition(".")[0] for name in (*MOVED, *GONE)}:
        with pytest.raises(AttributeError, match=f"module '{module}' has no attribute 'nothing'"):
            _found(f"{module}.nothing")
