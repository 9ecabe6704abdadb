"""CSV is cut into blocks of whole records."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pandas as pd
import pytest

from scoring.errors import Refusal
from scoring.processes.batch import records

if TYPE_CHECKING:
    from pathlib import Path


def test_blocks_are_whole_records(tmp_path: Path) -> None:
    """Whatever their size, with quotes, ends of lines in them, and an end of file without one."""
    quotes = '""'
    text = "".join(f'{n},"x\n{quotes * (n % 3)}",{n}\r\n' for n in range(200)) + '200,"y",200'
    (tmp_path / "rows.csv").write_bytes(text.encode())
    for size in (1, 7, 64, 1000, 100_000):
        with (tmp_path / "rows.csv").open("rb") as file:
            blocks = list(records.read_blocks(file, 0, len(text), 1, size))

        assert b"".join(block.body for block in blocks).decode() == text
        found = [each for block in blocks for each in records.split(block.body, block.line)]
        assert [int(record.split(b",")[0]) for _, record in found] == list(range(201))
        assert [line for line, _ in found] == [1 + 2 * n for n in range(201)]


def test_a_quote_within_a_field_is_a_sign(tmp_path: Path) -> None:
    """As for pandas and pyarrow: no row beside it is lost, and texts of several lines stay whole."""
    text = '1,5" pipe,2\n2,"a\n""b",3\n3,7" x 9",4\r\n4,"x" y"z,5\n5,b,6\r6,c,7\n'
    (tmp_path / "rows.csv").write_bytes(text.encode())
    for size in (1, 5, 1000):
        with (tmp_path / "rows.csv").open("rb") as file:
            blocks = list(records.read_blocks(file, 0, len(text), 2, size))
        found = [each for block in blocks for each in records.split(block.body, block.line)]

        assert [(line, record[:2]) for line, record in found] == [
            *((2, b"1,"), (3, b"2,"), (5, b"3,"), (6, b"4,"), (7, b"5,"), (7, b"6,"))
        ]
        assert len(pd.read_csv(io.StringIO(text, newline=""), header=None)) == len(found)


@pytest.mark.parametrize(
    ("text", "end", "words"),
    [
        (b'a,b\n1,2\n2,"x\n3,4\n', 17, "begins in line 3 is not closed"),
        (b"a,b\n1,2\n", 30, "has become shorter"),
        (b"a,b\r1,2\r", 8, "its lines end with"),
        (b'a,"b\n1,2\n', 9, "a quote that nothing closes"),
    ],
    ids=["open quote", "shorter", "CR alone", "open header"],
)
def test_what_would_lose_rows_is_refused(tmp_path: Path, text: bytes, end: int, words: str) -> None:
    """And never read as fewer rows, nor for ever."""
    (tmp_path / "rows.csv").write_bytes(text)
    with (tmp_path / "rows.csv").open("rb") as file, pytest.raises(Refusal) as raised:
        assert records.read_header(file) and list(records.read_blocks(file, 4, end, 2))  # noqa: PT018 -- one of them

    assert words in raised.value.message
