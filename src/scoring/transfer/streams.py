"""Answers that come in pieces, as server-sent events: a model's generator runs in a thread, the event loop sends.

The form is MLflow's (mlflow.genai.agent_server): `data: <JSON>` for each chunk, `data: [DONE]` at the end, and
`data: {"error": …}` before it where the model failed. Source: html.spec.whatwg.org, "Server-sent events".
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections import deque
from typing import TYPE_CHECKING, Any

import msgspec

from scoring.codecs import predictions
from scoring.errors import Refusal, not_predicted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MOST_WAITING = 64 * 1024  # bytes of events that wait for their client; then the model waits, too
EVENTS = b"text/event-stream; charset=utf-8"
DONE = b"data: [DONE]\n\n"
FAILED = "the model failed before its answer was complete"
logger = logging.getLogger("scoring")


class Gone(Exception):
    """Nobody reads the events any more."""


def event(value: object) -> bytes:
    """Return a value as one event; raise TypeError for what no JSON can hold."""
    return b"data: " + predictions.encode_bare(value) + b"\n\n"


def error(message: str) -> bytes:
    """Return the end of a stream that breaks off."""
    return b"data: " + msgspec.json.encode({"error": message}) + b"\n\n" + DONE


class EventStream:
    """The events of one answer, on their way from the thread that makes them to the loop that sends them.

    Made in the loop; `begin` is called there, with the stream, once there is a first event.
    """

    def __init__(self, begin: Callable[[EventStream], None]) -> None:
        self.has_begun = False
        self._begin = begin
        self._loop = asyncio.get_running_loop()
        self._ready = asyncio.Event()
        self._changed = threading.Condition()
        self._waiting: deque[bytes] = deque()
        self._size = 0  # bytes that wait
        self._is_ended = self._is_closed = False

    def put(self, data: bytes) -> None:
        """Add an event, from the model's thread; wait while too much waits, and raise Gone if nobody reads."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_closed or self._size < MOST_WAITING)
            if self._is_closed:
                raise Gone
            self._waiting.append(data)
            self._size += len(data)
        self._tell(self._ready.set if self.has_begun else self._start)
        self.has_begun = True

    def end(self) -> None:
        """Say that there are no more events, from the model's thread."""
        with self._changed:
            self._is_ended = True
        self._tell(self._ready.set)

    async def take(self) -> bytes:
        """Return what waits, in the loop; wait while that is nothing. b"" is the end."""
        while True:
            with self._changed:
                data = b"".join(self._waiting)
                self._waiting.clear()
                self._size = 0
                self._changed.notify()
                is_last = self._is_ended or self._is_closed
            if data or is_last:
                return data
            self._ready.clear()
            await self._ready.wait()

    def close(self) -> None:
        """Take no more events: the client has gone, or its time is over."""
        with self._changed:
            self._is_closed = True
            self._waiting.clear()
            self._changed.notify()
        self._ready.set()

    def _start(self) -> None:
        self._ready.set()
        self._begin(self)

    def _tell(self, what: Callable[[], None]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(what)


def pump(chunks: Iterator[Any], events: EventStream) -> None:
    """Send a model's chunks as events, and close its generator when nobody reads them.

    What the model raises before its first chunk is raised; later, the stream breaks off with an error event.
    """
    try:
        for chunk in chunks:
            events.put(_encode(chunk))
        events.put(DONE)
    except Gone:
        pass
    except BaseException as failure:
        if not events.has_begun:
            raise
        not_predicted(failure, ", in a stream")
        with contextlib.suppress(Gone):
            events.put(error(failure.message if isinstance(failure, Refusal) else FAILED))
    finally:
        _close(chunks)
        events.end()


def _encode(chunk: object) -> bytes:
    try:
        return event(chunk)
    except Exception as failure:
        raise Refusal(500, "the model's prediction cannot be encoded") from failure


def _close(chunks: Iterator[Any]) -> None:
    """Have a generator clean up after itself; what it raises then changes nothing."""
    try:
        getattr(chunks, "close", lambda: None)()
    except BaseException as failure:  # noqa: BLE001 -- it may be anyone's code
        logger.warning("the model raised %s when its stream was closed", type(failure).__name__)
