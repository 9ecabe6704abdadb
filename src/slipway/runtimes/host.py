"""Processes of a lock's environment: scripts, and servers on 127.0.0.1. No Docker is needed."""

from __future__ import annotations

import contextlib
import os
import signal
from typing import IO, TYPE_CHECKING

from slipway import ports, shell
from slipway.polling import poll
from slipway.registry import model_files
from slipway.registry.client import Registry
from slipway.runtimes import environments, locks
from slipway.runtimes.base import CURRENT, Command, LiveServer, Prepared

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Mapping
    from pathlib import Path

    from slipway.model_folder import ModelFolder
    from slipway.runtimes.locks import Lock
    from slipway.settings import Settings


class Host:
    """The runtime `host`."""

    has_images, shares_files = False, True

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def run_script(  # noqa: PLR0913 -- see Runtime
        self,
        model: ModelFolder,
        command: list[str],
        variables: Mapping[str, str],
        *,
        kept: Path | None = None,
        mounts: Mapping[Path, str] | None = None,  # noqa: ARG002 -- it sees all files
        heard: list[str] | None = None,
        lock: Lock | None = None,
    ) -> int:
        """Run a script in the model folder."""
        lock = lock or locks.of_folder(self._settings, model)
        python = environments.find_python(self._settings, lock, training=True)
        given = {**variables, "MLFLOW_TRACKING_URI": self._settings.tracking_uri}
        given |= {"PATH": f"{python.parent}:{os.environ.get('PATH', os.defpath)}"}  # of the programs that it starts
        given |= {"KEPT_DIR": str(kept)} if kept else {}
        return shell.finish([str(python), *command], heard, given, model.path)

    def name_training(self, model: ModelFolder) -> str:  # noqa: ARG002 -- see Runtime
        """Return a phrase: there is no image."""
        return "none (host)"

    def image(self, prepared: Prepared) -> str:  # noqa: ARG002 -- see Runtime
        """Return a phrase: there is no image."""
        return "none, a process serves"

    def address(self, name: str, port: int) -> str:  # noqa: ARG002 -- see Runtime
        """Return the URL of a port of this machine."""
        return f"http://{ports.LOCAL}:{port}"

    def serve_command(self, prepared: Prepared, name: str = "") -> Command:  # noqa: ARG002 -- see Runtime
        """Serve a model's files where they are."""
        python = environments.find_python(self._settings, prepared.lock)
        command = [str(python), "-m", "scoring", str(prepared.files), "--port", str(self._settings.serving.port)]
        return command, self._settings.serving.scoring | {"SCORING_IDENTITY": prepared.identity}

    def clear_port(self) -> None:
        """Do nothing: a taken port is an error of its own, and the user knows by whom."""

    def start_trial(self, prepared: Prepared, name: str, log: Path) -> subprocess.Popen[bytes]:
        """Start the server, and note its process beside the log, for `clear_trial` after a crash."""
        command, environment = self.serve_command(prepared, name)
        process = shell.start(command, env=environment, log=log)
        words = " ".join(command[1:])  # its files and its port: the process list shows them of no other
        log.with_suffix(".pid").write_text(f"{process.pid} {words}", encoding="utf-8")
        return process

    def clear_trial(self, name: str, log: Path) -> None:  # noqa: ARG002 -- see Runtime
        """Kill the recorded process, unless its pid belongs to another by now."""
        note = log.with_suffix(".pid")
        if not note.exists():
            return
        pid, _, words = note.read_text(encoding="utf-8").partition(" ")
        if pid.isdigit() and words and words in shell.read_command(pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        note.unlink(missing_ok=True)

    def predict(self, prepared: Prepared, rows: str, seconds: int) -> shell.Answer:
        """Predict in a separate process."""
        python = environments.find_python(self._settings, prepared.lock)
        command = [str(python), "-W", "ignore", "-m", "scoring.reference", str(prepared.files)]
        return shell.ask(command, words=rows, seconds=seconds)

    def predict_file(self, prepared: Prepared, file: Path, options: list[str], output: IO[bytes]) -> tuple[int, str]:
        """Predict in a separate process."""
        python = environments.find_python(self._settings, prepared.lock)
        program = [str(python), "-W", "ignore", "-m", "scoring.processes.files", str(prepared.files)]
        variables = self._settings.serving.scoring | {"SCORING_IDENTITY": prepared.identity}
        return shell.show([*program, "--file", str(file), *options], env=variables, output=output)

    def live_server(self, model: ModelFolder, folder: Path) -> LiveServer:
        """Return a server that is a process."""
        return Process(self._settings, model, folder)


class Pod(Host):
    """The runtime of a deployer in a cluster: it runs processes in its pod, and finds the images that were pushed."""

    has_images = True

    def image(self, prepared: Prepared) -> str:
        """Return the image on record in the registry. Raises SlipwayError if none was pushed."""
        return model_files.find_image(prepared.registry or Registry.connect(self._settings), prepared.model)


class Process(LiveServer):
    """A live server that is a process; detached, its pid is in `pid` of its folder, its output in `server.log`."""

    def __init__(self, settings: Settings, model: ModelFolder, folder: Path) -> None:
        super().__init__(settings, folder)
        self._model = model
        self._link, self._log, self._pid_file = folder / CURRENT, folder / "server.log", folder / "pid"

    @property
    def url(self) -> str:
        """The address on this machine."""
        return f"http://{ports.LOCAL}:{self._settings.serving.port}"

    def check(self) -> None:
        """Accept it: the folder, and so the process, is this checkout's."""

    def _foreground(self) -> Command:
        variables = self._settings.serving.scoring | {"SCORING_IDENTITY": str(self._link / "identity.json")}
        python = environments.find_python(self._settings, locks.of_folder(self._settings, self._model))
        return [
            str(python),
            "-m",
            "scoring",
            str(self._link / "model"),
            "--port",
            str(self._settings.serving.port),
        ], variables

    def start_detached(self) -> None:
        """Start the process in a session of its own. Raises SlipwayError when the port is taken."""
        ports.check(self._settings.serving.port, "PORT")
        command, variables = self._foreground()
        process = shell.start(command, env=variables, log=self._log)
        self._pid_file.write_text(str(process.pid), encoding="utf-8")

    def _runs_detached(self) -> bool:
        return self._pid() is not None

    def _remove(self) -> None:
        if pid := self._pid():
            os.kill(pid, signal.SIGTERM)
            if not poll(lambda: self._pid() != pid, shell.GRACE_SECONDS, 0.05):
                os.kill(pid, signal.SIGKILL)
        self._pid_file.unlink(missing_ok=True)

    def reload(self) -> None:
        """Signal the process, or, with several workers, the one above them."""
        if pid := self._process.pid if self._process else self._pid():
            os.kill(pid, signal.SIGHUP)

    def read_log(self) -> str:
        """Return its log file; in the foreground it writes to the terminal."""
        if self._process is not None or not self._log.exists():
            return ""
        return self._log.read_text(encoding="utf-8", errors="replace")

    def _pid(self) -> int | None:
        """Return the process that serves here, if it is alive and ours."""
        if not self._pid_file.exists():
            return None
        pid = self._pid_file.read_text(encoding="utf-8")
        with contextlib.suppress(ChildProcessError, ValueError):
            os.waitpid(int(pid), os.WNOHANG)  # a child of ours that has ended would seem to live
        return int(pid) if pid.isdigit() and f"-m scoring {self._link}" in shell.read_command(pid) else None
