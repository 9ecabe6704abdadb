"""CSV with a header line, read by MLflow's rules: how large the table would be is known before pandas makes it."""

from __future__ import annotations

import csv
import io
import itertools
import re
import sys
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from scoring.bounds import DEFAULT
from scoring.codecs import mlflow_forms
from scoring.codecs.casting import NUMBER
from scoring.errors import Refusal, ValueRefusal, bad, lacking
from scoring.models.signature import SCALARS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from scoring.bounds import Bounds
    from scoring.models.rows import Table
    from scoring.models.signature import Column

UNREADABLE = "the CSV cannot be read as a table with the model's columns and types"
LOOKED_AT = 1_000_000  # values, for the one that pandas could not read
DOUBTED = 20  # different values of them that only pandas can judge
WHOLE = re.compile(r"\s*[+-]?\d{1,9}\s*")  # digits that even an integer holds
TRUTH = re.compile("true|false", re.IGNORECASE)
FLOATING = re.compile(rf"{NUMBER.pattern}|\s*[+-]?inf(inity)?\s*", re.IGNORECASE)
SURE = {"double": FLOATING, "float": FLOATING, "long": WHOLE, "integer": WHOLE, "boolean": TRUTH}
TWICE = 200  # fields that may have another's name: pandas compares each with all
LINES = 100_000  # that the first two rows may have, in quotes
PIECE = 256 * 1024  # bytes that are looked at together
QUOTE, COMMA, NEWLINE, RETURN = b'",\n\r'
BEGINS = np.zeros(256, bool)
BEGINS[list(b',\r\n"\xbf')] = (
    True  # what a quote that begins a field may follow; the last of them ends a byte order mark
)
csv.field_size_limit(sys.maxsize)


def read(body: bytes, columns: Sequence[Column], bounds: Bounds) -> Table:
    """Return the rows of a CSV body, or raise Refusal."""
    header = check(body, len(columns), bounds)
    if missing := [str(column.name) for column in columns if column.required and str(column.name) not in header]:
        raise lacking(missing)
    known = {str(column.name) for column in columns}
    is_plain = not known.isdisjoint(header) and not known.issuperset(header)  # else pandas looks at more
    if is_plain and (widest := _widest(body)) != len(header):  # pandas, told which columns, does not look at the others
        if widest and widest > len(header):
            raise bad("a row has more values than the header has columns")
        is_plain = widest is not None
    kinds = {str(column.name): "object" if column.type == "datetime" else SCALARS[column.type] for column in columns}
    try:
        frame = pd.read_csv(io.BytesIO(body), dtype=kinds, usecols=known.__contains__ if is_plain else None)
    except Exception:  # noqa: BLE001 -- pandas raises many, with the caller's values in their words
        found = _find_wrong(body, header, columns)
        raise found or bad(UNREADABLE) from None
    return mlflow_forms.from_frame(frame, columns)


def check(body: bytes, columns: int, bounds: Bounds) -> list[str]:
    """Return the header.

    Raise Refusal for what is no CSV or too large a table.
    """
    try:
        body.decode()
    except UnicodeDecodeError:
        raise bad("the CSV is not valid UTF-8") from None
    records = csv.reader(_lines(body, columns + DEFAULT.extra))
    try:
        header = next((record for record in records if any(record)), [])
        first = len(next((record for record in records if record), []))
    except (csv.Error, RecursionError):
        raise bad(UNREADABLE) from None
    if len(header) > columns + bounds.extra:
        raise Refusal(413, f"the CSV has more than {columns + bounds.extra} columns")
    if len(header) - len({*header}) > TWICE:
        raise bad("columns appear twice")
    if first > len(header):  # pandas would take its first value for a name, and shift the others
        raise bad("a row has more values than the header has columns")
    _count(body, len(header), bounds)
    return header


