"""The first habit of the house: a class is abstract, or it is final."""

import ast
import inspect
import pkgutil
from importlib import import_module
from pathlib import Path

import equinox as eqx
import pytest

import brenier

ROOT = Path(brenier.__file__).parent
SOURCES = sorted(ROOT.rglob("*.py"))


def _modules():
    for info in pkgutil.walk_packages([str(ROOT)], "brenier."):
        if not info.name.endswith("__main__"):
            yield import_module(info.name)


def _classes():
    found = {
        value
        for module in _modules()
        for value in vars(module).values()
        if inspect.isclass(value)
        and issubclass(value, eqx.Module)
        and value.__module__.startswith("brenier.")
    }
    return sorted(found, key=lambda cls: cls.__qualname__)


CLASSES = _classes()


def _bases(cls):
    return [base for base in cls.__mro__[1:] if base in CLASSES]


def _abstract(cls):
    return inspect.isabstract(cls) or bool(getattr(cls, "__abstractvars__", ()))


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_abstract_or_final(cls):
    assert all(_abstract(base) and base.__name__.startswith("Abstract") for base in _bases(cls))
    assert _abstract(cls) == cls.__name__.startswith("Abstract")


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_each_method_is_implemented_once(cls):
    for base in _bases(cls):
        for name, method in vars(base).items():
            if inspect.isfunction(method) and name in vars(cls) and not name.startswith("__"):
                assert getattr(method, "__isabstractmethod__", False), f"{base.__name__}.{name}"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_super_no_hasattr_and_no_long_files(path):
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") <= 400
    tree = ast.parse(text)
    # An exception is built by its base class: there is no other way.
    errors = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
        and any(getattr(base, "id", "").endswith("Error") for base in node.bases)
    ]
    allowed = {id(node) for error in errors for node in ast.walk(error)}
    called = {
        node.func.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and id(node) not in allowed
    }
    assert not called & {"super", "hasattr"}
