"""scipy.stats is imported late by scikit-learn, and by nobody else."""

from __future__ import annotations

import subprocess
import sys

DEFER = "import sys; from scoring.processes import deferral; deferral.defer(); import numpy as np\n"
IS_LOADED = "'scipy.stats' in sys.modules"


def _run(code: str) -> list[str]:
    command = [sys.executable, "-W", "ignore", "-c", DEFER + code]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()


def test_scikit_learn_is_imported_without_it_and_uses_it_all_the_same() -> None:
    """An import of what serves the demo's model leaves it out; functions and distributions are there when called."""
    code = f"""
from sklearn.linear_model import ElasticNet
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import QuantileTransformer
from sklearn.covariance import EllipticEnvelope
deferral.end()
print({IS_LOADED})
print(roc_auc_score([0, 1, 1], [0.1, 0.4, 0.3]))
rows = np.random.default_rng(0).normal(size=(50, 1))
print(round(QuantileTransformer(n_quantiles=10, output_distribution="normal").fit_transform(rows).max(), 1))
print(EllipticEnvelope(random_state=0).fit(rows).predict(rows).sum())
from sklearn.utils.fixes import _mode
print(_mode(np.array([3, 3, 1])).mode[0], {IS_LOADED})
"""

    assert _run(code) == ["False", "1.0", "5.2", "40", "3", "True"]


def test_others_import_the_real_one() -> None:
    """A model's own code and a pickle get it, its submodules and its names, while scikit-learn's imports are late."""
    code = """
import pickle, scipy.stats._distn_infrastructure
from scipy import stats
from scipy.stats import norm
from sklearn.metrics import _ranking
print(pickle.loads(pickle.dumps(norm(1.0))).mean(), stats is sys.modules["scipy.stats"], stats.norm is norm)
"""

    assert _run(code) == ["1.0", "True", "True"]


def test_another_way_to_import_stays_when_it_ends() -> None:
    """What a model's code puts around `__import__` is not undone; hidden names of a stand-in are none."""
    code = f"""
import builtins
stats = deferral._Late("scipy.stats")
print(hasattr(stats.norm, "__array_struct__"), {IS_LOADED})
ours = builtins.__import__
builtins.__import__ = theirs = lambda *given, **named: ours(*given, **named)
deferral.end()
print(builtins.__import__ is theirs)
"""

    assert _run(code) == ["False", "False", "True"]
