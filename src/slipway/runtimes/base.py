"""What a runtime does for the commands: scripts, images, servers. `docker` and `host` do it, `runtimes.of` chooses."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Protocol

from slipway import shell
from slipway.runtimes.locks import NONE, Lock

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Mapping
    from pathlib import Path

    from slipway.model_folder import ModelFolder
    from slipway.registry.client import Registry
    from slipway.registry.model_uri import ModelRef
    from slipway.settings import Settings

Command = tuple[list[str], dict[str, str]]  # a program with its arguments, and what to add to its environment
CURRENT = "current"  # in a live server's folder: a link to `model/` and `identity.json` of the version that answers


@dataclass(frozen=True)
class Prepared:
    """A model that is ready to be served: what it is, and its files on this machine."""

    model: ModelRef
    files: Path
    identity: str  # JSON: what the server says of itself, and the checksum that it compares
    registry: Registry | None = None  # that it was found in
    lock: Lock = NONE  # that it is served with

    @property
    def lasting(self) -> str:
        """The identity without the run's metrics, which a validation adds to.

        What an image holds, so that its tag stays the same.
        """
        return json.dumps({name: value for name, value in json.loads(self.identity).items() if name != "metrics"})


class Runtime(Protocol):
    """A way to run a model folder's scripts and to serve models."""

    @property
    def has_images(self) -> bool:
        """Whether a version has an image, which a cluster can run."""

    @property
    def shares_files(self) -> bool:
        """Whether a script sees this machine's files at their own paths, not only what is mounted for it."""

    def run_script(  # noqa: PLR0913 -- what a script is given
        self,
        model: ModelFolder,
        command: list[str],
        variables: Mapping[str, str],
        *,
        kept: Path | None = None,
        mounts: Mapping[Path, str] | None = None,
        heard: list[str] | None = None,
        lock: Lock | None = None,
    ) -> int:
        """Run a script of the model folder, its name and its arguments, and return its exit code.

        Its libraries are those of the folder's lock, or of `lock`.
        It may write only to `kept`. `mounts` maps our files into a container, read-only. `heard` receives
        the last lines that it prints.
        """

    def name_training(self, model: ModelFolder) -> str:
        """Return the tag of the image that scripts run in, or a phrase if there is none."""

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

    def live_server(self, model: ModelFolder, folder: Path) -> LiveServer:
        """Return the server on PORT that serves what `CURRENT` in a folder points to."""


class LiveServer(ABC):
    """A server that loads another model on a signal. Detached, it outlives this process, which finds it again."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self._settings, self._folder = settings, folder
        self._process: subprocess.Popen[bytes] | None = None  # in the foreground

    @property
    @abstractmethod
    def url(self) -> str:
        """Its URL for this process."""

    @abstractmethod
    def check(self) -> None:
        """Raise SlipwayError if the server belongs to another checkout."""

    @abstractmethod
    def _foreground(self) -> Command: ...

    def start(self) -> subprocess.Popen[bytes]:
        """Start it in the foreground: it lives as long as the process that is returned."""
        command, variables = self._foreground()
        self._process = shell.start(command, env=variables)
        return self._process

    @abstractmethod
    def start_detached(self) -> None:
        """Start it in the background. Raises SlipwayError when it does not start."""

    def is_running(self) -> bool:
        """Whether the server runs."""
        return self._process.poll() is None if self._process is not None else self._runs_detached()

    @abstractmethod
    def _runs_detached(self) -> bool: ...

    def stop(self) -> None:
        """End the server, and clean up after one that ended."""
        if self._process is not None:
            shell.stop(self._process)
        self._remove()

    @abstractmethod
    def _remove(self) -> None: ...

    @abstractmethod
    def reload(self) -> None:
        """Make it load what `CURRENT` points to now."""

    @abstractmethod
    def read_log(self) -> str:
        """Return the last lines of its output, if that did not go to a terminal."""
