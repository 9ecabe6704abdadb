"""CSV is cut into blocks of whole records."""

from __future__ import annotations

from typing import TYPE_CHECKING

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
