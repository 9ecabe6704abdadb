"""What the pages of a Parquet file say of themselves: the footer may say less, and what is read is what the pages say.

A page's header is a struct of Thrift's compact protocol (parquet-format, parquet.thrift: PageHeader).
"""

from __future__ import annotations

from typing import Any, NamedTuple

STOP, TRUE, FALSE, BYTE, I16, I32, I64, DOUBLE, BINARY = range(9)  # types
CONTINUED, LAST_SHIFT = 128, 63  # the bit of a byte of a number that says that more follow; a number has 64 bits
STRUCT, KIND = 12, 15  # the last is the bits that hold the type
UNCOMPRESSED, COMPRESSED, DATA, DATA_V2 = 2, 3, 5, 8  # fields of a header
VALUES = 1  # field of those
MOST = 4_000_000  # bytes of headers that are read; one has some 60, and what it says of its values is skipped


class Pages(NamedTuple):
    """How many cells the pages of a column have, and how many bytes when they are no longer compressed."""

    cells: int
    size: int


class Headers:
    """Reads the headers of a file's pages.

    LookupError, ValueError, TypeError, AttributeError or RecursionError say that they are none.
    """

    def __init__(self, body: bytes) -> None:
        self._body, self._at, self._left = body, 0, MOST

    def measure(self, start: int, values: int) -> Pages:
        """Look at a column's pages, from a place, until they hold as many values."""
        found, size, self._at = 0, 0, start
        while found < values:
            header = self._struct()
            new = header.get(DATA, {}).get(VALUES, 0) + header.get(DATA_V2, {}).get(VALUES, 0)
            page, length = header[UNCOMPRESSED], header[COMPRESSED]
            if min(new, page, length, start) < 0:
                raise ValueError(header)
            found, size = found + new, size + page
            self._at += length
        return Pages(found, size)

    def _struct(self) -> dict[int, Any]:
        """Read the fields of a struct by their numbers."""
        fields, number = {}, 0
        while (head := self._byte()) & KIND != STOP:
            number = number + (head >> 4) if head >> 4 else self._integer()
            kind = head & KIND
            fields[number] = kind == TRUE if kind in {TRUE, FALSE} else self._value(kind)
        return fields

    def _value(self, kind: int) -> object:
        if kind in {I16, I32, I64}:
            return self._integer()
        if kind == STRUCT:
            return self._struct()
        if kind in {BYTE, DOUBLE}:
            self._at += 8 if kind == DOUBLE else 1
        elif kind == BINARY:
            length = self._varint()
            self._at += length
        else:  # a header has no lists
            raise KeyError(kind)
        return None

    def _byte(self) -> int:
        self._at += 1
        self._left -= 1
        if self._left < 0:
            raise ValueError(MOST)
        return self._body[self._at - 1]

    def _varint(self) -> int:
        value, shift = 0, 0
        while True:
            byte = self._byte()
            value |= (byte & 127) << shift
            if byte < CONTINUED:
                return value
            if (shift := shift + 7) > LAST_SHIFT:
                raise KeyError(shift)

    def _integer(self) -> int:
        value = self._varint()
        return (value >> 1) ^ -(value & 1)
