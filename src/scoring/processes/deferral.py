"""scipy.stats, imported when scikit-learn uses something of it.

scikit-learn's modules import it for a few functions, which serving rarely calls, and it takes a quarter of a start and
15 MB. Only they are given what stands for it: all others import the real one.
"""

from __future__ import annotations

import builtins
import importlib
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

STATS = "scipy.stats"
_import = builtins.__import__


def defer() -> None:
    """Have scikit-learn's modules import scipy.stats late, from now on: before they are imported."""
    builtins.__import__ = _import_late


def end() -> None:
    """Have all imports be ordinary ones again, unless somebody else has put another way around ours meanwhile."""
    if builtins.__import__ is _import_late:
        builtins.__import__ = _import


def _import_late(
    name: str,
    globals: Mapping[str, Any] | None = None,  # noqa: A002 -- as Python names it
    locals: Mapping[str, Any] | None = None,  # noqa: A002 -- as above
    fromlist: Sequence[str] | None = (),
    level: int = 0,
) -> ModuleType:
    """Import, as `__import__` does, but not what scikit-learn asks of scipy.stats."""
    if name not in {"scipy", STATS} or not str((globals or {}).get("__name__")).startswith("sklearn."):
        return _import(name, globals, locals, fromlist or (), level)
    scipy = _import("scipy", globals, locals)
    if not hasattr(scipy, "__getattr__"):  # before 1.9 it does not import its parts when they are asked for
        return _import(name, globals, locals, fromlist or (), level)
    if name == STATS:
        return _Late(STATS) if fromlist else scipy
    return _Parts(name) if fromlist and "stats" in fromlist else _import(name, globals, locals, fromlist or (), level)


class _Late(ModuleType):
    """Stands for scipy.stats."""

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 -- what the real one has
        return _Named(name) if not name.startswith("__") else getattr(importlib.import_module(STATS), name)


class _Parts(ModuleType):
    """Stands for scipy in `from scipy import stats, …`."""

    def __getattr__(self, name: str) -> ModuleType:
        return _Late(STATS) if name == "stats" else importlib.import_module(f"scipy.{name}")


class _Named:
    """Stands for a function or a distribution of scipy.stats."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __call__(self, *arguments: Any, **options: Any) -> Any:  # noqa: ANN401 -- as the function
        return getattr(importlib.import_module(STATS), self._name)(*arguments, **options)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 -- as above
        if name.startswith("_"):  # numpy, pickle and copy ask whatever they get for such
            raise AttributeError(name)
        return getattr(getattr(importlib.import_module(STATS), self._name), name)
