"""A server on PORT whose model is changed while it answers: the files change place, a signal has the server load them.

The folder `.slipway/live/<port>/` holds the versions and a link, `current`, to the one that answers; the link changes
at once. The server loads what stands there and drops the old model only when the new one has answered its own example,
so that no request fails.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import requests

from slipway import model_folder, ports, shell
from slipway.bootstrap import docker_cli, ownership
from slipway.errors import MODEL_DID_NOT_LOAD, USAGE, SlipwayError, TimedOutError, time_out
from slipway.polling import poll
from slipway.runtimes import containers, images
from slipway.serving import api_test, server
from slipway.settings import STATE

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

    from slipway.settings import Settings

INSIDE = "/opt/live"  # the folder, as the container sees it
REASON = re.compile(r" goes on serving: (.*)")  # in the server's log
OUTCOMES = re.compile(r"^scoring_(failed_)?reloads_total(?:\{[^}]*\})? (\S+)$", re.MULTILINE)


class Slot:
    """The place of one server: on the settings' port, in a container or a process."""

    def __init__(self, settings: Settings) -> None:
        if settings.scoring.keys() & {"SCORING_TLS_CERT", "SCORING_TLS_KEY"}:
            raise SlipwayError(
                "a server that follows an alias speaks http", "unset SCORING_TLS_CERT and put a proxy before it", USAGE
            )
        self._container = f"{settings.project}-live-{settings.port}"
        self.settings = replace(
            settings, url=f"http://{self._container}:8080" if settings.network else f"http://127.0.0.1:{settings.port}"
        )
        self._model = model_folder.load(settings.model_dir)
        self._folder = STATE / "live" / str(settings.port)
        self._link = self._folder / "current"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it answers, seen from this process."""
        return self.settings.api_url

    def find_version(self) -> int | None:
        """Return the version that answers, or None when none does."""
        try:
            answer = requests.get(f"{self.url}/readyz", timeout=self.settings.request_timeout)
            said = answer.json()
            return int(said["version"]) if answer.ok and said["model"] == self._model.name else None
        except (requests.RequestException, ValueError, KeyError, TypeError):
            return None

    def start(self, prepared: server.Prepared) -> subprocess.Popen[bytes]:
        """Serve a model in the foreground, as long as the process that is returned lives."""
        if self.settings.in_docker:
            ownership.check_container(self._container)
        if self.is_running():
            raise SlipwayError(
                f"port {self.settings.port} is the deployer's",
                "make stop_deployer, or another PORT with the same command",
            )
        self.stop()
        ownership.check_port(self.settings.port, "PORT")
        self._place(prepared)
        command, variables = self._command(["--rm"])
        self._process = shell.start(command, env=variables)
        return self._process

    def change(self, prepared: server.Prepared) -> None:
        """Have another model answer, without a failed request.

        Start the server, in the background, when it does not run.

        Raises SlipwayError when the new one does not load: the one before goes on serving.
        """
        before = self._link.readlink() if self._link.is_symlink() else None
        self._place(prepared)
        try:
            self._reload() if self._answers() else self._start_detached()
        except SlipwayError:
            if before is not None and before != self._link.readlink():
                self._point(before)
                self._tidy(before)
                if self.is_running():
                    self._signal()  # of several workers, some may have changed
            raise
        self._tidy(before)

    def _answers(self) -> bool:
        """Whether a server answers, which is then never ended.

        TimedOutError for one that is slow: it may well be answering others.
        """
        seconds = self.settings.request_timeout
        deadline = time.monotonic() + seconds
        while (
            self.is_running() and time.monotonic() < deadline
        ):  # one that starts, or ends again and again, has no open port
            try:
                return bool(requests.get(f"{self.url}/livez", timeout=seconds).status_code)
            except requests.ReadTimeout:
                raise time_out(
                    f"the server at {self.url} runs, and did not answer", seconds, "REQUEST_TIMEOUT"
                ) from None
            except requests.RequestException:
                time.sleep(0.2)
        return False

    def is_running(self) -> bool:
        """Whether the server runs."""
        if self._process is not None:
            return self._process.poll() is None
        if self.settings.in_docker:
            return shell.ask(docker_cli.say_running(self._container)).out == "true"
        return self._pid() is not None

    def stop(self) -> None:
        """End the server."""
        if self._process is not None:
            shell.stop(self._process)
        if self.settings.in_docker:
            ownership.remove_container(self._container)
        elif pid := self._pid():
            os.kill(pid, signal.SIGTERM)
            if not poll(lambda: self._pid() != pid, shell.GRACE_SECONDS, 0.05):
                os.kill(pid, signal.SIGKILL)
        self._pid_file.unlink(missing_ok=True)

    @property
    def _pid_file(self) -> Path:
        return self._folder / "pid"

    def _pid(self) -> int | None:
        """Return the process that serves here, when it lives and is one of ours."""
        if not self._pid_file.exists():
            return None
        pid = self._pid_file.read_text(encoding="utf-8")
        with contextlib.suppress(ChildProcessError, ValueError):
            os.waitpid(int(pid), os.WNOHANG)  # a child of ours that has ended would seem to live
        lives = pid.isdigit() and f"-m scoring {self._link}" in shell.read_command(pid)
        return int(pid) if lives else None

    def _command(self, how: list[str]) -> tuple[list[str], dict[str, str]]:
        if not self.settings.in_docker:
            variables = self.settings.scoring | {"SCORING_IDENTITY": str(self._link / "identity.json")}
            return [
                sys.executable,
                "-m",
                "scoring",
                str(self._link / "model"),
                "--port",
                str(self.settings.port),
            ], variables
        runtime = images.build_runtime(self.settings, self._model)
        inside = f"{INSIDE}/current"
        options = [
            *containers.serving_options(self.settings, self._container),
            "--volume",
            f"{self._folder}:{INSIDE}:ro",
        ]
        options += ["--env", f"SCORING_IDENTITY={inside}/identity.json"]
        program = ["python", "-m", "scoring", f"{inside}/model", "--host", "0.0.0.0", "--port", "8080"]  # noqa: S104 -- in the container
        return docker_cli.run(runtime, [*how, *options], program), {}

    def _start_detached(self) -> None:
        self.stop()  # what is left of one that ended
        command, variables = self._command(["--detach", "--restart", "unless-stopped"])
        log = self._folder / "server.log"
        if self.settings.in_docker:
            shell.echo(command)
            answer = shell.ask(command)
            if answer.code != 0:
                self.stop()  # a container that was made and not started
                raise SlipwayError(f"the server does not start: {answer.last}")
        else:
            ports.check(self.settings.port, "PORT")
            process = shell.start(command, env=variables, log=log)
            self._pid_file.write_text(str(process.pid), encoding="utf-8")
        try:
            api_test.wait_until_ready(self.settings, self.url, self.is_running)
        except TimedOutError:
            self.stop()
            raise
        except SlipwayError:
            words = (
                shell.ask(docker_cli.read_log(self._container, 50)).words
                if self.settings.in_docker
                else log.read_text(encoding="utf-8")
            )
            self.stop()
            last = (words.strip().splitlines() or ["no word of why"])[-1]
            raise SlipwayError(f"it did not load: {last}", code=MODEL_DID_NOT_LOAD) from None

    def _reload(self) -> None:
        before = self._count()
        self._signal()
        workers = int(self.settings.scoring["SCORING_WORKERS"])

        def has_changed() -> bool:
            if not self.is_running():
                raise SlipwayError("the server ended while switching models", code=MODEL_DID_NOT_LOAD)
            done, failed = (now - then for now, then in zip(self._count(), before, strict=True))
            if failed > 0:
                raise SlipwayError(f"it did not load: {self._reload_error()}", code=MODEL_DID_NOT_LOAD)
            return done >= workers

        if not poll(has_changed, self.settings.start_timeout, 0.1):
            raise time_out("the server did not switch to the new model", self.settings.start_timeout, "START_TIMEOUT")

    def _signal(self) -> None:
        if self.settings.in_docker:
            shell.ask(docker_cli.send_signal(self._container, "HUP"))
        elif pid := self._process.pid if self._process else self._pid():
            os.kill(pid, signal.SIGHUP)

    def _count(self) -> tuple[float, float]:
        """Return how many changes of model the workers have made, and how many failed."""
        key = server.read_key(self.settings)
        try:
            headers = {"Authorization": f"Bearer {key}"} if key else {}
            answer = requests.get(f"{self.url}/metrics", headers=headers, timeout=self.settings.request_timeout)
        except requests.RequestException as error:
            raise SlipwayError(f"the server does not answer: {type(error).__name__}") from None
        counts = {bool(failed): float(value) for failed, value in OUTCOMES.findall(answer.text)}
        return counts.get(False, 0.0), counts.get(True, 0.0)

    def _reload_error(self) -> str:
        """Return what the server's log says last of a model that did not take over."""
        log = self._folder / "server.log"
        if self.settings.in_docker:
            words = shell.ask(docker_cli.read_log(self._container, 50)).words
        else:
            words = log.read_text(encoding="utf-8", errors="replace") if log.exists() and not self._process else ""
        reasons = REASON.findall(words)
        return str(reasons[-1]) if reasons else "see the server's output"

    def _place(self, prepared: server.Prepared) -> None:
        """Bring a version's files to the folder, and point the link to them."""
        place = self._folder / "versions" / model_folder.digest([], prepared.identity)[:12]
        if not place.exists():
            unfinished = place.with_suffix(".unfinished")
            shutil.rmtree(unfinished, ignore_errors=True)
            shutil.copytree(prepared.files, unfinished / "model")
            (unfinished / "identity.json").write_text(prepared.identity, encoding="utf-8")
            for path in (
                self._folder,
                unfinished.parent,
                unfinished,
                *unfinished.rglob("*"),
            ):  # the container's user reads it
                path.chmod(0o755 if path.is_dir() else 0o644)
            unfinished.rename(place)
        self._point(place.relative_to(self._folder))

    def _point(self, to: Path) -> None:
        new = self._folder / "new"
        new.unlink(missing_ok=True)
        new.symlink_to(to)
        new.replace(self._link)

    def _tidy(self, before: Path | None) -> None:
        """Keep the version that answers and the one before it."""
        kept = {self._link.readlink(), before}
        for place in (self._folder / "versions").iterdir():
            if place.relative_to(self._folder) not in kept:
                shutil.rmtree(place, ignore_errors=True)
