"""Whether an estimator is what its name says: scikit-learn's own class, unchanged, and made of nothing else.

A name proves nothing: a user's `StandardScaler` that clips has the name and even the base class of scikit-learn's. So
the class itself is compared with the one that its module holds, and an instance must not have attributes in place of
its class's methods.
"""

from __future__ import annotations

import sys
from functools import partial
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

LIBRARIES = {
    "sklearn",
    "numpy",
    "scipy",
    "builtins",
}  # whose functions an estimator may hold and still be scikit-learn's own
PLAIN = (str, bytes, int, float, complex, bool, type(None), np.generic)


def is_exactly(estimator: object, names: dict[str, str] | set[str]) -> bool:
    """Whether an object's class is scikit-learn's own of one of these names, with the class's own methods."""
    kind = type(estimator)
    return (
        kind.__name__ in names
        and kind.__module__.split(".")[0] == "sklearn"
        and is_librarys(kind)
        and not overrides(estimator)
    )


def is_librarys(thing: object) -> bool:
    """Whether a class or function is the one that a library's module holds under its name."""
    module, name = getattr(thing, "__module__", None) or "builtins", getattr(thing, "__qualname__", "")
    found: Any = sys.modules.get(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    return module.split(".")[0] in LIBRARIES and found is thing


def overrides(thing: object) -> list[str]:
    """Return the attributes of an instance that stand in the place of its class's methods."""
    return [name for name in getattr(thing, "__dict__", {}) if callable(getattr(type(thing), name, None))]


def find_foreign(estimator: object) -> str:
    """Return the name of the first thing in a fitted estimator that is not a library's own, unchanged.

    "" where all are.
    """
    for part in _parts(estimator, set()):
        if isinstance(part, np.ufunc) or is_librarys(part):
            continue
        if isinstance(part, type | FunctionType | BuiltinFunctionType | MethodType):
            return _name(part)
        if not is_librarys(type(part)):
            return _name(type(part))
        if changed := overrides(part):
            return f"{type(part).__name__}.{changed[0]}"
    return ""


def _name(thing: object) -> str:
    return f"{getattr(thing, '__module__', '')}.{getattr(thing, '__qualname__', '?')}"


def _parts(value: object, seen: set[int]) -> Iterator[Any]:
    """Walk an estimator: yield it, the estimators that it holds at any depth, and whatever can be called."""
    if isinstance(value, PLAIN) or id(value) in seen:
        return
    seen.add(id(value))
    if isinstance(value, dict | list | tuple | set) or (isinstance(value, np.ndarray) and value.dtype.kind == "O"):
        inside: Any = (
            value.values() if isinstance(value, dict) else value.ravel() if isinstance(value, np.ndarray) else value
        )
        for each in inside:
            yield from _parts(each, seen)
    elif type(value) is partial:
        yield from _parts([value.func, value.args, value.keywords], seen)
    elif hasattr(value, "fit") or hasattr(value, "predict") or callable(value):
        yield value
        for each in (
            ()
            if isinstance(value, type | FunctionType) or is_librarys(value)
            else list(getattr(value, "__dict__", {}).values())
        ):
            yield from _parts(each, seen)


def describe(estimator: object) -> str:
    """Return the names of an estimator's steps, for people."""
    return " and ".join(type(step).__name__ for _, step in getattr(estimator, "steps", [("", estimator)]))
