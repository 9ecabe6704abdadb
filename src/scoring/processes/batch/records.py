"""CSV as bytes: blocks of whole records, found by quotes and ends of lines alone, at the speed of a disk.

A quote begins a text only where a field begins, as for pandas and pyarrow; in the middle of a field it is a sign.
"""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from scoring.errors import bad

if TYPE_CHECKING:
    from collections.abc import Iterator

BLOCK = 8 * 1024 * 1024  # bytes that are read, and predicted, together
LONGEST = 64 * 1024 * 1024  # bytes of one record
BOM = b"\xef\xbb\xbf"
_QUOTED = rb'"(?<![^,\r\n]")[^"]*+(?:""[^"]*+)*+'  # up to the quote that closes it
QUOTED = re.compile(rb'%b("|\Z)' % _QUOTED)
RECORD = re.compile(rb'(?:[^"\r\n]++|%b(?:"|\Z)|")*+(?:\r\n?|\n|\Z)' % _QUOTED)
WHOLE = re.compile(rb'(?:(?:[^"\n]++|%b"|"(?<=[^,\r\n]"))*+\n)*+' % _QUOTED)  # records


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
    header, is_inside = b"", False
    while line := file.readline(LONGEST):
        if header.strip() or line.strip(b"\r\n \t"):
            is_inside = is_open(line if header else line.removeprefix(BOM), is_inside=is_inside)
            header += line
            if not is_inside:
                break
        else:
            header = b""
        if len(header) >= LONGEST:
            break
    if is_inside:
        raise bad("the line of column names has a quote that nothing closes")
    if next(RECORD.finditer(header.removeprefix(BOM).lstrip())).group().endswith(b"\r"):
        raise bad("its lines end with \\r alone: write them with \\n")
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
    at, wanted = begin, size
    while at < end:
        file.seek(at)
        piece = file.read(min(wanted, end - at))
        if len(piece) < min(wanted, end - at):
            raise bad("the file has become shorter since the batch began")
        is_last = at + len(piece) >= end
        cut = _find_end(piece)
        if is_last and b"\n" in piece[cut:].rstrip():
            begun = line + piece.count(b"\n", 0, cut)
            raise bad(f"a quote in the record that begins in line {begun} is not closed")
        cut = len(piece) if is_last else cut
        if cut == 0:
            if len(piece) > LONGEST:
                raise bad(f"a quote, or a line, does not end within {LONGEST} bytes of line {line}")
            wanted *= 2  # one record is longer: read it again, and more
            continue
        body, wanted = piece[:cut], size
        del piece  # which is as large
        yield Block(at, line, body)
        at, line = at + cut, line + body.count(b"\n")


def is_open(line: bytes, *, is_inside: bool) -> bool:
    """Return whether a line ends within quotes, which it may begin in, too."""
    if b'"' not in line:
        return is_inside
    return any(not each.group(1) for each in QUOTED.finditer(b'"' + line if is_inside else line))


def _find_end(body: bytes) -> int:
    """Return where the last whole record ends: after the last end of a line that does not stand in quotes."""
    if b'"' not in body:
        return body.rfind(b"\n") + 1
    found = WHOLE.match(body)
    return found.end() if found else 0


def split(body: bytes, line: int) -> list[tuple[int, bytes]]:
    """Return the records of a block that are not empty, each with the line that it begins in and its end of line."""
    found: list[tuple[int, bytes]] = []
    for match in RECORD.finditer(body):
        if (record := match.group()).strip():
            found.append((line, record if record.endswith((b"\n", b"\r")) else record + b"\n"))
        line += record.count(b"\n")
    return found
