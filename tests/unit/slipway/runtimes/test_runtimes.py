"""What runs where: the settings name a runtime, and each answers the same questions in its own way."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from slipway import model_folder, runtimes, settings
from slipway.registry.model_uri import ModelRef
from slipway.runtimes import environments, locks
from slipway.runtimes.base import CURRENT, Prepared
from slipway.settings import ROOT
from tests.conftest import changed


@pytest.mark.parametrize(
    ("runtime", "in_cluster", "name"),
    [("docker", False, "Docker"), ("host", False, "Host"), ("host", True, "Pod")],
    ids=["docker", "host", "pod"],
)
def test_the_settings_choose(runtime: str, name: str, *, in_cluster: bool) -> None:
    """RUNTIME chooses; a deployer in a cluster runs processes, and has images all the same."""
    chosen = runtimes.of(changed(settings.load(), runtime=runtime, cluster={"is_inside": in_cluster}))

    assert type(chosen).__name__ == name
    assert chosen.has_images == (name != "Host")
    assert chosen.shares_files == (name != "Docker")


@pytest.mark.parametrize(
    ("runtime", "network", "url"),
    [
        ("host", "", "http://127.0.0.1:9001"),
        ("docker", "", "http://127.0.0.1:9001"),
        ("docker", "slipway", "http://trial:8080"),
    ],
    ids=["process", "container", "container beside ours"],
)
def test_a_server_is_reached_where_it_runs(runtime: str, network: str, url: str) -> None:
    """On this machine by its port; from a container of the same network by its name."""
    assert runtimes.of(replace(settings.load(), runtime=runtime, network=network)).address("trial", 9001) == url


def test_a_process_serves_the_files_where_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """RUNTIME=host runs the server of this checkout by the version's lock, and tells it who its model is."""
    lock = locks.Lock(tmp_path)
    monkeypatch.setattr(environments, "find_python", lambda _, given: Path(sys.executable) if given == lock else None)
    ours = changed(settings.load(), runtime="host", serving={"port": 9001, "scoring": {"SCORING_WORKERS": "2"}})
    prepared = Prepared(ModelRef("models:/m/1", "", "m", "1"), tmp_path, '{"name": "m"}', lock=lock)

    command, variables = runtimes.of(ours).serve_command(prepared)
    assert command == [sys.executable, "-m", "scoring", str(tmp_path), "--port", "9001"]
    assert variables == {"SCORING_WORKERS": "2", "SCORING_IDENTITY": '{"name": "m"}'}


def test_a_script_runs_in_its_folder(tmp_path: Path) -> None:
    """A script of RUNTIME=host finds its own files, is told the tracking server and the folder to keep things in."""
    (tmp_path / "train.py").write_text("import os; print(os.environ['MLFLOW_TRACKING_URI'], os.environ['KEPT_DIR'])")
    ours = changed(settings.load(), runtime="host", tracking={"external_uri": "http://tracking.example"})
    model = replace(model_folder.load(ROOT / "model"), path=tmp_path)
    heard: list[str] = []
    code = runtimes.of(ours).run_script(model, ["train.py"], {}, kept=tmp_path / "kept", heard=heard)

    assert code == 0
    assert heard == [f"http://tracking.example {tmp_path}/kept"]


def test_a_live_process_is_found_again(tmp_path: Path) -> None:
    """A detached server is known by the number that it left in its folder, as long as it serves that folder."""
    ours = replace(settings.load(), runtime="host")
    model = model_folder.load(ROOT / "model")
    place = str(tmp_path / CURRENT / "model")
    sleeps = [sys.executable, "-c", "print(flush=True); input()", "-m", "scoring", place]
    with subprocess.Popen(sleeps, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.readline()
        (tmp_path / "pid").write_text(str(process.pid))
        (tmp_path / "server.log").write_text("it keeps serving: no file\n")
        server = runtimes.of(ours).live_server(model, tmp_path)
        there = server.is_running()
        log = server.read_log()
        server.stop()

    assert there
    assert log == "it keeps serving: no file\n"
    assert not server.is_running()
    assert not (tmp_path / "pid").exists()
