"""The model folder: what `model.toml` says of it, and what identifies its content."""

from __future__ import annotations

import hashlib
import re
import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from slipway.errors import SlipwayError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

NO_CODE = {"__pycache__", "mlruns", "mlflow.db", "request.json", "README.md"}  # left out of digests and, by .dockerignore, of images


@dataclass(frozen=True)
class ModelFolder:
    """A model folder and its `model.toml`: the registered name, and the metric that decides between versions."""

    path: Path
    name: str
    metric: str
    direction: str  # minimize or maximize

    def is_better(self, candidate: float, champion: float) -> bool:
        """Whether the candidate's deciding metric beats the champion's."""
        return candidate < champion if self.direction == "minimize" else candidate > champion


def load(path: Path) -> ModelFolder:
    """Read `model.toml`.

    Raises SlipwayError for a folder that is none, or a file that cannot be used.
    """
    file = path / "model.toml"
    try:
        values = tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SlipwayError(f"no model folder at {path}: it has no model.toml", "MODEL_DIR=model, or copy model/ to start one") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SlipwayError(f"{file} is not TOML: {error}", "see model/README.md") from None
    name, metric, direction = (values.get(key) for key in ("name", "metric", "direction"))
    if not isinstance(name, str) or not re.fullmatch(r"[a-z0-9]+([._-][a-z0-9]+)*", name):
        raise SlipwayError(f"{file}: name is {name!r}; an image is named by it, so it is lower case letters, digits, . _ -")
    if not isinstance(metric, str) or not metric:
        raise SlipwayError(f"{file}: metric is {metric!r}; it is the name of the metric that decides, such as rmse")
    if direction not in {"minimize", "maximize"}:
        raise SlipwayError(f"{file}: direction is {direction!r}; it is minimize or maximize")
    return ModelFolder(path, name, metric, direction)


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
