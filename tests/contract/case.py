"""A case of the contract: one request for one model."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.aliases import Json

JSON, CSV, PARQUET = "application/json", "text/csv", "application/vnd.apache.parquet"


@dataclass(frozen=True)
class Case:
    """A request: `type` None sends no content type; a body that is a list goes in chunks."""

    model: str
    name: str
    body: bytes | list[bytes] = b""
    type: str | None = JSON
    method: str = "POST"
    path: str = "/invocations"
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """Its name among all cases."""
        return f"{self.model} {self.name}"


def cases(model: str, table: Mapping[str, Any], kind: str = JSON, prefix: str = "") -> list[Case]:
    """Make cases of a table of bodies by name: bytes and text as they are, everything else as JSON."""
    return [Case(model, prefix + name, _to_bytes(body), kind) for name, body in table.items()]


def _to_bytes(body: Json) -> bytes:
    if isinstance(body, bytes):
        return body
    return (body if isinstance(body, str) else json.dumps(body)).encode()


def split(columns: Mapping[str, str], rows: int = 1) -> str:
    """Write a dataframe_split of JSON literals by column; the rows are equal."""
    names = json.dumps(list(columns))
    data = ", ".join(["[" + ", ".join(columns.values()) + "]"] * rows)
    return f'{{"dataframe_split": {{"columns": {names}, "data": [{data}]}}}}'
