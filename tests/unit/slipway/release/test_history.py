"""The way back through the champions: further with each rollback, never in a circle."""

import itertools
import random

import pytest

from slipway.release.history import INTERRUPTED, PROMOTED, PUT_BACK, REFUSED, ROLLED_BACK, TAKEN_BACK, Release, walk


def tell(*events: tuple[str, int] | tuple[str, int, int]) -> list[Release]:
    """Return a history of (action, version) or (action, version, the champion before)."""
    return [
        Release(action, version, before[0] if before else None, "somebody", "") for action, version, *before in events
    ]


def promoted(*versions: int) -> list[tuple[str, int]]:
    """Return promotions."""
    return [(PROMOTED, version) for version in versions]


@pytest.mark.parametrize(
    ("events", "champion", "way"),
    [
        ([], None, []),
        ([], 3, [3]),
        ([(PROMOTED, 1), (TAKEN_BACK, 1, 1)], None, []),
        ([(PROMOTED, 1), (TAKEN_BACK, 1, 1), (PROMOTED, 2)], 2, [2]),
        ([(PROMOTED, 1), (TAKEN_BACK, 1, 1)], 1, [1]),
        (promoted(1, 2, 3), 3, [1, 2, 3]),
        ([*promoted(1, 2, 3), (ROLLED_BACK, 2)], 2, [1, 2]),
        ([*promoted(1, 2, 3), (ROLLED_BACK, 2), (ROLLED_BACK, 1)], 1, [1]),
        ([*promoted(1, 2, 3), (ROLLED_BACK, 1)], 1, [1]),
        ([*promoted(1, 2, 3), (ROLLED_BACK, 2), *promoted(4)], 4, [1, 2, 4]),
        ([*promoted(1, 2), (REFUSED, 3)], 2, [1, 2]),
        ([*promoted(1, 2), (INTERRUPTED, 3, 2), (INTERRUPTED, 1, 2)], 2, [1, 2]),
        ([*promoted(1, 2, 3), (PUT_BACK, 2)], 2, [1, 2]),
        (promoted(1, 2), 5, [1, 2, 5]),
        (promoted(1, 2, 3), 1, [1]),
        (promoted(1, 2, 3), 2, [1, 2]),
        (promoted(1, 2, 2), 2, [1, 2]),
        (promoted(1, 2, 1), 1, [1, 2, 1]),
        ([(ROLLED_BACK, 7)], 7, [7]),
        ([*promoted(1, 2, 1, 3), (ROLLED_BACK, 1, 2)], 1, [1]),
        ([*promoted(1, 2, 3), (PUT_BACK, 3, 1)], 3, [1, 2, 3]),
    ],
    ids=[
        "nothing", "set by hand, no history", "taken back", "taken back, then another", "taken back, and never done",
        "promotions", "rolled back", "twice", "two at once", "then promoted another", "refused",
        "interrupted",
        "put back", "moved by hand to a new one", "moved by hand to an old one", "recorded and never done",
        "recorded twice", "the same one again", "a record whose beginning is gone", "moved by hand, then rolled back",
        "moved by hand to an old one, and put back",
    ],
)  # fmt: skip
def test_the_way_back(events: list[tuple[str, int]], champion: int | None, way: list[int]) -> None:
    """Promotions lengthen the way, rollbacks shorten it, and its end is what the alias says."""
    assert walk(tell(*events), champion) == way


@pytest.mark.parametrize("seed", range(50))
def test_rolling_back_always_ends(seed: int) -> None:
    """From any history, one rollback after another reaches the first champion, each time with a shorter way."""
    chance = random.Random(seed)  # noqa: S311 -- no secret
    events: list[tuple[str, int] | tuple[str, int, int]] = [
        (chance.choice([PROMOTED, PROMOTED, ROLLED_BACK, REFUSED, PUT_BACK]), chance.randint(1, 5)) for _ in range(20)
    ]
    champion = chance.randint(1, 5)
    lengths = [len(way := walk(tell(*events), champion))]
    while len(way) > 1:
        champion = way[-2]
        events.append((ROLLED_BACK, champion, way[-1]))
        way = walk(tell(*events), champion)
        lengths.append(len(way))

    assert all(later < earlier for earlier, later in itertools.pairwise(lengths))
