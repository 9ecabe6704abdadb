"""Loading a model from skops's file format, without importing all of scikit-learn.

skops lists every estimator of scikit-learn as trusted when it is imported, and to find them imports all of it: a second and
30 MB at every start. Here the list is empty at first, and gets those estimators that the file names, by the same rule
(sklearn.utils.all_estimators: public classes of scikit-learn that are estimators). tests/scoring compares the two.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import sklearn.utils
from sklearn.base import BaseEstimator

from scoring.errors import ModelError

if TYPE_CHECKING:
    from pathlib import Path


def load(file: Path, trusted: list[str]) -> Any:  # noqa: ANN401 -- any estimator
    """Load an estimator; raise ModelError for types that are neither scikit-learn's estimators nor in `trusted`."""
    real = sklearn.utils.all_estimators
    sklearn.utils.all_estimators = list
    try:
        from skops import io  # noqa: PLC0415 -- only now, see above
    finally:
        sklearn.utils.all_estimators = real
    unknown = set(io.get_untrusted_types(file=file)) - set(trusted)
    estimators = {name for name in unknown if is_estimator(name)}
    if unknown - estimators:
        names = ", ".join(sorted(unknown - estimators))
        raise ModelError(f"the model holds types that its log_model call did not list in skops_trusted_types: {names}")
    return io.load(file, trusted=[*trusted, *estimators])


def is_estimator(name: str) -> bool:
    """Whether a full name is that of one of scikit-learn's public estimators."""
    module, _, kind = name.rpartition(".")
    if not module.startswith("sklearn.") or kind.startswith("_") or ".tests" in module:
        return False
    try:
        found = getattr(importlib.import_module(module), kind, None)
    except ImportError:
        return False
    return isinstance(found, type) and issubclass(found, BaseEstimator) and not getattr(found, "__abstractmethods__", None)
