"""Prometheus's text format: what a model server answers is read, what the deployer answers is written."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field

SAMPLE = re.compile(r"([a-zA-Z_:][\w:]*)(?:\{(.*)\})?\s+(\S+)")
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})
UNESCAPED = {"n": "\n"}
TYPE = "text/plain; version=0.0.4; charset=utf-8"

Sample = tuple[str, dict[str, str], float]  # name, labels, value


@dataclass
class Family:
    """A metric: its values, each by the values of its labels."""

    name: str
    kind: str  # counter or gauge
    text: str
    labels: tuple[str, ...] = ()
    values: list[tuple[tuple[str, ...], float]] = field(default_factory=list)

    def add(self, value: float, *labels: str) -> None:
        """Add a value."""
        self.values.append((labels, value))


def read(text: str) -> list[Sample]:
    """Return the samples of a text; what is none is left out."""
    found = []
    for line in text.splitlines():
        if match := SAMPLE.match(line):
            try:
                value = float(match[3])
            except ValueError:
                continue
            labels = {name: _unescape(words) for name, words in LABEL.findall(match[2] or "")}
            found.append((match[1], labels, value))
    return found


def write(families: list[Family]) -> str:
    """Return the text of metrics; one without values is left out."""
    lines = []
    for family in families:
        if not family.values:
            continue
        lines += [f"# HELP {family.name} {family.text}", f"# TYPE {family.name} {family.kind}"]
        for values, number in family.values:
            pairs = ",".join(
                f'{name}="{value.translate(ESCAPES)}"' for name, value in zip(family.labels, values, strict=True)
            )
            lines.append(f"{family.name}{'{' + pairs + '}' if pairs else ''} {_write_number(number)}")
    return "\n".join(lines) + "\n"


def _write_number(number: float) -> str:
    if math.isinf(number):
        return "+Inf" if number > 0 else "-Inf"
    return "NaN" if math.isnan(number) else repr(float(number))


def _unescape(words: str) -> str:
    return re.sub(r"\\(.)", lambda found: UNESCAPED.get(found[1], found[1]), words)
