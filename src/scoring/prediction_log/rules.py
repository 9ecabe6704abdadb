"""Which input columns the log keeps, and how: the table `log` of a model folder's model.toml."""

from __future__ import annotations

import hmac
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scoring.errors import ModelError

NAMES = ("only", "drop", "hash")
SIGNS = 32  # of a hash


@dataclass(frozen=True)
class Rules:
    """`only` these columns (empty: all), less those to `drop`; of those to `hash` the log has a keyed hash."""

    only: frozenset[str] = frozenset()
    drop: frozenset[str] = frozenset()
    hash: frozenset[str] = frozenset()
    key: bytes = b""

    def keeps(self, column: str) -> bool:
        """Whether the log has a column, as it is or hashed."""
        return column not in self.drop and (not self.only or column in self.only)

    def hashed(self, value: Any) -> str | None:  # noqa: ANN401 -- a column's
        """Return HMAC-SHA256 of a value as text (RFC 2104), cut to 128 bits, in hex; None for a missing one."""
        if value is None or value != value:  # noqa: PLR0124 -- NaN
            return None
        data = value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogatepass")
        return hmac.digest(self.key, data, "sha256").hex()[:SIGNS]


def load(given: str) -> Rules:
    """Read the rules: JSON, or the path of a JSON file, with `only`, `drop`, `hash` and `key`; raise ModelError."""
    if not given:
        return Rules()
    try:
        values = json.loads(given if given.lstrip().startswith("{") else Path(given).read_text(encoding="utf-8"))
        names = {name: frozenset(map(str, values.get(name, ()))) for name in NAMES}
        rules = Rules(**names, key=str(values.get("key", "")).encode())
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise ModelError(f"SCORING_PREDICTION_LOG_RULES cannot be read: {error}") from None
    if rules.hash and not rules.key:
        raise ModelError("SCORING_PREDICTION_LOG_RULES hashes columns, and has no key")
    return rules


def check(rules: Rules, columns: list[str] | None) -> None:
    """Raise ModelError for a rule about a column that the model lacks: a misspelt one would be logged."""
    if columns is not None and (unknown := sorted((rules.only | rules.drop | rules.hash) - set(columns))):
        words = f"the log's rules name {', '.join(unknown)}; the model's columns are {', '.join(columns)}"
        raise ModelError(f"{words}: correct the table log of model.toml")
