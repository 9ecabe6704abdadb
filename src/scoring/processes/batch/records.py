"""CSV as bytes: blocks of whole records, found by quotes and ends of lines alone, at the speed of a disk."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from scoring.errors import bad

if TYPE_CHECKING:
    from collections.abc import Iterator

BLOCK = 4 * 1024 * 1024  # bytes that are read, and predicted, together
LONGEST = 64 * 1024 * 1024  # bytes of one record
BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Block:
    """Whole records: where they begin in the file, the line that the first one begins in (from 1), and their bytes."""

    at: int
    line: int
    body: bytes


def read_header(file: IO[bytes]) -> tuple[bytes, list[str], int]:
    """Return the header's bytes with the end of its line, its names, and the number of lines to its end.

    The file is left behind it. Raises Refusal for an empty file, or one whose header is no CSV in UTF-8.
    """
    file.seek(0)
    header = b""
    while line := file.readline(LONGEST):
        if header.strip() or line.strip(b"\r\n \t"):
            header += line
            if header.count(b'"') % 2 == 0:
                break
        else:
            header = b""
        if len(header) >= LONGEST:
            break
    try:
        names = next(csv.reader(io.StringIO(header.removeprefix(BOM).decode(), newline="")))
    except (UnicodeDecodeError, csv.Error, StopIteration):
        raise bad("the file does not begin with a line of column names, in UTF-8") from None
    end = file.tell()
    file.seek(0)
    lines = file.read(end).count(b"\n")
    return header if header.endswith(b"\n") else header + b"\n", names, lines


def read_blocks(file: IO[bytes], begin: int, end: int, line: int, size: int = BLOCK) -> Iterator[Block]:
    """Yield the records between two places where records begin; raise Refusal for a quote that nothing closes."""
    file.seek(begin)
    at, rest = begin, b""
    while at + len(rest) < end:
        rest += file.read(min(size, end - at - len(rest)))
        cut = len(rest) if at + len(rest) >= end else _find_end(rest)
        if cut == 0 and len(rest) > LONGEST:
            raise bad(f"a quote, or a line, does not end within {LONGEST} bytes of line {line}")
        if cut:
            body, rest = rest[:cut], rest[cut:]
            yield Block(at, line, body)
            at, line = at + cut, line + body.count(b"\n")


def _find_end(body: bytes) -> int:
    """Return where the last whole record ends: after the last end of a line that an even number of quotes precede."""
    before = body.count(b'"')
    end = body.rfind(b"\n")
    before -= body.count(b'"', end + 1)
    while end >= 0 and before % 2:
        last, end = end, body.rfind(b"\n", 0, end)
        before -= body.count(b'"', end + 1, last)
    return end + 1


def split(body: bytes, line: int) -> list[tuple[int, bytes]]:
    """Return the records of a block that are not empty, each with the line that it begins in and its end of line."""
    found: list[tuple[int, bytes]] = []
    record, quotes, begun = b"", 0, line
    for each in io.BytesIO(body):
        if not record:
            begun = line
        line += each.count(b"\n")
        record += each
        quotes += each.count(b'"')
        if quotes % 2 == 0:
            if record.strip():
                found.append((begun, record if record.endswith(b"\n") else record + b"\n"))
            record, quotes = b"", 0
    if record.strip():
        found.append((begun, record + b"\n"))
    return found
