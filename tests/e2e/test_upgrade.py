"""Containers after an upgrade of the model's libraries: each version answers from those that it was trained with."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from slipway.settings import ROOT
from tests.e2e.conftest import Stack

OLD, NEW = "1.8.0", "1.9.1"  # of scikit-learn
NAME = "upgraded-in-containers"


@pytest.fixture
def folder() -> Iterator[Path]:
    """Copy the model folder to where images are built from."""
    path = ROOT / "examples" / NAME
    shutil.rmtree(path, ignore_errors=True)
    shutil.copytree(
        ROOT / "model", path, ignore=shutil.ignore_patterns("__pycache__", "Dockerfile", "MLproject", "python_env.yaml")
    )
    (path / "model.toml").write_text(f'name = "{NAME}"\nmetric = "validation_rmse"\ndirection = "minimize"\n')
    yield path
    shutil.rmtree(path)


def _ask(stack: Stack) -> tuple[str, dict[str, object]]:
    """Serve the champion; return its container's scikit-learn, and its answer to its own example."""
    with stack.serve(f"models:/{NAME}@champion"):
        stack.make("test_api")
        container = f"{stack.project}-serve-{stack.variables['PORT']}"
        version = stack.docker("exec", container, "python", "-c", "import sklearn; print(sklearn.__version__)")
        example = json.loads(next(stack.folder.rglob("serving_input_example.json")).read_text())
        url = f"http://127.0.0.1:{stack.variables['PORT']}/invocations"
        return version, requests.post(url, json=example, timeout=30).json()


@pytest.mark.thorough
def test_a_rollback_past_an_upgrade_answers_as_before(stack: Stack, folder: Path) -> None:
    """After libraries were upgraded, locked and trained with, a rollback answers from the old ones, to the bit."""
    stack.variables |= {"MODEL_DIR": f"examples/{NAME}", "TRAIN_ARGS": "--repeats 1"}
    stack.make("start_mlflow_services")
    answers = []
    for version in (OLD, NEW):
        (folder / "requirements.txt").write_text(f"scikit-learn=={version}\nskops\n")
        stack.make("train_model")
        stack.make("promote", FORCE="1", WHY="the upgrade")
        answers.append(_ask(stack))
    stack.make("rollback")
    answers.append(_ask(stack))

    assert [version for version, _ in answers] == [OLD, NEW, OLD]
    assert answers[2][1] == answers[0][1]
    assert answers[0][1]["predictions"]
