"""Loading a model from skops's file format, without importing all of scikit-learn.

When skops is imported, it lists every type that it trusts, and for that imports all of scikit-learn and searches all
modules: a second and 30 MB at every start. Here the lists are empty at first; a file whose types are all scikit-learn's
estimators, numpy's numbers and Python's plain types is loaded with just these trusted. Any other file is left to skops
with its own lists.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np
from sklearn.base import BaseEstimator

from scoring.errors import ModelError

if TYPE_CHECKING:
    from pathlib import Path

    from scoring.models.aliases import Estimator

LISTS = "skops.io._trusted_types"
PLAIN = {
    "builtins.int",
    "builtins.float",
    "builtins.str",
    "builtins.bool",
    "builtins.list",
    "builtins.set",
    "builtins.tuple",
}


def load(file: Path, trusted: list[str]) -> Estimator:
    """Load an estimator; raise ModelError for types that neither skops trusts nor `trusted` names."""
    sys.modules[LISTS] = _NoLists(LISTS)
    try:
        io = importlib.import_module("skops.io")
        needed = set(io.get_untrusted_types(file=file)) - set(trusted)
        if all(map(is_known, needed)):
            return io.load(file, trusted=[*trusted, *needed])
    finally:  # who imports skops later gets all of it
        for name in [name for name in sys.modules if name.split(".")[0] == "skops"]:
            del sys.modules[name]
    io = importlib.import_module("skops.io")
    if untrusted := sorted(set(io.get_untrusted_types(file=file)) - set(trusted)):
        raise ModelError(
            f"the model holds types that its log_model call did not list in skops_trusted_types: {', '.join(untrusted)}"
        )
    return io.load(file, trusted=trusted)


def is_known(name: str) -> bool:
    """Whether a full name is surely one of those that skops trusts: tests/unit compares it with skops's own lists."""
    module, _, kind = name.rpartition(".")
    if name in PLAIN:
        return True
    if not module.startswith(("sklearn.", "numpy")) or kind.startswith("_") or ".tests" in module:
        return False
    try:
        found = getattr(importlib.import_module(module), kind, None)
    except ImportError:
        return False
    if not isinstance(found, type) or getattr(found, "__abstractmethods__", None):
        return False
    return (
        issubclass(found, BaseEstimator if module.startswith("sklearn.") else np.generic) and found is not BaseEstimator
    )


class _NoLists(ModuleType):
    """Stands for skops's lists of types, each empty."""

    def __getattr__(self, name: str) -> list[str]:
        if not name.isupper():
            raise AttributeError(name)
        return []
