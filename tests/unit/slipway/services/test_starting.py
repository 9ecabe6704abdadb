"""Waiting for a service: for as long as its container runs and the setting says; a time-out is called one."""

import subprocess
import uuid
from collections.abc import Iterator

import pytest

from slipway import settings as slipway_settings
from slipway.errors import SlipwayError
from slipway.services import starting
from slipway.settings import Settings
from tests.conftest import changed


@pytest.fixture
def settings(docker: None) -> Iterator[Settings]:  # noqa: ARG001 -- needed, not used
    """Return settings of a project whose service `mlflow` was made and does not run."""
    project = f"slipwaytest{uuid.uuid4().hex[:12]}"
    subprocess.run(["docker", "import", "-", f"{project}:1"], input=b"\0" * 10240, check=True, capture_output=True)
    subprocess.run(
        ["docker", "create", "--name", f"{project}-mlflow-1", f"{project}:1", "true"], check=True, capture_output=True
    )
    yield changed(slipway_settings.load(), services={"project": project, "timeout": 1})
    subprocess.run(["docker", "rm", "--force", f"{project}-mlflow-1"], check=True, capture_output=True)
    subprocess.run(["docker", "image", "rm", f"{project}:1"], check=True, capture_output=True)


def test_what_answers_is_well_whatever_its_container_is_called(settings: Settings) -> None:
    """The API's answer decides, and nothing that the engine says."""
    starting.wait(settings, "mlflow", lambda: True, lambda: pytest.fail("asked why"))


def test_a_container_that_ended_is_explained_at_once(settings: Settings) -> None:
    """When the container does not run, the error is the one that its logs explain."""
    with pytest.raises(SlipwayError, match="the disk is full"):
        starting.wait(settings, "mlflow", lambda: False, lambda: SlipwayError("the disk is full"))


def test_a_slow_start_is_a_time_out(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """While the container runs, it is said that it is still starting.

    After the setting's seconds that is called a time-out.
    """
    monkeypatch.setattr(starting, "_read", lambda *_: ("running", 0))
    monkeypatch.setattr(starting, "SAY", 0.0)
    with pytest.raises(SlipwayError, match="still starting after 1 s: a time-out") as raised:
        starting.wait(settings, "mlflow", lambda: False, lambda: pytest.fail("asked why"))

    assert "SERVICES_TIMEOUT=2" in raised.value.cure
    assert "mlflow is still starting" in capsys.readouterr().out
