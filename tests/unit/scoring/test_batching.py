"""What waits together is predicted together: each request gets its own part, and none spoils it for others."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from scoring.batching import BatchQueue, QueuedPredict
from scoring.metrics import Metrics
from scoring.models.base import Identity, Model
from scoring.models.rows import Table
from scoring.models.signature import Signature
from scoring.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from scoring.codecs.media import Encoded
    from scoring.errors import Refusal
    from tests.aliases import Data


@dataclass
class Request:
    """A request as a queue sees it, and what it was answered."""

    body: bytes = b""
    rows: int = 1
    follows: bool = False
    is_over: bool = False
    answered: bytes | int = 0
    out_of_range: Mapping[str, int] = field(default_factory=dict)
    predicted: tuple[Any, Any, str] | None = None
    size: int = 0

    def header(self, _: bytes) -> bytes | None:
        """Return None: it has no headers."""

    def answer(self, _: int, body: bytes, *__: object) -> None:
        """Keep the body."""
        self.answered = body

    def refuse(self, refusal: Refusal) -> None:
        """Keep the status."""
        self.answered = refusal.status

    def stream(self, _: object) -> None:
        """Take no events: none is made here."""


class Doubling(Model):
    """Doubles numbers, fails for one below zero, and notes how many rows each predict had."""

    def __init__(self) -> None:
        super().__init__(Identity(), Signature(), None)
        self.predict_seconds = 0.0
        self.asked: list[int] = []

    def predict(self, tables: Sequence[Table], *_: object) -> Data:
        """Return each number twice."""
        rows = np.concatenate([table.block for table in tables])
        self.asked.append(len(rows))
        if rows.min() < 0:
            raise BaseException  # noqa: TRY002 -- a panic of Rust's code is one, and no Exception
        return rows[:, 0] * 2


def _encode(predictions: Data) -> Encoded:
    return b" ".join(b"%d" % value for value in predictions), b"text/plain", ()


def _answers(requests: list[Request], values: list[float]) -> tuple[list[bytes | int], list[int]]:
    """Queue a row for each request in one turn of the loop.

    Return what they were answered, and the rows of each predict.
    """
    model = Doubling()

    async def run() -> None:
        queue = BatchQueue(model, Metrics(), Settings(Path()), threads=1, max_rows=3)
        for request, value in zip(requests, values, strict=True):
            queue.submit(QueuedPredict(request, _encode, Table(1, block=np.array([[value]]))))
        for _ in requests:  # there are no more predicts, and each is made in a turn of its own
            await asyncio.sleep(0)

    asyncio.run(run())
    return [request.answered for request in requests], model.asked


def test_a_predict_is_shared() -> None:
    """Requests of one turn share predicts, of at most so many rows, and each gets its own part."""
    assert _answers([Request() for _ in range(4)], [1, 2, 3, 4]) == ([b"2", b"4", b"6", b"8"], [3, 1])


def test_who_follows_itself_does_not_wait() -> None:
    """A request that came by the connection of the one before is predicted at once, unless others wait."""
    assert _answers([Request(follows=True), Request(), Request(follows=True)], [1, 2, 3])[1] == [1, 2]


def test_nothing_is_predicted_for_who_has_gone() -> None:
    """A request that is over takes no part."""
    assert _answers([Request(), Request(is_over=True), Request()], [1, 2, 3]) == ([b"2", 0, b"6"], [2])


@pytest.mark.parametrize("at", [0, 1], ids=["the first", "the second"])
def test_one_that_fails_spoils_nothing(at: int) -> None:
    """Where a shared predict fails, each request is predicted alone, and only the one that spoilt it is refused."""
    values = [-1.0 if each == at else 1.0 for each in range(2)]

    assert _answers([Request(), Request()], values) == ([400 if each == at else b"2" for each in range(2)], [2, 1, 1])
