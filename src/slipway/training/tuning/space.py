"""The table `tune` of model.toml: which arguments of the folder's script a search varies, and between which values."""

from __future__ import annotations

import math
import re
import tomllib
from typing import TYPE_CHECKING

from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from slipway.errors import SlipwayError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from optuna.distributions import BaseDistribution

    from slipway.model_folder import ModelFolder

    Space = dict[str, BaseDistribution]

EXAMPLE = '[tune]\n       alpha = { low = 0.001, high = 1.0, log = true }\n       loss = ["squared_error", "huber"]'
NAME = re.compile(r"[A-Za-z][\w.-]{0,99}")
MOST = 100  # arguments, and choices of one
LARGEST = 2**53  # of a number: beyond, not every whole one has a float
LONGEST = 500  # characters of a choice, as MLflow keeps them as a parameter


def read(model: ModelFolder) -> Space:
    """Return what Optuna draws each argument from.

    A list is of choices, which the script gets as text (true and false in small letters); a table has `low` and `high`,
    both included: whole numbers if neither is written with a point. Raises SlipwayError when there is no such table,
    and for values that contradict each other.
    """
    file = model.path / "model.toml"
    given = tomllib.loads(file.read_text(encoding="utf-8")).get("tune")
    if not isinstance(given, dict) or not given:
        words = "has no table tune, which says what a search varies"
        raise SlipwayError(f"{file} {words}", f"in it\n       {EXAMPLE}")
    if len(given) > MOST:
        raise SlipwayError(f"{file}: tune has {len(given)} arguments; a search takes at most {MOST}")
    return {name: _read(file.name, name, value) for name, value in given.items()}


def write(values: dict[str, object]) -> list[str]:
    """Return values as the script's arguments, such as --alpha 0.1; a negative one follows an equals sign (pure)."""
    words = []
    for name, value in values.items():
        text = str(value)
        words += [f"--{name}={text}"] if text.startswith("-") else [f"--{name}", text]
    return words


def say(values: dict[str, object]) -> str:
    """Return values for people, such as alpha=0.1 (pure)."""
    texts = {name: f"{value:.5g}" if isinstance(value, float) else value for name, value in values.items()}
    return " ".join(f"{name}={text}" for name, text in texts.items())


def find_unknown(space: Iterable[str], model: ModelFolder) -> list[str]:
    """Return the arguments that no Python file of the folder mentions, which may be misspelt."""
    files = (file for file in model.path.rglob("*.py") if not _is_hidden(file.relative_to(model.path)))
    text = "\n".join(file.read_text(encoding="utf-8", errors="replace") for file in files)
    return [name for name in space if name not in text and name.replace("-", "_") not in text]


def find_fixed(space: Iterable[str], words: Iterable[str]) -> list[str]:
    """Return the arguments that a command line sets (pure)."""
    given = {word.split("=")[0].replace("_", "-") for word in words}
    return [name for name in space if f"--{name}".replace("_", "-") in given]


def _is_hidden(file: Path) -> bool:
    return any(part.startswith(".") for part in file.parts[:-1])


def _read(file: str, name: str, value: object) -> BaseDistribution:
    place = f"{file}: tune.{name}"
    if not NAME.fullmatch(name):
        raise SlipwayError(f"{place}: a name has letters, digits, . _ and -, such as l1-ratio for --l1-ratio")
    if isinstance(value, list):
        return _read_choices(place, value)
    if not isinstance(value, dict):
        raise SlipwayError(
            f"{place} is {value!r}: must be a list of choices, or a table", EXAMPLE.splitlines()[1].strip()
        )
    if unknown := value.keys() - {"low", "high", "step", "log"}:
        raise SlipwayError(f"{place} has {', '.join(sorted(unknown))}; it takes low, high, and step or log")
    return _read_range(place, value)


def _read_choices(place: str, choices: list[object]) -> BaseDistribution:
    if not 0 < len(choices) <= MOST:
        raise SlipwayError(f"{place} has {len(choices)} choices; must have 1 to {MOST}")
    texts = []
    for choice in choices:
        text = str(choice).lower() if isinstance(choice, bool) else str(choice)
        is_plain = isinstance(choice, str | int) or (isinstance(choice, float) and math.isfinite(choice))
        if not is_plain or "\0" in text or len(text) > LONGEST:
            raise SlipwayError(f"{place}: a choice is a text of at most {LONGEST} characters, a number, true or false")
        texts.append(text)
    if len(set(texts)) < len(texts):
        raise SlipwayError(f"{place} has a choice twice")
    return CategoricalDistribution(texts)


def _read_range(place: str, value: dict[str, object]) -> BaseDistribution:
    numbers: dict[str, int | float] = {}
    for key in ("low", "high", "step"):
        number = value.get(key, 0 if key == "step" else None)
        if isinstance(number, bool) or not isinstance(number, int | float) or not abs(number) <= LARGEST:
            has = f"{key} is {number!r}" if key in value else f"{key} is missing"
            raise SlipwayError(f"{place}: {has}; must be a number, of at most 2**53", "{ low = 0.0, high = 1.0 }")
        numbers[key] = number
    low, high, step = numbers.values()
    log = value.get("log", False)
    if not isinstance(log, bool):
        raise SlipwayError(f"{place}: log is {log!r}; must be true or false")
    if low >= high:
        raise SlipwayError(f"{place}: low is {low}, which is not below high, {high}")
    if log and (low <= 0 or "step" in value):
        raise SlipwayError(f"{place}: log = true takes no step, and a low above 0; low is {low}")
    if "step" in value and not 0 < step <= high - low:
        raise SlipwayError(f"{place}: step is {step}; must be above 0, and fit between low and high")
    if isinstance(low, int) and isinstance(high, int) and isinstance(step, int):
        return IntDistribution(low, high, log=log, step=step or 1)
    return FloatDistribution(low, high, log=log, step=step or None)
