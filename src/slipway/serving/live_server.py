"""A server on PORT whose model is changed while it answers: the files change place, a signal has the server load them.

The folder `.slipway/live/<port>/` holds the versions and a link, `current`, to the one that answers; the link changes
at once. The server loads what stands there and drops the old model only when the new one has answered its own example,
so that no request fails.
"""

from __future__ import annotations

import re
import shutil
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import requests

from slipway import model_folder, runtimes
from slipway.bootstrap import ownership
from slipway.errors import MODEL_DID_NOT_LOAD, USAGE, SlipwayError, TimedOutError, time_out
from slipway.polling import poll
from slipway.runtimes.base import CURRENT, Prepared
from slipway.serving import api_test, server
from slipway.settings import STATE

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

    from slipway.settings import Settings

REASON = re.compile(
    r" (?:keeps serving|goes on answering): (.*)"
)  # in the server's log; the latter of an earlier version of ours
OUTCOMES = re.compile(r"^scoring_(failed_)?reloads_total(?:\{[^}]*\})? (\S+)$", re.MULTILINE)


class Slot:
    """The place of one server: on the settings' port, in the settings' runtime."""

    def __init__(self, settings: Settings) -> None:
        if settings.serving.scoring.keys() & {"SCORING_TLS_CERT", "SCORING_TLS_KEY"}:
            raise SlipwayError(
                "a server that follows an alias speaks http", "unset SCORING_TLS_CERT and put a proxy before it", USAGE
            )
        self._model = model_folder.load(settings.model_dir)
        self._folder = STATE / "live" / str(settings.serving.port)
        self._link = self._folder / CURRENT
        self._server = runtimes.of(settings).live_server(self._model, self._folder)
        self.settings = replace(settings, serving=replace(settings.serving, url=self._server.url))

    @property
    def url(self) -> str:
        """Its URL for this process."""
        return self.settings.serving.api_url

    def find_version(self) -> int | None:
        """Return the version that answers, or None when none does."""
        try:
            answer = requests.get(f"{self.url}/readyz", timeout=self.settings.serving.request_timeout)
            said = answer.json()
            return int(said["version"]) if answer.ok and said["model"] == self._model.name else None
        except (requests.RequestException, ValueError, KeyError, TypeError):
            return None

    def start(self, prepared: Prepared) -> subprocess.Popen[bytes]:
        """Serve a model in the foreground, as long as the process that is returned lives."""
        self._server.check()
        if self.is_running():
            raise SlipwayError(
                f"port {self.settings.serving.port} is the deployer's",
                "make stop_deployer, or another PORT with the same command",
            )
        self.stop()
        ownership.check_port(self.settings.serving.port, "PORT")
        self._place(prepared)
        return self._server.start()

    def change(self, prepared: Prepared) -> None:
        """Switch to another model, without a failed request.

        Start the server, in the background, when it does not run.

        Raises SlipwayError when the new one does not load: the one before keeps serving.
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
                    self._server.reload()  # of several workers, some may have changed
            raise
        self._tidy(before)

    def _answers(self) -> bool:
        """Whether a server answers, which is then never ended.

        TimedOutError for one that is slow: it may well be answering others.
        """
        seconds = self.settings.serving.request_timeout
        deadline = time.monotonic() + seconds
        while (
            self.is_running() and time.monotonic() < deadline
        ):  # one that starts, or ends again and again, has no open port
            try:
                return bool(requests.get(f"{self.url}/livez", timeout=seconds).status_code)
            except requests.ReadTimeout:
                raise time_out(
                    f"the server at {self.url} is running but did not answer", seconds, "REQUEST_TIMEOUT"
                ) from None
            except requests.RequestException:
                time.sleep(0.2)
        return False

    def is_running(self) -> bool:
        """Whether the server runs."""
        return self._server.is_running()

    def stop(self) -> None:
        """End the server."""
        self._server.stop()

    def _start_detached(self) -> None:
        self.stop()  # what is left of one that ended
        self._server.start_detached()
        try:
            api_test.wait_until_ready(self.settings.serving, self.url, self.is_running)
        except TimedOutError:
            self.stop()
            raise
        except SlipwayError:
            words = self._server.read_log()
            self.stop()
            last = (words.strip().splitlines() or ["no reason given"])[-1]
            raise SlipwayError(f"it did not load: {last}", code=MODEL_DID_NOT_LOAD) from None

    def _reload(self) -> None:
        before = self._count()
        self._server.reload()
        workers = int(self.settings.serving.scoring["SCORING_WORKERS"])

        def has_changed() -> bool:
            if not self.is_running():
                raise SlipwayError("the server ended while switching models", code=MODEL_DID_NOT_LOAD)
            done, failed = (now - then for now, then in zip(self._count(), before, strict=True))
            if failed > 0:
                raise SlipwayError(f"it did not load: {self._reload_error()}", code=MODEL_DID_NOT_LOAD)
            return done >= workers

        if not poll(has_changed, self.settings.serving.start_timeout, 0.1):
            raise time_out(
                "the server did not switch to the new model", self.settings.serving.start_timeout, "START_TIMEOUT"
            )

    def _count(self) -> tuple[float, float]:
        """Return how many changes of model the workers have made, and how many failed."""
        key = server.read_key(self.settings.serving)
        try:
            headers = {"Authorization": f"Bearer {key}"} if key else {}
            answer = requests.get(f"{self.url}/metrics", headers=headers, timeout=self.settings.serving.request_timeout)
        except requests.RequestException as error:
            raise SlipwayError(f"the server does not answer: {type(error).__name__}") from None
        counts = {bool(failed): float(value) for failed, value in OUTCOMES.findall(answer.text)}
        return counts.get(False, 0.0), counts.get(True, 0.0)

    def _reload_error(self) -> str:
        """Return what the server's log says last of a model that did not take over."""
        reasons = REASON.findall(self._server.read_log())
        return str(reasons[-1]) if reasons else "see the server's output"

    def _place(self, prepared: Prepared) -> None:
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
