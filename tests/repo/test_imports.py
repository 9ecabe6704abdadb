"""Importing a module does nothing: a process is changed by those who run it, never by what it imports."""

import subprocess
import sys

import pytest

from tests.repo import tree

IMPORT_ALL = """
import importlib, logging, os, signal, sys

# scikit-learn and MLflow set these.
OF_LIBRARIES = {"KMP_DUPLICATE_LIB_OK", "KMP_INIT_AT_FORK", "_MLFLOW_TELEMETRY_SESSION_ID"}

def look():
    handlers = {each: signal.getsignal(each) for each in signal.valid_signals()}
    root = logging.getLogger()
    ours = {name: logging.getLogger(name) for name in ("slipway", "scoring")}
    levels = {name: (each.level, each.handlers[:], each.propagate) for name, each in {**ours, "": root}.items()}
    variables = {name: value for name, value in os.environ.items() if name not in OF_LIBRARIES}
    return variables, handlers, (sys.excepthook, sys.unraisablehook), levels, logging.root.manager.disable

before = look()
for name in sys.argv[1:]:
    importlib.import_module(name)
for one, other in zip(before, look(), strict=True):
    assert one == other
"""


OF_LOCUST = "slipway.serving.load.locustfile"  # which Locust runs, in an environment of its own


@pytest.mark.parametrize("package", ["slipway", "scoring"])
def test_an_import_does_nothing(package: str) -> None:
    """No module changes the environment, what handles an exception or a signal, or what is logged."""
    names = [f"{package}.{name}".removesuffix(".__init__") for name in tree.modules(package)]
    names = [name for name in names if name != OF_LOCUST]
    done = subprocess.run([sys.executable, "-c", IMPORT_ALL, *names], check=False, capture_output=True, text=True)

    assert (done.returncode, done.stderr) == (0, "")
