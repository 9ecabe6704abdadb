"""What the fuzzer found once, and what else was answered wrongly before these tests were written."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.contract.conftest import ask
from tests.fuzz import seeds, targets

if TYPE_CHECKING:
    from tests.protocols.conftest import Client

LONG = 5000  # bytes; such bodies take the way of large ones
LARGE = {
    "text": json.dumps("a" * LONG),
    "a list": json.dumps([1] * LONG),
    "a number": "1" + " " * LONG,
    "null": "null" + " " * LONG,
    "split is text": json.dumps({"dataframe_split": "a" * LONG}),
    "split is a list": json.dumps({"dataframe_split": [1] * LONG}),
    "columns are text": json.dumps({"dataframe_split": {"columns": "a" * LONG, "data": [[1]]}}),
    "data are an object": json.dumps({"dataframe_split": {"columns": ["x0"], "data": {"a" * LONG: 1}}}),
}


@pytest.mark.parametrize("body", LARGE.values(), ids=LARGE)
def test_large_bodies_that_are_no_table(numbers: Client, body: str) -> None:
    """A large body of any JSON is refused, and no failure of the server."""
    assert ask(numbers.port, "POST", "/invocations", {"Content-Type": "application/json"}, body.encode()).status == 400


def test_seeds() -> None:
    """The bodies that the fuzzer starts from pass all of its targets."""
    for seed in seeds.bodies():
        targets.run(seed)


def test_text_ends_as_it_was_sent() -> None:
    """NUL at the end of a text becomes the same by the short way and by the long one."""
    targets.try_json(
        targets.SIGNATURES["optional"],
        targets.LARGE[1],
        b'{"inputs": {"s": ["a\\u0000", ""], "a": [0, 2], "l": [128, -1]}}',
    )
