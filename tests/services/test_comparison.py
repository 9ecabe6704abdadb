"""Comparing through `make compare`'s script: versions of a real registry."""

import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import mlflow
import pytest
from mlflow import MlflowClient
from sklearn.dummy import DummyRegressor

from slipway.settings import BUILD

Script = Callable[..., subprocess.Popen[str]]
NAME = "compared"


@pytest.fixture
def folder(tmp_path: Path) -> str:
    """Write the part of a model folder that a comparison reads."""
    (tmp_path / "model.toml").write_text(f'name = "{NAME}"\nmetric = "rmse"\ndirection = "minimize"\n')
    return str(tmp_path)


@pytest.fixture
def add(client: MlflowClient) -> Iterator[Callable[[float, str], int]]:
    """Return a function that registers a version with an rmse and a parameter; all are removed again."""

    def register(rmse: float, alpha: str) -> int:
        with mlflow.start_run():
            mlflow.log_metrics({"rmse": rmse, "rmse_std": 0.25})
            mlflow.log_params({"alpha": alpha, "same": "1"})
            info = mlflow.sklearn.log_model(
                DummyRegressor().fit([[0.0]], [1.0]),
                name="model",
                pip_requirements=["mlflow==3.17.2"],
                registered_model_name=NAME,
            )
        return int(info.registered_model_version)

    yield register
    client.delete_registered_model(NAME)


@pytest.mark.fast
def test_a_version_stands_beside_the_champion(
    client: MlflowClient, folder: str, add: Callable[[float, str], int], script: Script
) -> None:
    """The newest version beside @champion.

    Metrics with their spread, which is better, only what differs, and a picture.
    """
    add(2.0, "0.1")
    add(1.5, "0.2")
    client.set_registered_model_alias(NAME, "champion", "1")
    printed, _ = (process := script("compare", MODEL_DIR=folder)).communicate()

    assert process.returncode == 0, printed
    assert re.search(r"1 @champion +┃ +2 ┃", printed)
    assert re.search(r"rmse +│ +2 ± 0.25 │ 1.5 ± 0.25, better │", printed)
    assert re.search(r"alpha +│ +0\.1 │ +0\.2 │", printed)
    assert "same" not in printed
    assert re.search(
        r"note: 2 has not been validated: RUNTIME=host .*make validate_model MODEL=models:/compared/2", printed
    )
    assert "picture  build/compare/compared-1-champion-2.png" in printed
    assert (BUILD / "compare" / "compared-1-champion-2.png").read_bytes().startswith(b"\x89PNG")


def test_any_versions_can_be_compared(
    client: MlflowClient, folder: str, add: Callable[[float, str], int], script: Script
) -> None:
    """Numbers are versions of the folder's model; addresses may stand among them, and the best of three is named."""
    for rmse in (3.0, 1.0, 2.0):
        add(rmse, "1")
    client.set_registered_model_alias(NAME, "champion", "2")
    printed, _ = (process := script("compare", MODELS=f"1, 3 models:/{NAME}@champion", MODEL_DIR=folder)).communicate()

    assert process.returncode == 0, printed
    assert re.search(r"rmse +│ 3 ± 0.25 │ 2 ± 0.25 │ 1 ± 0.25, best │", printed)
    assert "nothing else differs" in printed


@pytest.mark.parametrize(
    ("variables", "words", "cure"),
    [
        ({}, "compared has no @champion to compare with", 'make compare MODELS="1 2"'),
        ({"MODEL": "models:/compared/9"}, "compared has no version 9; available: 1, 2", "make list_models"),
        ({"MODELS": "1"}, "MODELS='1' names one version; a comparison needs two", 'make compare MODELS="1 2"'),
        ({"MODELS": "1 models:/compared/1"}, "names one version", 'make compare MODELS="1 2"'),
        ({"MODELS": "1 2x"}, "no such folder: 2x", "make list_models"),
    ],
    ids=["no champion", "unknown version", "one", "the same twice", "no version"],
)
def test_what_cannot_be_compared_is_said(  # noqa: PLR0913, PLR0917 -- three fixtures, three parameters
    folder: str, add: Callable[[float, str], int], script: Script, variables: dict[str, str], words: str, cure: str
) -> None:
    """A version, or a champion, that is not there ends in an error in words."""
    add(1.0, "1")
    add(2.0, "1")
    printed, _ = (process := script("compare", MODEL_DIR=folder, **variables)).communicate()

    assert process.returncode in {1, 2}
    assert re.search(rf"^error: .*{re.escape(words)}", printed, re.MULTILINE)
    assert cure in printed
    assert "Traceback" not in printed


def test_one_version_has_nothing_to_be_compared_with(
    client: MlflowClient, folder: str, add: Callable[[float, str], int], script: Script
) -> None:
    """The only version, and the champion itself, are told so."""
    add(1.0, "1")
    client.set_registered_model_alias(NAME, "champion", "1")
    alone, _ = script("compare", MODEL_DIR=folder).communicate()
    add(2.0, "1")
    itself, _ = script("compare", MODEL="models:/compared@champion", MODEL_DIR=folder).communicate()

    assert "error: compared has only version 1, so there is nothing to compare it with" in alone
    assert "error: compared version 1 is @champion itself" in itself
    assert "make compare MODEL=models:/compared/2" in itself
