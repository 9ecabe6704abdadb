"""Large JSON that is parsed in slices is what it is when it is parsed as a whole, right or wrong."""

from __future__ import annotations

import json
import random
from functools import partial
from typing import TYPE_CHECKING

import pytest

from scoring import bounds
from scoring.codecs import slices

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.aliases import Json

SIGNS = '[]{}",:\\ 0a\n'


@pytest.fixture(autouse=True)
def _small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "PIECE", 7)


def _make(chance: random.Random, depth: int) -> Json:
    kind = chance.randrange(8 if depth < 6 else 4)
    if kind < 4:
        return chance.choice([0, -1.5e300, None, True, "", 'a"b\\', "é,[]{}\\\\", "x" * 30, float("inf"), 2**70])
    if kind < 6:
        return [_make(chance, depth + 1) for _ in range(chance.randrange(6))]
    names = ["a", 'k"', "\\", "é:{", "long" * 9]
    return {chance.choice(names) + str(at): _make(chance, depth + 1) for at in range(chance.randrange(5))}


def _outcome(parse: Callable[[bytes], Json], text: bytes) -> Json:
    try:
        return parse(text)
    except ValueError:
        return ValueError


def _spoil(chance: random.Random, text: bytes) -> bytes:
    at = chance.randrange(len(text))
    return text[:at] + chance.choice(SIGNS).encode() * chance.randrange(2) + text[at + chance.randrange(2) :]


@pytest.mark.parametrize("size", [1, 9, 40])
def test_is_as_a_whole(size: int) -> None:
    """Right JSON gives the same, keys that are there twice included; wrong JSON is refused."""
    chance = random.Random(size)  # noqa: S311 -- a test
    for _ in range(40):
        text = json.dumps(
            _make(chance, 0), ensure_ascii=chance.random() < 0.5, indent=chance.choice([None, None, 1])
        ).encode()
        assert slices.load(text, size) == json.loads(text)
        for _ in range(4):
            wrong = _spoil(chance, text)
            assert _outcome(lambda each: slices.load(each, size), wrong) == _outcome(json.loads, wrong), wrong


@pytest.mark.parametrize(
    "text",
    [
        "[1,,2]", "[1,2,]", "[,1]", "[1}", '{"a":1,,"b":2}', '{"a":[1],"a":[2,3]}', "[1] [2]", "[" * 50, "", " ", "[ ]",
        "[1],", '{"a" [1]}', '{"a":1,"a":2}x', "[[1,2],[3,4]]]", '{"a":{"b":[]},}', '["a,b",3]',
    ],
)  # fmt: skip
def test_commas(text: str) -> None:
    """A comma too many is found wherever the slices end, and so is what is not closed."""
    for size in range(1, 9):
        in_slices = partial(slices.load, size=size)

        assert _outcome(in_slices, text.encode()) == _outcome(json.loads, text.encode())
