"""What a runtime does for the commands: scripts, images, servers. `docker` and `host` do it, `runtimes.of` chooses."""

from __future__ import annotations

import json
import shutil
import signal
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import IO, TYPE_CHECKING, Protocol

from slipway import shell
from slipway.polling import poll
from slipway.settings import sqlite_uri

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Mapping
    from pathlib import Path

    from slipway.model_folder import ModelFolder
    from slipway.registry.client import Registry
    from slipway.registry.model_uri import ModelRef
    from slipway.runtimes.locks import Lock
    from slipway.settings import Settings

Command = tuple[list[str], dict[str, str]]  # a program with its arguments, and what to add to its environment
CURRENT = "current"  # in a live server's folder: a link that names the version that answers
KEEPER = "keeper"  # the name, among those of versions, of what holds the port
LOOK_S = 0.05  # between two looks at a program that is to end
STORE = "mlflow.db"  # the database in a script's own store
LONGEST_PAUSE_S = 60.0  # between two starts of a program that keeps ending


@dataclass(frozen=True)
class Prepared:
    """A model that is ready to be served: what it is, and its files on this machine."""

    model: ModelRef
    files: Path
    identity: str  # JSON: what the server says of itself, and the checksum that it compares
    lock: Lock  # that it is served with
    registry: Registry | None = None  # that it was found in

    @property
    def lasting(self) -> str:
        """The identity without the run's metrics, which a validation adds to, and the ranges of its reference.

        What an image holds, so that its tag stays the same.
        """
        return json.dumps(
            {name: value for name, value in json.loads(self.identity).items() if name not in {"metrics", "ranges"}}
        )


@dataclass(frozen=True)
class Script:
    """A script of a model folder, and what it is run with."""

    command: list[str]  # its name and its arguments
    lock: Lock
    variables: Mapping[str, str] = field(default_factory=dict)
    kept: Path | None = None  # the only folder that it may write to
    mounts: Mapping[Path, str] = field(default_factory=dict)  # where a container finds files of ours, to read only
    store: Path | None = None  # a folder, whose mlflow.db it logs to, and nowhere else; it may write to that, too
    note: Path | None = None  # where its process is noted, for `clear_script` after a crash; names its container


def name_store(place: str) -> dict[str, str]:
    """Return the variables that have MLflow log to a store in a folder: runs, files and registered models alike."""
    uri = sqlite_uri(PurePosixPath(place, STORE))
    root = PurePosixPath(place, "artifacts").as_uri()  # else an experiment's files would lie in the script's folder
    return {"MLFLOW_TRACKING_URI": uri, "MLFLOW_REGISTRY_URI": uri, "_MLFLOW_SERVER_ARTIFACT_ROOT": root}


class Runtime(Protocol):
    """A way to run a model folder's scripts and to serve models."""

    @property
    def has_images(self) -> bool:
        """Whether a version has an image, which a cluster can run."""

    @property
    def shares_files(self) -> bool:
        """Whether a script sees this machine's files at their own paths, not only what is mounted for it."""

    def run_script(self, model: ModelFolder, script: Script) -> tuple[int, str]:
        """Run a script of the model folder; return its exit code, and the last lines that it printed."""

    def start_script(self, model: ModelFolder, script: Script, log: Path) -> subprocess.Popen[bytes]:
        """Start a script of the model folder, which has a `note`, in the background, with its output in `log`."""

    def clear_script(self, note: Path) -> None:
        """End the script that was started with a note, even in another process."""

    def name_training(self, model: ModelFolder, lock: Lock) -> str:
        """Return the tag of the image that scripts run in with a lock, or a phrase if there is none."""

    def image(self, prepared: Prepared) -> str:
        """Return the image that serves a model, built if missing, or a phrase if there is none."""

    def address(self, name: str, port: int) -> str:
        """Return the URL at which this process reaches the named server, which listens on a port."""

    def serve_command(self, prepared: Prepared, name: str = "") -> Command:
        """Return the command that serves a model in the foreground; build its image.

        A `name` is that of a trial, which only this process has to reach; others are reached on 127.0.0.1:PORT.
        """

    def clear_port(self) -> None:
        """Remove a server on PORT that a crash left behind, if it does not end by itself."""

    def start_trial(self, prepared: Prepared, name: str, log: Path) -> subprocess.Popen[bytes]:
        """Serve a model in the background under a name, with its output in `log`."""

    def clear_trial(self, name: str, log: Path) -> None:
        """End the server that `start_trial` started, even in another process."""

    def predict(self, prepared: Prepared, rows: str, seconds: int) -> shell.Answer:
        """Predict rows (JSON, dataframe_split) without a server, in a separate program, within `seconds`.

        It prints a line `predictions: […]`.
        """

    def predict_file(self, prepared: Prepared, file: Path, options: list[str], output: IO[bytes]) -> tuple[int, str]:
        """Predict a file's rows in a separate program, which writes to `output`; return its exit code and last words.

        `options` are those of scoring.processes.files.
        """

    def score_batch(
        self, prepared: Prepared, places: tuple[str, str], options: list[str], output: IO[bytes]
    ) -> tuple[int, str]:
        """Score files in a separate program, whose result goes to `output`; return its exit code and last words.

        `places` are DATA and OUT, paths or s3://…; `options` are those of scoring.processes.batch.
        """

    def live_server(self, folder: Path) -> LiveServer:
        """Return the server on PORT whose versions change while it answers; it keeps its records in a folder."""


