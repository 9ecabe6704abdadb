"""`make demo`'s script as people run it: to its end, again, and with Ctrl-C at every moment. All on one store."""

import os
import re
import signal
import socket
import sqlite3
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from slipway import ports
from slipway.registry import mlmodel, model_files, model_uri
from slipway.registry.client import CHAMPION, Registry
from slipway.settings import ROOT, Settings
from tests.conftest import changed, find_command
from tests.polling import wait_until

MOMENT_WITHIN = 270  # s, on a busy machine
ENDS_WITHIN = 40  # s, likewise; five are promised on a quiet one


@dataclass
class Demo:
    """One run of the demo in a session of its own, as a terminal gives it, with its words in a file."""

    folder: Path
    port: int

    def __post_init__(self) -> None:
        """Start it."""
        variables = {
            "RUNTIME": "host",
            "MLFLOW_TRACKING_URI": f"sqlite:///{self.folder}/mlflow.db",
            "PORT": str(self.port),
        }
        dropped = {"MODEL_DIR", "TRAIN_ARGS", "URL"}
        environment = {name: value for name, value in os.environ.items() if name not in dropped} | variables
        self.log = self.folder.parent / "demo.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                find_command("demo"), cwd=ROOT, env=environment, stdout=log, stderr=log, start_new_session=True
            )

    @property
    def words(self) -> str:
        """What it has printed so far."""
        return self.log.read_text(errors="replace")

    def wait(self) -> int:
        """Wait for its end and return the exit code; whatever is still there then is killed."""
        try:
            return self.process.wait(MOMENT_WITHIN)
        finally:
            if self.process.poll() is None:
                os.killpg(self.process.pid, signal.SIGKILL)

    def wait_until(self, moment: Callable[[], bool]) -> None:
        """Wait until a moment has come; fail when the demo ends first."""
        wait_until(moment, MOMENT_WITHIN, lambda: f"the moment did not come:\n{self.words}", process=self.process)

    def find_left(self) -> list[str]:
        """Return the processes of its session, and those that serve on its port, or a version of its store."""
        lines = subprocess.run(
            ["ps", "-A", "-o", "pgid=,stat=,args="], check=True, capture_output=True, text=True
        ).stdout.splitlines()
        marks = [f"--port {self.port}", *_read(self.folder, "SELECT source FROM model_versions")]
        ours = [
            line for line in lines if int(line.split()[0]) == self.process.pid or any(mark in line for mark in marks)
        ]
        return [line for line in ours if not line.split()[1].startswith("Z")]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the store that all runs share; nothing is in it."""
    return tmp_path_factory.mktemp("demo") / "store"


@pytest.fixture
def settings(store: Path, host_settings: Settings) -> Settings:
    """Return settings that look into the store."""
    return changed(host_settings, tracking={"external_uri": f"sqlite:///{store}/mlflow.db"})


def _read(store: Path, query: str) -> list[str]:
    """Return the one column of a query of the store, less the scheme of addresses in it."""
    if not (store / "mlflow.db").exists():
        return []
    with sqlite3.connect(f"file:{store}/mlflow.db?mode=ro", uri=True) as database:
        return [str(value).removeprefix("models:/") for (value,) in database.execute(query)]


def _count_runs(store: Path, status: str) -> int:
    return _read(store, "SELECT status FROM runs").count(status)


MOMENTS: dict[str, Callable[[Demo, float], bool]] = {
    "after half a second": lambda _, seconds: seconds > 0.5,
    "as it makes the store": lambda demo, _: any(demo.folder.glob("*/mlflow.db")),
    "as it says train": lambda demo, _: "== train" in demo.words,
    "as the run began": lambda demo, _: _count_runs(demo.folder, "RUNNING") > 0,
    "as the version is there": lambda demo, _: "Created version" in demo.words,
    "as it says promote": lambda demo, _: "== promote" in demo.words,
    "as it says smoke test": lambda demo, _: "== smoke test" in demo.words,
    "as it says serve": lambda demo, _: "== serve" in demo.words,
    "as it says test": lambda demo, _: "== test" in demo.words,
}


def _check_store(settings: Settings, store: Path) -> None:
    """Assert that the store is whole.

    Each version of the model has its files, the champion is one of them, no run seems to run.
    """
    if not (store / "mlflow.db").exists():
        return
    registry = Registry.connect(settings)
    versions = registry.find_versions("diabetes")
    champion = registry.find_aliases().get("diabetes", {}).get(CHAMPION)

    assert champion is None or champion in versions
    for number in versions:
        mlmodel.read_metadata(model_files.fetch(registry, model_uri.resolve(registry, f"models:/diabetes/{number}")))
    assert _count_runs(store, "RUNNING") == 0
    assert [path.name for path in store.iterdir() if path.is_dir() and path.name != "artifacts"] == []


@pytest.mark.parametrize(
    ("moment", "name"),
    [*((moment, "SIGINT") for moment in MOMENTS), ("as it says test", "SIGTERM")],
    ids=[*MOMENTS, "SIGTERM as it says test"],
)
def test_an_interrupt_leaves_nothing(settings: Settings, store: Path, moment: str, name: str) -> None:
    """Ctrl-C (or SIGTERM) ends the demo within five seconds, with 130.

    No process, no open port, no traceback of ours, a whole store.
    """
    store.mkdir(exist_ok=True)
    demo, started = Demo(store, ports.find_free()), time.monotonic()
    demo.wait_until(lambda: MOMENTS[moment](demo, time.monotonic() - started))
    pressed = time.monotonic()
    if name == "SIGINT":
        os.killpg(demo.process.pid, signal.SIGINT)  # a terminal tells the whole group
    else:
        demo.process.terminate()
    code = demo.wait()
    took = time.monotonic() - pressed

    assert code == 130, demo.words
    assert demo.words.endswith("stopped\n")
    assert took < ENDS_WITHIN
    assert demo.find_left() == []
    assert ports.is_free(demo.port)
    assert not re.search(r'File "\S*(src/slipway|scripts)/', demo.words)
    _check_store(settings, store)


def test_the_demo_goes_all_the_way_and_once_more(settings: Settings, store: Path) -> None:
    """Whatever came before, the demo passes and shows its answers.

    The next run trains nothing, and takes a free port for one taken.
    """
    store.mkdir(exist_ok=True)
    first = Demo(store, ports.find_free())
    code = first.wait()
    versions = Registry.connect(settings).find_versions("diabetes")

    assert code == 0, first.words
    assert re.search(r"prediction\s+true value", first.words)
    assert re.search(r"207\.37\s+151\.0", first.words)
    assert "4 passed" in first.words
    assert re.search(r"next  RUNTIME=host .*make serve_model MODEL=models:/diabetes@champion", first.words)
    assert first.find_left() == []
    assert ports.is_free(first.port)
    _check_store(settings, store)

    with socket.create_server(("127.0.0.1", 0)) as taken:
        second = Demo(store, taken.getsockname()[1])
        code = second.wait()

    assert code == 0, second.words
    assert "== already trained from this code" in second.words
    served = re.search(r"== serve models:/diabetes@champion at http://127.0.0.1:(\d+)", second.words)
    assert served
    assert int(served[1]) != second.port
    assert ports.is_free(int(served[1]))
    assert Registry.connect(settings).find_versions("diabetes").keys() == versions.keys()
    assert Registry.connect(settings).find_aliases()["diabetes"][CHAMPION] in versions
