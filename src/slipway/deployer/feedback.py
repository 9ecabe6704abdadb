"""What came true, sent one by one: POST /feedback. It is in a journal on the disk before the answer says so.

A thread moves the journal to the truths beside the prediction log; what could not be moved yet waits in it.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Body, Depends, Request
from fastapi.security import HTTPBearer

from slipway.deployer import auth
from slipway.deployer.api_errors import Refusal
from slipway.errors import SlipwayError
from slipway.monitoring import truth
from slipway.services.deployer_client import find_home

if TYPE_CHECKING:
    from pathlib import Path

    from slipway.settings import Settings

MOVE_S = 5.0  # between two moves
MOST = 1000  # truths of one request
LARGEST = 256 * 1024 * 1024  # bytes of a journal that cannot be moved; more is refused
router = APIRouter()


class Journal:
    """The truths that were taken, and are not yet with the others."""

    def __init__(self, settings: Settings, model: str) -> None:
        home = find_home(settings.services)
        self.guard = auth.Guard(home / "feedback_token")
        self._settings, self._model = settings, model
        self._folder = home / "feedback"
        self._folder.mkdir(parents=True, exist_ok=True)
        self._file = self._folder / "journal.jsonl"
        self._lock = threading.Lock()
        self._warned = ""

    def begin(self) -> None:
        """Start the thread that moves them."""
        threading.Thread(target=self._run, daemon=True, name="feedback").start()

    def add(self, truths: list[truth.Truth]) -> None:
        """Write truths to the disk; raise Refusal (503) where that fails, or too many wait."""
        lines = "".join(json.dumps([each.id, each.row, each.truth]) + "\n" for each in truths).encode()
        try:
            with self._lock, self._file.open("ab") as file:
                size = file.tell()
                if size > LARGEST:
                    raise Refusal(503, "too many truths wait to be kept; see the deployer's log")
                try:
                    file.write(lines)
                    file.flush()
                    os.fsync(file.fileno())
                except OSError:
                    file.truncate(size)  # half a line would spoil the next
                    raise
        except OSError as error:
            raise Refusal(503, f"the truth could not be kept: {error.strerror}") from None

    def move(self) -> None:
        """Move what is in the journal to the truths; raise SlipwayError or OSError where that fails."""
        with self._lock:
            if self._file.exists() and self._file.stat().st_size:
                self._file.replace(self._folder / f"{time.time_ns():020}.moving")
        for file in sorted(self._folder.glob("*.moving")):
            truths = _read(file)
            store = truth.Store(self._settings.serving.log_dir, self._model)
            for at in range(0, len(truths), truth.BLOCK):
                store.write(truths[at : at + truth.BLOCK])
            file.unlink()

    def _run(self) -> None:
        pause = threading.Event()
        while not pause.wait(MOVE_S):
            try:
                self.move()
                self._warned = ""
            except (SlipwayError, OSError, ImportError, ValueError) as error:
                words = f"warning: feedback waits in {self._folder}: {getattr(error, 'message', error)}"
                if words != self._warned:
                    print(words, file=sys.stderr, flush=True)
                self._warned = words


def _read(file: Path) -> list[truth.Truth]:
    """Return the truths of a journal; half a line, of a kill while it was written, was never confirmed."""
    found = []
    for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            found.append(truth.Truth(*json.loads(line)))
        except (ValueError, TypeError):
            continue
    return found


def _journal(request: Request) -> Journal:
    journal: Journal = request.app.state.feedback
    return journal


def _authorize(request: Request, journal: Annotated[Journal, Depends(_journal)]) -> None:
    journal.guard.check(request.client.host if request.client else "", request.headers.get("authorization"))


@router.post("/feedback", status_code=202, dependencies=[Depends(_authorize), Depends(HTTPBearer(auto_error=False))])
def give_feedback(
    given: Annotated[
        dict[str, Any] | list[dict[str, Any]], Body(examples=[{"id": "5f1c-2a", "row": 0, "truth": 151.0}])
    ],
    journal: Annotated[Journal, Depends(_journal)],
) -> dict[str, int]:
    """Take what came true of a prediction, by its X-Request-Id: one object with id, row and truth, or a list of them.

    Its token is its own: feedback_token, beside the deployer's.
    """
    listed = given if isinstance(given, list) else [given]
    if not listed or len(listed) > MOST:
        raise Refusal(422, f"the body must be 1 to {MOST} truths")
    truths = []
    for at, each in enumerate(listed):
        try:
            truths.append(truth.parse(each))
        except ValueError as error:
            raise Refusal(422, f"{at}: {error}") from None
    journal.add(truths)
    return {"accepted": len(truths)}
