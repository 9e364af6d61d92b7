"""A public name that moved says in one line where it is now, however it is asked for."""

import importlib

import pytest

from brenier._moved import MOVED


def _found(name):
    module, _, attribute = name.rpartition(".")
    return getattr(importlib.import_module(module), attribute)


@pytest.mark.parametrize("name", MOVED)
def test_a_name_that_moved_says_where_it_is_now(name):
    module, _, attribute = name.rpartition(".")
    sentence = f"{name} is now {MOVED[name]}."
    for ask in (lambda: _found(name), lambda: exec(f"from {module} import {attribute}", {})):
        with pytest.raises(ImportError) as raised:
            ask()
        assert str(raised.value) == sentence
    assert callable(_found(MOVED[name]))


def test_what_never_was_is_an_attribute_error():
    for module in {name.rpartition(".")[0] for name in MOVED}:
        with pytest.raises(AttributeError, match=f"module '{module}' has no attribute 'nothing'"):
            _found(f"{module}.nothing")
