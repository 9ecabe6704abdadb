"""Who waits for whom while bodies are inflated."""

from __future__ import annotations

import asyncio
import gzip
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from scoring import compression
from scoring.errors import Refusal
from scoring.http import inflater
from scoring.settings import Settings

if TYPE_CHECKING:
    from concurrent.futures import Future

    import pytest

SETTINGS = Settings(Path(), max_waiting=20, max_wait=2.0)


@dataclass
class Body:
    """What is seen of a request."""

    words: str
    leaves: bool = False
    is_over: bool = False

    @property
    def body(self) -> bytes:
        """Return the words as gzip."""
        return gzip.compress(self.words.encode())

    def caller(self) -> bytes:
        """Return who sent them: the first letter."""
        return self.words[:1].encode()


def _send(monkeypatch: pytest.MonkeyPatch, bodies: list[Body], count: int) -> tuple[list[int], list[str], int]:
    """Send bodies while the first is still inflated.

    Return their statuses, what comes out of so many, and how many were inflated.

    All clients but those of `count` bodies go when all are sent.
    """
    may_go, statuses, found, begun = threading.Event(), [], [], []
    real = compression.inflate

    def inflate(body: bytes, limit: int) -> bytes:
        begun.append(may_go.wait(30))
        return real(body, limit)

    async def run() -> None:
        queue, is_answered = inflater.Inflater(SETTINGS), asyncio.Event()

        def then(done: Future[bytes]) -> None:
            found.append(done.result().decode())
            if len(found) == count:
                is_answered.set()

        for body in bodies:
            try:
                queue.submit(body, then)
                statuses.append(200)
            except Refusal as refusal:
                statuses.append(refusal.status)
        for body in bodies:
            body.is_over = body.leaves
        may_go.set()
        async with asyncio.timeout(60):
            await is_answered.wait()

    monkeypatch.setattr(inflater, "inflate", inflate)
    asyncio.run(run())
    return statuses, found, len(begun)


def test_each_caller_has_its_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who sends many bodies waits for them, and others for one of them."""
    bodies = [Body(words) for words in ("a1", "a2", "a3", "b1", "a4", "b2", "c1", "a5")]

    assert _send(monkeypatch, bodies, 8) == ([200] * 8, ["a1", "a2", "b1", "c1", "a3", "b2", "a4", "a5"], 8)


def test_nobody_waits_for_who_has_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A body whose client has gone is not inflated."""
    bodies = [Body(f"a{at}", leaves=at < 19) for at in range(20)]

    assert _send(monkeypatch, bodies, 1) == ([200] * 20, ["a19"], 2)  # the first was begun before its client went


def test_too_many_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """No more bodies wait than may, whoever sent them."""
    bodies = [Body(chr(ord("a") + at)) for at in range(23)]

    assert _send(monkeypatch, bodies, 21)[0] == [200] * 21 + [503] * 2


def test_a_long_wait_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has sent so many that the next would wait too long is told so at once, and nobody else."""
    queue = inflater.Inflater(SETTINGS)
    monkeypatch.setattr(queue, "_seconds", 0.3)
    monkeypatch.setattr(queue, "_start", lambda: None)
    statuses = []
    for words in [*(f"a{at}" for at in range(9)), "b1", "b2"]:
        try:
            queue.submit(Body(words), lambda *_: None)
            statuses.append(200)
        except Refusal as refusal:
            statuses.append(refusal.status)

    assert statuses == [200] * 7 + [503] * 2 + [200] * 2
