"""One way to say each thing: how every public function and method takes its random key."""

import inspect

import pytest

import brenier

ROOMS = [name for name in brenier.__all__ if inspect.ismodule(getattr(brenier, name))]
# Named instances of the problem bank are numbered.
_NUMBERED = {
    "convex_networks",
    "gaussian",
    "quartic_mixture",
    "random_convex",
    "random_tensor_train",
}


def _calls(room):
    """Public functions of a room, and public methods of its classes, by name."""
    module = getattr(brenier, room)
    for name in module.__all__:
        member = getattr(module, name)
        if inspect.isfunction(member):
            yield name, member
        elif inspect.isclass(member):
            for own, method in vars(member).items():
                if own.startswith("_"):
                    continue
                if isinstance(method, classmethod | staticmethod):
                    yield f"{name}.{own}", method.__func__
                elif inspect.isfunction(method):
                    yield f"{name}.{own}", method


@pytest.mark.parametrize("room", ROOMS)
def test_a_key_is_first_or_by_keyword(room):
    """First where there is nothing but drawing to do, or a random object to make."""
    wrong = []
    for name, function in _calls(room):
        parameters = inspect.signature(function).parameters
        given = [p for p in parameters.values() if p.name not in ("self", "cls")]
        for place, parameter in enumerate(given):
            by_keyword = parameter.kind is inspect.Parameter.KEYWORD_ONLY
            if parameter.name == "key" and not by_keyword and place > 0:
                wrong.append(name)
            if parameter.name == "seed" and name not in _NUMBERED:
                wrong.append(name)
            if parameter.name in ("rate", "distil"):
                wrong.append(name)
    assert wrong == []


@pytest.mark.parametrize("room", ROOMS)
def test_every_public_function_is_documented(room):
    assert [name for name, call in _calls(room) if "." not in name and not call.__doc__] == []
