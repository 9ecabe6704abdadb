"""Processes of a lock's environment: scripts, and servers on 127.0.0.1. No Docker is needed."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import sys
from dataclasses import replace
from functools import partial
from typing import IO, TYPE_CHECKING, cast

from slipway import ports, shell
from slipway.registry import model_files
from slipway.registry.client import Registry
from slipway.runtimes import environments, prediction_log
from slipway.runtimes.base import Command, LiveServer, Prepared, Script, name_store

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

    from slipway.model_folder import ModelFolder
    from slipway.runtimes.locks import Lock
    from slipway.settings import Settings

KEEPING = [sys.executable, "-m", "scoring.processes.keeper"]


class Host:
    """The runtime `host`."""

    has_images, shares_files = False, True

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def run_script(self, model: ModelFolder, script: Script) -> tuple[int, str]:
        """Run a script in the model folder, where it sees all files."""
        command, given = self._script_command(script)
        note = partial(_note_process, script.note) if script.note else None
        return shell.show(command, env=given, cwd=model.path, begun=note)

    def start_script(self, model: ModelFolder, script: Script, log: Path) -> subprocess.Popen[bytes]:
        """Start a script in the model folder."""
        command, given = self._script_command(script)
        process = shell.start(command, env=given, cwd=model.path, log=log)
        if script.note:
            _note_process(script.note, process)
        return process

    def clear_script(self, note: Path) -> None:
        """Kill the process of the note, and what it started."""
        _kill_noted(note)

    def _script_command(self, script: Script) -> Command:
        python = environments.find_python(self._settings, script.lock, training=True)
        given = {**script.variables, "MLFLOW_TRACKING_URI": self._settings.tracking_uri}
        given |= name_store(str(script.store)) if script.store else {}
        given |= {"KEPT_DIR": str(script.kept)} if script.kept else {}
        return [str(python), *script.command], given

    def name_training(self, model: ModelFolder, lock: Lock) -> str:  # noqa: ARG002 -- see Runtime
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
        logging = prediction_log.of_model(self._settings, prepared.model.name)
        return command, logging.serving.scoring | {"SCORING_IDENTITY": prepared.identity}

    def clear_port(self) -> None:
        """Do nothing: a taken port is an error of its own, and the user knows by whom."""

    def start_trial(self, prepared: Prepared, name: str, log: Path) -> subprocess.Popen[bytes]:
        """Start the server, and note its process beside the log, for `clear_trial` after a crash."""
        command, environment = self.serve_command(prepared, name)
        process = shell.start(command, env=environment, log=log)
        _note_process(log.with_suffix(".pid"), process)
        return process

    def clear_trial(self, name: str, log: Path) -> None:  # noqa: ARG002 -- see Runtime
        """Kill the recorded process."""
        _kill_noted(log.with_suffix(".pid"))

    def predict(self, prepared: Prepared, rows: str, seconds: int) -> shell.Answer:
        """Predict in a separate process."""
        python = environments.find_python(self._settings, prepared.lock)
        command = [str(python), "-W", "ignore", "-m", "scoring.reference", str(prepared.files)]
        return shell.ask(command, words=rows, seconds=seconds)

    def predict_file(self, prepared: Prepared, file: Path, options: list[str], output: IO[bytes]) -> tuple[int, str]:
        """Predict in a separate process."""
        return self._run(prepared, "files", ["--file", str(file), *options], output)

    def score_batch(
        self, prepared: Prepared, places: tuple[str, str], options: list[str], output: IO[bytes]
    ) -> tuple[int, str]:
        """Score in separate processes."""
        return self._run(prepared, "batch", ["--data", places[0], "--out", places[1], *options], output)

    def _run(self, prepared: Prepared, program: str, options: list[str], output: IO[bytes]) -> tuple[int, str]:
        """Run a program of scoring.processes with the version's libraries."""
        python = environments.find_python(self._settings, prepared.lock)
        command = [str(python), "-W", "ignore", "-m", f"scoring.processes.{program}", str(prepared.files), *options]
        variables = self._settings.serving.scoring | {"SCORING_IDENTITY": prepared.identity}
        return shell.show(command, env=variables, output=output)

    def live_server(self, folder: Path) -> LiveServer:
        """Return a server that is made of processes."""
        return Processes(self._settings, folder)


