"""The model folder: what `model.toml` says of it, and what identifies its content."""

from __future__ import annotations

import contextlib
import hashlib
import math
import re
import shlex
import tomllib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import yaml

from slipway.bootstrap import projects
from slipway.bootstrap.venv import ROOT
from slipway.errors import SlipwayError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

# Less than MLflow allows: MODEL= names it, too, and two dots begin what a lock is for
REGISTERED = re.compile(r"(?!.*\.\.)\w([\w .+-]{0,198}[\w.+-])?")
LOCK = ".release-lock"  # suffix of a registered model that is a lock: see release/lock.py
PLAIN = re.compile(r"[a-z0-9]+([._-][a-z0-9]+)*")  # what a Docker image may be called
DEBIAN = re.compile(r"[a-z0-9][a-z0-9+.-]+")  # what a Debian package may be called
TRAIN = "train.py"
PARAMS = "params.env"  # the parameters of a folder's scripts
# Left out of digests and, by .dockerignore, of images
NO_CODE = {"__pycache__", "mlruns", "mlflow.db", "request.json", "README.md"}


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
    """A model folder and its `model.toml`: registered name, the metric that decides between versions, gate, script.

    `system` are the Debian packages that its libraries load, such as libgomp1.
    """

    path: Path
    name: str
    metric: str
    direction: str  # minimize or maximize
    rules: Rules
    script: str = TRAIN
    system: tuple[str, ...] = ()

    @property
    def has_own_libraries(self) -> bool:
        """Whether the folder locks its dependencies itself: the group `model` of its pyproject.toml."""
        file = self.path / "pyproject.toml"
        return file.exists() and projects.is_ours(file.read_text(encoding="utf-8", errors="replace"))

    @property
    def requirements(self) -> Path:
        """The folder with the exported lock: serving.txt (to predict, in our server), training.txt (to train)."""
        return (self.path if self.has_own_libraries else ROOT) / "requirements"


def load(path: Path) -> ModelFolder:
    """Read `model.toml`.

    Raises SlipwayError if the folder is not a model folder, or the file cannot be used.
    """
    values = _read(file := path / "model.toml")
    name, metric, direction = (values.get(key) for key in ("name", "metric", "direction"))
    if not isinstance(name, str) or not REGISTERED.fullmatch(name) or name.endswith(LOCK):
        words = f"must be letters, digits, spaces, . _ - +, at most 200, not ending in {LOCK}"
        raise SlipwayError(f"{file}: name is {name!r}; {words}", 'name = "wine-quality"')
    if not isinstance(metric, str) or not metric:
        raise SlipwayError(f"{file}: metric is {metric!r}; must be the name of the deciding metric, such as rmse")
    if direction not in {"minimize", "maximize"}:
        raise SlipwayError(f"{file}: direction is {direction!r}; must be minimize or maximize")
    rules = _read_rules(file, values.get("gate", {}), metric, direction)
    return ModelFolder(path, name, metric, direction, rules, _read_script(file, values), _read_system(file, values))


def read_name(path: Path) -> str:
    """Return the registered name of a folder whose model.toml may not be ready; "" where it says none."""
    with contextlib.suppress(SlipwayError):
        return str(_read(path / "model.toml").get("name", ""))
    return ""


def read_table(path: Path, name: str) -> object:
    """Return a table of model.toml as it stands there, {} without one; raise SlipwayError for what is not TOML."""
    return _read(path / "model.toml").get(name, {})


def read_params(path: Path) -> tuple[list[str], dict[str, str]]:
    """Return what a folder's params.env has its scripts run with: arguments of the one that trains, and variables.

    A line `alpha=0.3` is the argument `--alpha 0.3`, `quick=` the argument `--quick`; a name in capitals, such as
    OMP_NUM_THREADS=1, is an environment variable of all scripts. Raises SlipwayError for a line that is neither.
    """
    file = path / PARAMS
    arguments: list[str] = []
    variables: dict[str, str] = {}
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines() if file.exists() else []
    except UnicodeDecodeError:
        raise SlipwayError(f"{file} is not UTF-8", "save it as UTF-8") from None
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        found = re.fullmatch(r"\s*([A-Za-z][\w.-]*)=(.*)", line)
        try:
            values = shlex.split(found[2], comments=True) if found else []
        except ValueError:  # a quote that is not closed
            found = None
        if found is None or len(values) > 1 or "\0" in line:
            words = f"{file}, line {number}: {line.strip()!r} is not NAME=VALUE, with quotes around several words"
            raise SlipwayError(words, "alpha=0.3")
        if found[1].isupper():
            variables[found[1]] = "".join(values)
        else:
            arguments += [f"--{found[1]}", *values]
    return arguments, variables


def plain(name: str) -> str:
    """Return a registered name as images, containers, files and, cut to 46 characters, Kubernetes objects may bear it.

    One that they may not has a digest, which tells it apart.
    """
    if PLAIN.fullmatch(name):
        return name
    words = "-".join(re.findall(r"[a-z0-9]+", name.lower())) or "model"
    return f"{words[:37]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        words = f"no model folder at {file.parent}: it has no model.toml"
        raise SlipwayError(words, "MODEL_DIR=model, or make new_model NAME=… KIND=…") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SlipwayError(f"{file} is not TOML: {error}", "see docs/add-a-model.md") from None


def _read_script(file: Path, values: dict[str, object]) -> str:
    """Return the script that trains: `script` of model.toml, train.py, or what MLproject's entry point main runs."""
    script = values.get("script")
    if script is None:
        return TRAIN if (file.parent / TRAIN).exists() else _find_main(file.with_name("MLproject")) or TRAIN
    if not isinstance(script, str) or not re.fullmatch(r"(?!/)[\w./-]+\.py", script) or ".." in script:
        raise SlipwayError(f"{file}: script is {script!r}; must be a Python file in the folder", 'script = "main.py"')
    return script


def _find_main(project: Path) -> str:
    """Return the Python file that MLproject's entry point main runs, or nothing."""
    if not project.exists():
        return ""
    try:
        command = yaml.safe_load(project.read_text(encoding="utf-8"))["entry_points"]["main"]["command"]
    except (yaml.YAMLError, UnicodeDecodeError, KeyError, TypeError):
        return ""
    found = re.match(r"python3?\s+([\w./-]+\.py)\b", str(command).strip())
    return found[1] if found else ""


def _read_system(file: Path, values: dict[str, object]) -> tuple[str, ...]:
    given = values.get("system", [])
    if not isinstance(given, list) or not all(isinstance(name, str) and DEBIAN.fullmatch(name) for name in given):
        raise SlipwayError(f"{file}: system is {given!r}; must be a list of Debian packages", 'system = ["libgomp1"]')
    return tuple(sorted(set(given)))


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
