"""A version carries its environment: an upgrade of the folder's libraries leaves what was trained before as it was."""

from __future__ import annotations

import subprocess
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest
import requests

from slipway import ports, runtimes, shell
from slipway import settings as slipway_settings
from slipway.registry import mlmodel
from slipway.release import promote
from slipway.serving import api_test, server
from slipway.training import train
from tests.conftest import changed

if TYPE_CHECKING:
    from pathlib import Path

    from slipway.runtimes.base import Prepared
    from slipway.settings import Settings

OLD, NEW = "1.8.0", "1.9.1"  # of scikit-learn
ASK = "import sklearn; print(sklearn.__version__, flush=True); import matplotlib"
ABSENT = "ModuleNotFoundError: No module named 'matplotlib'"  # only training has it


SCRIPT = """import mlflow, pandas, skops, sklearn
from sklearn.datasets import load_diabetes
from sklearn.linear_model import ElasticNet
features, target = load_diabetes(as_frame=True, return_X_y=True)
with mlflow.start_run():
    mlflow.log_metric("rmse", 1.0)
    pins = [f"scikit-learn=={sklearn.__version__}", f"pandas=={pandas.__version__}", f"skops=={skops.__version__}"]
    line = ElasticNet(alpha=0.05).fit(features, target)
    mlflow.sklearn.log_model(line, name="model", input_example=features.head(5), pip_requirements=pins)
"""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Return settings of the host runtime with a store and a small model folder that are the test's own."""
    (folder := tmp_path / "upgraded").mkdir()
    (folder / "model.toml").write_text('name = "upgraded"\nmetric = "rmse"\ndirection = "minimize"\n')
    (folder / "train.py").write_text(SCRIPT)
    store = {"external_uri": f"sqlite:///{tmp_path}/mlflow.db"}
    loaded = changed(slipway_settings.load(), runtime="host", model_dir=folder, tracking=store)
    return changed(loaded, training={"args": ""}, serving={"url": ""})


def _train(settings: Settings, version: str) -> Prepared:
    """Train with a version of scikit-learn that the folder asks for, and promote what came of it."""
    (settings.model_dir / "requirements.txt").write_text(f"scikit-learn=={version}\nskops\n")
    trained = train.train(settings)
    uri = f"models:/{trained.name}/{trained.version}"
    promote.promote(settings, uri, force=True, why="the test's")
    return server.prepare(settings, uri)


def _serve(settings: Settings, prepared: Prepared, log: Path, stack: ExitStack) -> tuple[str, str, Any]:
    """Serve a version; return its scikit-learn, what a module of training says there, and its own example's answer."""
    alone = changed(settings, serving={"port": ports.find_free()})
    stack.enter_context(shell.running(server.start(alone, prepared, log), log))
    api_test.wait_until_ready(alone.serving, alone.serving.api_url)
    python = runtimes.of(alone).serve_command(prepared)[0][0]
    asked = subprocess.run([python, "-c", ASK], check=False, capture_output=True, text=True)
    example = mlmodel.read_example(prepared.files)
    answer = requests.post(f"{alone.serving.api_url}/invocations", json=example, timeout=60)
    return asked.stdout.strip(), asked.stderr.strip().splitlines()[-1], answer.json()


def test_a_rollback_past_an_upgrade_answers_as_before(settings: Settings, tmp_path: Path) -> None:
    """Version 1 answers from the libraries that it was trained with, to the bit, beside version 2 with newer ones."""
    first = _train(settings, OLD)
    rows, _ = api_test.read_rows(settings, first)
    assert rows
    before = server.predict(settings, first, rows)
    second = _train(settings, NEW)
    promote.roll_back(settings)
    again = server.prepare(settings, "models:/upgraded@champion")
    with ExitStack() as stack:  # both at once
        newer = _serve(settings, second, tmp_path / "newer.log", stack)
        after = _serve(settings, again, tmp_path / "after.log", stack)

    assert again.model.version == "1"
    assert f"\nscikit-learn=={OLD}" in (again.files / "environment" / "requirements.txt").read_text()
    assert after == (OLD, ABSENT, before)
    assert newer[:2] == (NEW, ABSENT)
    assert len(newer[2]["predictions"]) == len(before["predictions"]) > 1