def _note_process(note: Path, process: subprocess.Popen[bytes]) -> None:
    """Write a process's pid, and of its command what the process list shows of no other: its files, values, port."""
    words = " ".join(cast("list[str]", process.args)[1:])
    note.write_text(f"{process.pid} {words}", encoding="utf-8")


def _kill_noted(note: Path) -> None:
    """Kill the process of a note, with its group if it leads one, unless its pid belongs to another by now."""
    if not note.exists():
        return
    pid, _, words = note.read_text(encoding="utf-8").partition(" ")
    if pid.isdigit() and words and words in shell.read_command(pid):
        with contextlib.suppress(ProcessLookupError):
            (os.killpg if os.getpgid(int(pid)) == int(pid) else os.kill)(int(pid), signal.SIGKILL)
    note.unlink(missing_ok=True)


class Pod(Host):
    """The runtime of a deployer in a cluster: it runs processes in its pod, and finds the images that were pushed."""

    has_images = True

    def image(self, prepared: Prepared) -> str:
        """Return the image on record in the registry. Raises SlipwayError if none was pushed."""
        return model_files.find_image(prepared.registry or Registry.connect(self._settings), prepared.model)


class Processes(LiveServer):
    """A live server that is made of processes; the pid of each is in its folder, and its output if it is detached."""

    @property
    def url(self) -> str:
        """The address on this machine."""
        return f"http://{ports.LOCAL}:{self._settings.serving.port}"

    def check(self) -> None:
        """Accept it: the folder, and so the processes, are this checkout's."""

    def find_url(self, name: str) -> str:
        """Return the address of a version's own port."""
        return f"http://{ports.LOCAL}:{(self.place(name) / 'port').read_text(encoding='ascii')}"

    def keep_alive(self, name: str) -> None:
        """Do nothing: `mend` starts a process again."""

    def _make_keeper(self, prepared: Prepared) -> Command:  # noqa: ARG002 -- see LiveServer
        command = [*KEEPING, str(self._folder), "--door", str(self._door), "--port", str(self._settings.serving.port)]
        return [*command, "--sockets", self._settings.serving.scoring["SCORING_WORKERS"]], {}

    def _make_version(self, name: str, prepared: Prepared) -> Command:
        """Serve a copy of the version's files, which a later download does not touch."""
        files, port = self.place(name) / "model", ports.find_free()
        shutil.copytree(prepared.files, files)
        (self.place(name) / "port").write_text(str(port), encoding="ascii")
        alone = replace(self._settings, serving=replace(self._settings.serving, port=port))
        command, variables = Host(alone).serve_command(replace(prepared, files=files))
        return command, variables | {"SCORING_KEEPER": str(self._door), "SCORING_KEEPER_NAME": name}

    @property
    def _door(self) -> Path:
        return self._folder / "door"

    def _run(self, name: str) -> None:
        super()._run(name)
        if process := self._attached.get(name):
            self._note(name, process)

    def _detach(self, name: str, command: list[str], variables: dict[str, str]) -> None:
        """Start the process in a session of its own."""
        self._note(name, shell.start(command, env=variables, log=self.place(name) / "log"))

    def _note(self, name: str, process: subprocess.Popen[bytes]) -> None:
        (self.place(name) / "pid").write_text(str(process.pid), encoding="ascii")

    def _runs_detached(self, name: str) -> bool:
        return self._find_pid(name) is not None

    def end(self, name: str) -> None:
        """Send SIGTERM."""
        self._signal(name, signal.SIGTERM)

    def _remove(self, name: str) -> None:
        self._signal(name, signal.SIGKILL)
        (self.place(name) / "pid").unlink(missing_ok=True)

    def _signal(self, name: str, number: int) -> None:
        if pid := self._find_pid(name):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def read_log(self, name: str) -> str:
        """Return its log file; in the foreground it writes to the terminal."""
        log = self.place(name) / "log"
        return log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""

    def _find_pid(self, name: str) -> int | None:
        """Return a program's process, if it is alive and ours: its command line, with the folder, is no other's."""
        try:
            pid = (self.place(name) / "pid").read_text(encoding="ascii")
            words = " ".join(json.loads((self.place(name) / "start.json").read_text(encoding="utf-8"))[0][1:])
        except (OSError, ValueError):
            return None
        with contextlib.suppress(ChildProcessError, ValueError):
            os.waitpid(int(pid), os.WNOHANG)  # a child of ours that has ended would seem to live
        return int(pid) if pid.isdigit() and words in shell.read_command(pid) else None
