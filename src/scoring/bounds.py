"""How large a body may become: its levels, rows and cells, judged before a table is made of it.

pandas fills up what is missing, so a table may have rows x columns cells where its body has rows + columns values.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from scoring.errors import Refusal, bad

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scoring.settings import Settings

PIECE = 256 * 1024  # bytes of JSON that are looked at together
LISTS = 4  # lists and objects of a body for each row that it may have, where half as many as its cells are fewer
ROWS = 3  # levels down stand the rows that are objects, or `inputs`, `instances` without names
EXPANSION = 4  # bytes that come out of a Parquet file for each byte that a body may have
WIDEST = 4  # bytes of a character in numpy's texts
SHORT = 4096  # bytes, in which Python counts more quickly than numpy
QUOTE, COMMA, LIST, OBJECT = b'",[{'
BRACKETS = np.zeros(256, np.int8)
BRACKETS[list(b"[{")] = 1
BRACKETS[list(b"]}")] = -1


@dataclass(frozen=True)
class Bounds:
    """The limits of one body.

    `empty` are the cells that a table may have where its body has no value, `extra` its further columns.
    """

    max_rows: int = 1_000_000
    max_cells: int = 20_000_000
    max_depth: int = 32
    max_bytes: int = 256 * 1024 * 1024
    empty: int = 1_000_000
    extra: int = 10_000

    @classmethod
    def of(cls, settings: Settings) -> Bounds:
        """Return the bounds that the settings give."""
        return cls(settings.max_rows, settings.max_cells, settings.max_depth, settings.max_body * EXPANSION)

    def with_few_empty(self) -> Bounds:
        """Return the bounds of what is read in the event loop; what is larger is read elsewhere."""
        return replace(
            self,
            empty=4096,
            extra=64,
            max_cells=min(self.max_cells, 16 * 1024),
            max_bytes=min(self.max_bytes, 1024 * 1024),
        )

    def check_rows(self, rows: int) -> None:
        """Raise Refusal for too many rows."""
        if rows > self.max_rows:
            raise Refusal(413, f"the body has more than {self.max_rows} rows")

    def check(self, rows: int, columns: int, values: int) -> None:
        """Raise Refusal for a table that is too large, or that has many more cells than its body has values."""
        self.check_rows(rows)
        cells = rows * columns
        if cells > self.max_cells or values > self.max_cells:
            raise Refusal(413, f"the body has more than {self.max_cells} cells, rows times columns")
        if cells > 2 * values + self.empty:
            raise Refusal(413, "most cells of the table would be empty: the rows have different columns")

    def check_sparse(self, rows: int, columns: int) -> None:
        """Raise Refusal for too large a table of the model's own columns, most of whose cells may be empty."""
        self.check(rows, columns, rows * columns)

    def check_texts(self, data: object) -> None:
        """Raise Refusal for texts that are too much as numpy's arrays, which MLflow's parser makes of columns."""
        if measure_texts(data) > self.max_bytes:
            raise Refusal(
                413, f"the texts take more than {self.max_bytes} bytes: each takes as much as the longest in its column"
            )

    def check_json(self, body: bytes) -> None:
        """Raise Refusal for JSON that is too deep, or that has too many values, lists or objects."""
        values, opened, rows = 1, 0, 0
        for commas, depths in _pieces(body):
            if depths.max(initial=0) > self.max_depth:
                raise bad(f"the JSON is nested deeper than {self.max_depth} levels")
            opened += len(depths)
            rows += int(np.count_nonzero(depths == ROWS))
            values += commas + len(depths)
            if values > self.max_cells + LISTS * self.max_rows:
                raise Refusal(413, f"the body has more than {self.max_cells} cells, rows times columns")
            if opened > max(LISTS * self.max_rows, self.max_cells // 2) + 16:
                raise Refusal(
                    413, f"the body has more than {max(LISTS * self.max_rows, self.max_cells // 2)} lists and objects"
                )
            if rows > self.max_rows + 16:
                raise Refusal(413, f"the body has more than {self.max_rows} rows")

    def is_shallow(self, body: bytes, known: int = 0) -> bool:
        """Whether JSON is not too deep; `known` of its lists and objects hold no others.

        It is quick where the others are few.
        """
        return count_opened(body) - known <= self.max_depth or all(
            depths.max(initial=0) <= self.max_depth for _, depths in _pieces(body)
        )

    def seems_plain(self, body: bytes, columns: int) -> bool:
        """Whether JSON surely has no more values than `check_json` allows, and enough for rows of so many columns.

        Its strings are looked at as if they were JSON, too.
        """
        if len(body) <= PIECE:  # it is soon read, whatever it holds
            return True
        commas, opened = int(np.count_nonzero(np.frombuffer(body, np.uint8) == COMMA)), count_opened(body)
        return (opened - 8) * columns <= commas + 1 <= self.max_cells and opened <= self.max_rows + 16


DEFAULT = Bounds()


def count_opened(body: bytes | memoryview) -> int:
    """Return the lists and objects that begin in JSON, and the brackets in its texts."""
    if len(body) <= SHORT and isinstance(body, bytes):
        return body.count(b"[") + body.count(b"{")
    signs = np.frombuffer(body, np.uint8)
    return int(np.count_nonzero(signs == LIST) + np.count_nonzero(signs == OBJECT))


def _pieces(body: bytes) -> Iterator[tuple[int, np.ndarray]]:
    """Yield the commas of each piece of JSON, and the depths of the lists and objects that begin in it."""
    depth = 0
    for _, signs, outside in scan(body):
        changes = BRACKETS[signs]
        changes = changes[(changes != 0) & outside]
        depths = depth + np.cumsum(changes, dtype=np.int64)
        depth = int(depths[-1]) if len(depths) else depth
        yield int(np.count_nonzero((signs == COMMA) & outside)), depths[changes > 0]


def scan(body: bytes) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Yield, for piece after piece of JSON, where it begins, its bytes, and whether each stands outside of texts.

    numpy lets other threads run meanwhile, which a JSON parser does not.
    """
    at, in_string = 0, False
    while at < len(body):
        piece = body[at : at + PIECE]
        if b"\\" in piece:
            if (len(piece) - len(piece.rstrip(b"\\"))) % 2:  # an escape that goes on in the next piece
                piece += body[at + len(piece) : at + len(piece) + 1]
            piece = piece.replace(b"\\\\", b"..").replace(b'\\"', b"..")
        signs = np.frombuffer(piece, np.uint8)
        outside = ((np.cumsum(signs == QUOTE, dtype=np.uint8) & 1) ^ in_string) == 0
        in_string = not outside[-1]
        yield at, signs, outside
        at += len(piece)


def measure(data: object) -> tuple[int, int, int]:
    """Return rows, columns and values of the table that pandas would build from parsed JSON, by row or by column."""
    if isinstance(data, dict):
        lengths = [len(column) if isinstance(column, list | dict) else 1 for column in data.values()]
        index = {key for column in data.values() if isinstance(column, dict) for key in column}
        return max(max(lengths, default=0), len(index)), len(data), sum(lengths)
    if not isinstance(data, list):
        return 1, 1, 1
    keys: set[str] = set()
    widest, values = 1, 0
    for row in data:
        if isinstance(row, dict):
            keys.update(row)
            values += len(row)
        elif isinstance(row, list):
            widest = max(widest, len(row))
            values += len(row)
        else:
            values += 1
    return len(data), max(widest, len(keys)), values


def measure_texts(data: object) -> int:
    """Return the bytes of numpy's arrays of texts that parsed JSON becomes, by row or by column.

    A value takes as much as the longest.
    """
    if isinstance(data, list) and data and all(isinstance(row, dict) for row in data):
        columns: dict[str, list[Any]] = {}
        for row in data:
            for name, value in row.items():
                columns.setdefault(name, []).append(value)
        data = columns
    if isinstance(data, dict):
        return sum(map(measure_texts, data.values()))
    values, longest, waiting = 0, 0, [data]
    while waiting:
        each = waiting.pop()
        if isinstance(each, list):
            values += len(each)
            longest = max(longest, max((len(text) for text in each if isinstance(text, str)), default=0))
            waiting.extend(inner for inner in each if isinstance(inner, list))
    return values * longest * WIDEST


def measure_split(data: dict[str, Any]) -> tuple[int, int, int]:
    """Return the same for the value of dataframe_split, whose columns and index may name more than its data have."""
    rows, columns, values = measure(data.get("data"))
    names, index = (
        len(each) if isinstance(each := data.get(key), list | dict | str) else 0 for key in ("columns", "index")
    )
    return max(rows, index), max(columns, names), values