def _find_wrong(body: bytes, header: Sequence[str], columns: Sequence[Column]) -> Refusal | None:
    """Return the refusal that names the first value that pandas does not read; None if it is not soon found."""
    numbers = [column for column in columns if column.type in SURE and str(column.name) in header]
    wanted = [(header.index(str(column.name)), column, SURE[column.type]) for column in numbers]
    lines = io.TextIOWrapper(io.BytesIO(body), "utf-8-sig")
    records = (record for record in csv.reader(lines) if len(record) > 1 or not "".join(record or " ").isspace())
    taken: set[tuple[str, str]] = set()  # NA, and other words that pandas reads
    try:
        for row, record in enumerate(itertools.islice(records, 1 + LOOKED_AT // max(len(wanted), 1))):
            for at, column, sure in wanted if row else ():
                value = record[at] if at < len(record) else ""
                if sure.fullmatch(value) or (value, column.type) in taken:
                    continue
                if not _is_read(value, SCALARS[column.type]):
                    return ValueRefusal(str(column.name), column.type, row, value)
                if len(taken) == DOUBTED:
                    return None
                taken.add((value, column.type))
    except csv.Error:
        pass
    return None


def _is_read(value: str, kind: str) -> bool:
    text = io.StringIO()
    csv.writer(text, quoting=csv.QUOTE_ALL).writerows([["value"], [value]])
    try:
        pd.read_csv(io.StringIO(text.getvalue()), dtype=kind)
    except Exception:  # noqa: BLE001 -- as above
        return False
    return True


def _count(body: bytes, width: int, bounds: Bounds) -> None:
    """Raise Refusal when the rows are too many, or too many of their fields are not there.

    What stands in quotes is no row; but all lines are rows where a quote begins elsewhere than a field does, as it
    quotes nothing there.
    """
    rows = _count_lines(body)
    values = body.count(b",") + rows
    if b'"' in body and (rows > bounds.max_rows or rows * width > min(bounds.max_cells, 2 * values + bounds.empty)):
        rows, values = _count_outside(body) or (rows, values)
    bounds.check(rows, width, values)


def _count_lines(body: bytes) -> int:
    return body.count(b"\n") + body.count(b"\r") - body.count(b"\r\n")


def _count_outside(body: bytes) -> tuple[int, int] | None:
    """Return the lines and values outside quotes; None where a quote begins elsewhere than a field does."""
    lines = commas = 0
    for piece in _outside(body):
        if piece is None:
            return None
        lines += int(np.count_nonzero(piece[0]))
        commas += int(np.count_nonzero(piece[1]))
    return lines, commas + lines


def _widest(body: bytes) -> int | None:
    """Return how many fields the longest line has; None where a quote begins elsewhere than a field does."""
    widest = begun = 0
    for piece in _outside(body):
        if piece is None:
            return None
        commas = begun + np.cumsum(piece[1])
        ends = commas[piece[0]]
        widest = max(widest, int(np.diff(ends, prepend=0).max(initial=0)))
        begun = int(commas[-1]) - (int(ends[-1]) if len(ends) else 0)
    return max(widest, begun) + 1


def _outside(body: bytes) -> Iterator[tuple[np.ndarray, np.ndarray] | None]:
    """Yield where lines end, and where commas are, that do not stand in quotes.

    None where a quote begins elsewhere than a field does.
    """
    last, in_quotes = NEWLINE, False
    for at in range(0, len(body), PIECE):
        signs = np.frombuffer(body, np.uint8, min(PIECE, len(body) - at), at)
        before = np.concatenate([np.array([last], np.uint8), signs[:-1]])
        quotes = signs == QUOTE
        outside = ((np.cumsum(quotes, dtype=np.uint8) & 1) ^ in_quotes) == 0
        if not BEGINS[before[quotes & ~outside]].all():
            yield None
            return
        yield ((signs == RETURN) | ((signs == NEWLINE) & (before != RETURN))) & outside, (signs == COMMA) & outside
        last, in_quotes = int(signs[-1]), not outside[-1]


def _lines(body: bytes, commas: int) -> Iterator[str]:
    """Yield lines; raise Refusal when one has too many commas, or nothing ends."""
    for line in itertools.islice(io.TextIOWrapper(io.BytesIO(body), "utf-8-sig"), LINES):
        if line.count(",") > commas:
            raise bad(f"a line of the CSV has more than {commas} commas")
        yield line
