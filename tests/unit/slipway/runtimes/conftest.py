"""A model whose lock is looked for, in a build folder of the test's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import yaml

from slipway import settings as slipway_settings
from slipway.registry.model_uri import ModelRef
from slipway.runtimes import locks, pythons, requirements, resolution
from slipway.settings import ROOT, Settings
from tests.conftest import changed

if TYPE_CHECKING:
    from pathlib import Path

LOCKED = requirements.pins((ROOT / "requirements" / "serving.txt").read_text())
PANDAS = next(iter(LOCKED["pandas"]))
VERSION = ModelRef("models:/wine/3", "", "wine", "3")


@pytest.fixture
def apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have locks made in the test's folder, with no Python on this machine but ours."""
    monkeypatch.setattr(locks, "BUILD", tmp_path / "build")
    monkeypatch.setattr(resolution, "BUILD", tmp_path / "build")
    monkeypatch.setattr(pythons, "find", lambda _: None)
    locks._say.cache_clear()  # noqa: SLF001 -- each test is a command


@pytest.fixture
def host() -> Settings:
    """Return settings of the host runtime with the embedded store."""
    return changed(slipway_settings.load(), runtime="host", tracking={"external_uri": ""})


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """Return the files of a model that asks for what is locked, in this Python."""
    (path := tmp_path / "files").mkdir()
    write(path, f"mlflow=={next(iter(LOCKED['mlflow-skinny']))}\npandas=={PANDAS}\n")
    return path


def write(files: Path, lines: str, python: str = pythons.OWN) -> None:
    """Write what a model asks for, and the Python that it was logged with."""
    function = {"loader_module": "mlflow.sklearn", "python_version": f"{python}.1"}
    (files / "MLmodel").write_text(yaml.safe_dump({"flavors": {"python_function": function}}))
    (files / "requirements.txt").write_text(lines)
