"""Events between a model's thread and the event loop: their form, their order, their end."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from scoring.errors import Refusal
from scoring.transfer import streams

if TYPE_CHECKING:
    from collections.abc import Iterator

END = b'data: {"error":"the model failed before its answer was complete"}\n\ndata: [DONE]\n\n'


def read(chunks: Iterator[Any], most: int = 1_000_000) -> bytes:
    """Return what a client that leaves after some bytes got of a model's chunks; raise what the model raises first."""

    async def take() -> bytes:
        begun: asyncio.Future[streams.EventStream] = asyncio.get_running_loop().create_future()
        events = streams.EventStream(begun.set_result)
        pumped = asyncio.ensure_future(asyncio.to_thread(streams.pump, chunks, events))
        either: list[asyncio.Future[Any]] = [begun, pumped]
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        got = b""
        while begun.done() and len(got) < most and (part := await events.take()):
            got += part
        events.close()
        await pumped
        return got

    return asyncio.run(take())


def test_a_chunk_is_an_event() -> None:
    """JSON as predictions have it: numpy's numbers, and null for what JSON has not."""
    chunks = [{"a": np.float64(1.5)}, "b\nc", float("nan"), np.arange(2), None]

    assert read(iter(chunks)) == (
        b'data: {"a": 1.5}\n\ndata: "b\\nc"\n\ndata: null\n\ndata: [0, 1]\n\ndata: null\n\ndata: [DONE]\n\n'
    )


def test_no_chunk_is_a_stream() -> None:
    """A model that has nothing to say is answered with the end."""
    assert read(iter([])) == b"data: [DONE]\n\n"


@pytest.mark.parametrize("error", [ValueError("secret"), SystemExit(3), BaseException("a panic")], ids=repr)
def test_a_failure_is_the_last_event(error: BaseException) -> None:
    """What a model raises after its first chunk ends its stream; before it, it is raised."""

    def fail(*first: int) -> Iterator[int]:
        yield from first
        raise error

    assert read(fail(1)) == b"data: 1\n\n" + END
    with pytest.raises(type(error)):
        read(fail())


def test_a_chunk_that_no_json_holds() -> None:
    """It is the model's fault: 500 if it is the first, else the stream's end says so."""
    with pytest.raises(Refusal) as refusal:
        read(iter([object()]))

    assert refusal.value.status == 500
    assert read(iter([1, object()])).endswith(
        b'data: {"error":"the model\'s prediction cannot be encoded"}\n\ndata: [DONE]\n\n'
    )


@pytest.mark.parametrize("clean", [True, False], ids=["well", "with an error"])
def test_a_generator_is_closed_when_nobody_reads(*, clean: bool) -> None:
    """It is closed in its own thread, soon after the client has gone; what it raises then is nobody's matter."""
    seen: list[Any] = []

    def go_on() -> Iterator[str]:
        try:
            while True:
                seen.append(threading.current_thread())
                yield "x" * 1000
        finally:
            seen.append("closed")
            if not clean:
                raise RuntimeError("while it is closed")

    read(go_on(), most=1)

    assert seen.pop() == "closed"
    assert len(set(seen)) == 1
    assert len(seen) <= 3 * streams.MOST_WAITING // 1000


def test_a_model_waits_for_its_client() -> None:
    """Of large chunks one waits, and the next is made, but no third."""
    made: list[int] = []

    def chunks() -> Iterator[str]:
        for at in range(10):
            made.append(at)
            yield "x" * streams.MOST_WAITING

    async def take() -> list[int]:
        events = streams.EventStream(lambda _: None)
        pumped = asyncio.ensure_future(asyncio.to_thread(streams.pump, chunks(), events))
        counts = []
        for _ in range(3):
            await asyncio.sleep(0.2)
            counts.append(len(made))
            await events.take()
        events.close()
        await pumped
        return counts

    assert asyncio.run(take()) == [2, 3, 4]
