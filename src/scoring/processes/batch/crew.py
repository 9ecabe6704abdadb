"""The processes that score parts, each with one thread, and what they say."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Self

from scoring.errors import ModelError, bad

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from scoring.processes.batch.plan import Part
    from scoring.processes.batch.storage import Entry

DID_NOT_LOAD = 3
ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "LOKY_MAX_CPU_COUNT", "ARROW_NUM_THREADS"), "1"
)
SMALL = {"ARROW_DEFAULT_MEMORY_POOL": "system"}  # its own keeps 30 MB more
GRACE_S = 4.0  # between SIGTERM and SIGKILL


class Crew:
    """Worker processes, which end with the block."""

    def __init__(self, arguments: Sequence[str]) -> None:
        self._command = [sys.executable, "-W", "ignore", "-m", "scoring.processes.batch.worker", *arguments]
        self._workers: list[subprocess.Popen[str]] = []

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """End all workers."""
        for worker in self._workers:
            worker.terminate()
        for worker in self._workers:
            with suppress(subprocess.TimeoutExpired):
                worker.wait(GRACE_S)
            worker.kill()
            worker.wait()

    def start(self, workers: int) -> dict[str, Any]:
        """Start the workers, and return which model the first has loaded. Raises ModelError, or Refusal."""
        for _ in range(workers):
            self._spawn()
        return dict(_check(_ask(self._workers[0], None))["ready"])

    def cut(self, source: Entry) -> list[tuple[int, int, int, int]]:
        """Have the first worker cut a file."""
        answer = _check(_ask(self._workers[0], {"source": source.name, "size": source.size}))
        return [(begin, end, place, weight) for begin, end, place, weight in answer["cut"]]

    def score(self, parts: Sequence[Part]) -> Iterator[dict[str, Any]]:
        """Have the workers score all parts, and yield what they say. Raises ModelError, or Refusal."""
        waiting: queue.SimpleQueue[Part] = queue.SimpleQueue()
        said: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        for part in parts:
            waiting.put(part)
        for at, worker in enumerate(self._workers[: len(parts)]):
            threading.Thread(target=_drive, args=(worker, waiting, said, at > 0), daemon=True).start()
        left = len(parts)
        while left:
            answer = _check(said.get())
            left -= "done" in answer
            yield answer

    def _spawn(self) -> None:
        pipe = subprocess.PIPE
        environment = {**os.environ, **ONE_THREAD, **SMALL}
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # a worker's from the first: we end it
        try:
            self._workers.append(
                subprocess.Popen(self._command, stdin=pipe, stdout=pipe, text=True, encoding="utf-8", env=environment)
            )
        finally:
            signal.signal(signal.SIGINT, before)


def _drive(
    worker: subprocess.Popen[str],
    waiting: queue.SimpleQueue[Part],
    said: queue.SimpleQueue[dict[str, Any]],
    is_loading: bool,  # noqa: FBT001 -- a thread's
) -> None:
    """Give a worker one part after another, until none is left."""
    try:
        if is_loading and "error" in (answer := _ask(worker, None)):
            said.put(answer)
            return
        while True:
            part = waiting.get_nowait()
            answer = _ask(worker, asdict(part))
            while "rows" in answer:
                said.put(answer)
                answer = _ask(worker, None)
            said.put(answer)
    except queue.Empty:
        pass
    except Exception as error:  # noqa: BLE001 -- who waits for an answer would wait for ever
        said.put({"error": f"a worker's answer cannot be read: {error}", "code": 1})


def _ask(worker: subprocess.Popen[str], task: dict[str, Any] | None) -> dict[str, Any]:
    """Tell a worker what to do, if anything, and return the next thing that it says."""
    if worker.stdin is None or worker.stdout is None:
        raise ModelError("a worker has no pipes")
    with suppress(OSError):  # it has ended, which the next line says
        if task is not None:
            worker.stdin.write(json.dumps(task) + "\n")
            worker.stdin.flush()
    if line := worker.stdout.readline():
        return dict(json.loads(line))
    code = worker.wait()
    words = "killed, by someone or for lack of memory" if code == -9 else f"exit code {code}"  # noqa: PLR2004 -- SIGKILL
    return {"error": f"a worker ended: {words}", "code": 1}


def _check(answer: dict[str, Any]) -> dict[str, Any]:
    if "error" in answer:
        raise ModelError(answer["error"]) if answer["code"] == DID_NOT_LOAD else bad(answer["error"])
    return answer