class LiveServer(ABC):
    """A keeper, which holds PORT and answers nobody, and versions, each a program of its own that the keeper knows.

    The keeper hands the port to the version that `CURRENT` names. Detached, all of it outlives this process, which
    finds it again. How each program was started is in `programs/<name>/start.json` of the folder.
    """

    def __init__(self, settings: Settings, folder: Path) -> None:
        self._settings, self._folder = settings, folder
        self._attached: dict[str, subprocess.Popen[bytes]] = {}  # in the foreground
        self._failed: dict[str, tuple[int, float]] = {}  # starts in a row without success, and when the next may be
        self.is_detached = True

    @property
    @abstractmethod
    def url(self) -> str:
        """Its URL for this process."""

    @abstractmethod
    def check(self) -> None:
        """Raise SlipwayError if the server belongs to another checkout."""

    @abstractmethod
    def find_url(self, name: str) -> str:
        """Return the URL at which this process reaches a version alone."""

    def reach(self, name: str) -> None:  # noqa: B027 -- most are
        """See to it that this process reaches a program that another one started."""

    def keep(self, prepared: Prepared) -> None:
        """Start the keeper, which any version's program contains."""
        self._start(KEEPER, self._make_keeper(prepared))

    def start(self, name: str, prepared: Prepared) -> None:
        """Start a version beside the others. Raises SlipwayError when it does not start."""
        self._start(name, self._make_version(name, prepared))

    @abstractmethod
    def keep_alive(self, name: str) -> None:
        """Have a version, which has shown that it works, started again when it ends, from now on."""

    @abstractmethod
    def _make_keeper(self, prepared: Prepared) -> Command: ...

    @abstractmethod
    def _make_version(self, name: str, prepared: Prepared) -> Command: ...

    def place(self, name: str) -> Path:
        """Return the folder of a program."""
        return self._folder / "programs" / name

    def is_recorded(self, name: str) -> bool:
        """Whether a program's folder says how it was started."""
        return (self.place(name) / "start.json").exists()

    def _start(self, name: str, command: Command) -> None:
        self.place(name).mkdir(parents=True, exist_ok=True)
        (self.place(name) / "start.json").write_text(json.dumps(command), encoding="utf-8")
        self._run(name)

    def _run(self, name: str) -> None:
        command, variables = json.loads((self.place(name) / "start.json").read_text(encoding="utf-8"))
        if self.is_detached:
            self._detach(name, command, variables)
        else:
            self._attached[name] = shell.start(command, env=variables)

    @abstractmethod
    def _detach(self, name: str, command: list[str], variables: dict[str, str]) -> None:
        """Start a program in the background. Raises SlipwayError when it does not start."""

    def is_running(self, name: str) -> bool:
        """Whether a program runs."""
        if name in self._attached:
            return self._attached[name].poll() is None
        return self._runs_detached(name)

    def was_killed(self, name: str) -> bool:
        """Whether a program in the foreground has ended by SIGKILL: someone's, or for lack of memory."""
        return name in self._attached and self._attached[name].poll() in {-signal.SIGKILL, 128 + signal.SIGKILL}

    @abstractmethod
    def _runs_detached(self, name: str) -> bool: ...

    def mend(self, name: str) -> bool:
        """Start a program again if it has ended, ever more slowly if it keeps ending; return whether it was started."""
        failures, not_before = self._failed.get(name, (0, 0.0))
        if self.is_running(name):
            if time.monotonic() > not_before + LONGEST_PAUSE_S:
                self._failed.pop(name, None)
            return False
        if time.monotonic() < not_before or not self.is_recorded(name):
            return False
        self._failed[name] = failures + 1, time.monotonic() + min(LONGEST_PAUSE_S, 2.0**failures)
        self._remove(name)
        self._run(name)
        return True

    def keeps_ending(self, name: str) -> bool:
        """Whether a program has ended again shortly after `mend` started it."""
        return name in self._failed and not self.is_running(name)

    @abstractmethod
    def end(self, name: str) -> None:
        """Tell a program to end, once it has answered what is under way."""

    def stop(self, name: str, seconds: float = 0) -> None:
        """End a program, which has some seconds to end by itself, and forget it; do nothing when there is none."""
        if seconds and self.is_running(name):
            self.end(name)
            poll(lambda: not self.is_running(name), seconds, LOOK_S)
        self._remove(name)
        self._failed.pop(name, None)
        if process := self._attached.pop(name, None):
            shell.stop(process)
        shutil.rmtree(self.place(name), ignore_errors=True)

    @abstractmethod
    def _remove(self, name: str) -> None:
        """End a program at once; do nothing when there is none."""

    def list_names(self) -> list[str]:
        """Return the names of all programs on record, or running."""
        programs = self._folder / "programs"
        return sorted(path.name for path in programs.iterdir()) if programs.is_dir() else []

    @abstractmethod
    def read_log(self, name: str) -> str:
        """Return the last lines of a program's output, if that did not go to a terminal."""
