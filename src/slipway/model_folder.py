"""The model folder: what `model.toml` says of it, and what identifies its content."""

from __future__ import annotations

import hashlib
import math
import re
import tomllib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from slipway.errors import SlipwayError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

PLAIN = re.compile(r"[a-z0-9]+([._-][a-z0-9]+)*")  # what a Docker image may be called
NO_CODE = {
    "__pycache__",
    "mlruns",
    "mlflow.db",
    "request.json",
    "README.md",
}  # left out of digests and, by .dockerignore, of images


@dataclass(frozen=True)
class Rules:
    """What a version must show before it becomes champion: the table `gate` of `model.toml`."""

    metric: str
    direction: str  # minimize or maximize
    margin: float = 0.0  # the champion must be beaten by this much, in the metric's unit
    at_least: dict[str, float] = field(default_factory=dict)  # floors, by metric
    at_most: dict[str, float] = field(default_factory=dict)  # ceilings, by metric
    latency_ms: float | None = None  # p95 of one-row requests, one after another


@dataclass(frozen=True)
class ModelFolder:
    """A model folder and its `model.toml`: registered name, the metric that decides between versions, gate."""

    path: Path
    name: str
    metric: str
    direction: str  # minimize or maximize
    rules: Rules


def load(path: Path) -> ModelFolder:
    """Read `model.toml`.

    Raises SlipwayError if the folder is not a model folder, or the file cannot be used.
    """
    file = path / "model.toml"
    try:
        values = tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SlipwayError(
            f"no model folder at {path}: it has no model.toml", "MODEL_DIR=model, or copy model/ to start one"
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SlipwayError(f"{file} is not TOML: {error}", "see model/README.md") from None
    name, metric, direction = (values.get(key) for key in ("name", "metric", "direction"))
    if not isinstance(name, str) or not PLAIN.fullmatch(name):
        raise SlipwayError(f"{file}: name is {name!r}; it names an image, so use lower-case letters, digits, . _ -")
    if not isinstance(metric, str) or not metric:
        raise SlipwayError(f"{file}: metric is {metric!r}; must be the name of the deciding metric, such as rmse")
    if direction not in {"minimize", "maximize"}:
        raise SlipwayError(f"{file}: direction is {direction!r}; must be minimize or maximize")
    return ModelFolder(path, name, metric, direction, _read_rules(file, values.get("gate", {}), metric, direction))


def plain(name: str) -> str:
    """Return a registered name as images, containers and files may bear it.

    One that they may not has a digest, which tells it apart.
    """
    if PLAIN.fullmatch(name):
        return name
    words = "-".join(re.findall(r"[a-z0-9]+", name.lower())) or "model"
    return f"{words[:40]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def _read_rules(file: Path, given: object, metric: str, direction: str) -> Rules:
    if not isinstance(given, dict) or (
        unknown := given.keys() - {"metric", "margin", "at_least", "at_most", "latency_ms"}
    ):
        what = f"has {', '.join(sorted(unknown))}" if isinstance(given, dict) else "is not a table"
        raise SlipwayError(f"{file}: gate {what}; it takes metric, margin, at_least, at_most and latency_ms")
    bounds = {name: given.get(name, {}) for name in ("at_least", "at_most")}
    for name, value in bounds.items():
        if not isinstance(value, dict) or not all(map(_is_number, value.values())):
            raise SlipwayError(
                f"{file}: gate.{name} is {value!r}; must be a table of metrics and numbers, such as {{ r2 = 0.3 }}"
            )
    for name in ("margin", "latency_ms"):
        if name in given and (not _is_number(given[name]) or given[name] < 0):
            raise SlipwayError(f"{file}: gate.{name} is {given[name]!r}; must not be negative")
    if not isinstance(given.get("metric", metric), str):
        raise SlipwayError(f"{file}: gate.metric is {given['metric']!r}; must be the name of the deciding metric")
    return Rules(
        given.get("metric", metric), direction, given.get("margin", 0.0), **bounds, latency_ms=given.get("latency_ms")
    )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def digest(paths: Iterable[Path], *facts: str) -> str:
    """Return the SHA-256 (hex) of files and folders, by relative name and content, and of further facts.

    Hidden files, and what is no code, do not count.
    """
    total = hashlib.sha256("\0".join(facts).encode())
    for path in paths:
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            relative = file.relative_to(path if path.is_dir() else path.parent)
            if file.is_file() and not any(part in NO_CODE or part.startswith(".") for part in relative.parts):
                total.update(f"\0{path.name}/{relative}\0".encode() + hashlib.sha256(file.read_bytes()).digest())
    return total.hexdigest()
