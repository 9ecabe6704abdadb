"""How much of its memory a server gives to bodies, and how fast they must arrive."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from scoring.http.bodies import LOOKS, SMALL, WATCH_S, Pace, Room
from scoring.settings import Settings

LARGEST = 1 << 20
SETTINGS = Settings(Path(), request_timeout=60.0, min_body_rate=1024)
PERIOD = LOOKS * WATCH_S  # s


@dataclass
class Body:
    """What a room sees of a request."""

    sender: bytes
    held: int = 0
    large_caller: bytes = b""

    def caller(self) -> bytes:
        """Return who sent it."""
        return self.sender


def _take(room: Room, sender: bytes, size: int, part: int = 1 << 16) -> Body | None:
    found = Body(sender)
    for at in range(0, size, part):
        if not room.take(found, min(part, size - at)):
            room.give_back(found)
            return None
    return found


def test_one_caller_has_three_quarters() -> None:
    """One caller has room for three of the largest bodies, all together for four, and small ones have room besides."""
    room = Room(LARGEST)

    assert [_take(room, b"a", LARGEST) is not None for _ in range(4)] == [True, True, True, False]
    assert _take(room, b"b", LARGEST)
    assert _take(room, b"b", SMALL + 1) is None or room.held <= 5 * LARGEST
    assert _take(room, b"a", SMALL)


def test_room_is_given_back() -> None:
    """What was taken in parts is given back as a whole, and nothing is kept of who had it."""
    room = Room(LARGEST)
    for _ in range(10):
        bodies = [_take(room, sender, size) for sender in (b"a", b"b") for size in (10, SMALL, SMALL + 1, LARGEST)]
        for each in bodies:
            if each:
                room.give_back(each)

    assert room.held == 0
    assert not room._by_caller  # noqa: SLF001 -- it must not grow


def test_small_bodies_are_bounded() -> None:
    """Small bodies have room for as much as one more of the largest size."""
    room = Room(LARGEST)
    taken = sum(_take(room, b"%d" % at, SMALL) is not None for at in range(1000))

    assert 5 * LARGEST <= taken * SMALL <= 5 * LARGEST + 2 * SMALL


@pytest.mark.parametrize(
    ("arrived", "late"),
    [
        ([0, 0], 0), ([PERIOD * 1000, 0], 0), ([PERIOD * 1030, PERIOD * 2060], None), ([64 << 20, 64 << 20], 1),
        ([64 << 20, (64 << 20) + PERIOD * 2000], 1), ([6 << 20, 12 << 20, 18 << 20, 24 << 20], None),
    ],
    ids=["nothing", "a little less", "evenly", "much, then nothing", "much, then little", "much, evenly"],
)  # fmt: skip
def test_pace(arrived: list[float], late: int | None) -> None:
    """A body is late in the first period that brings less than the minimum, which is larger for a large body."""
    pace = Pace()
    judged = [any(pace.is_too_slow(int(size), SETTINGS) for _ in range(LOOKS)) for size in arrived]

    assert (judged.index(True) if any(judged) else None) == late
