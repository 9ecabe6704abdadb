"""What a folder without a lock of its own asks for, in the files that `mlflow run` reads."""

from __future__ import annotations

import re
import tomllib
from typing import TYPE_CHECKING, Any

import yaml

from slipway.errors import SlipwayError
from slipway.runtimes.requirements import CLIENT, FULL, Asked, as_client, fits, parse, pins
from slipway.settings import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from slipway.model_folder import ModelFolder

FILES = (
    "requirements.txt",
    "python_env.yaml",
    "conda.yaml",
    "pyproject.toml",
)  # the first that is there counts, unless MLproject says
NAMED = re.compile(r"^(?:python_env|conda_env):\s*['\"]?([\w./-]+)", re.MULTILINE)  # in MLproject
CONDA = re.compile(r"(?:[\w-]+::)?([\w.-]+)\s*(?:(=)([\w.*]+)(?:=\S+)?|([=<>!~]{2}.*|[<>].*))?")
NEEDED = (CLIENT, "pandas", "scikit-learn", "skops")  # what a script that logs a model gets from all of MLflow
WHOLE = 2  # dots in a whole version; conda takes a shorter one for all that begin with it


def read(model: ModelFolder) -> Asked | None:
    """Return what a folder's requirements.txt, python_env.yaml, conda.yaml or pyproject.toml asks for.

    None if the folder has none of them, or is the checkout's own, whose lock is the checkout's. MLflow itself becomes
    its client, in a version that our server takes. Raises SlipwayError for a file that cannot be read.
    """
    file = find(model)
    if file is None:
        return None
    try:
        lines = READERS[file.suffix](file)
    except (OSError, ValueError, yaml.YAMLError, TypeError, AttributeError) as error:
        raise SlipwayError(f"{file} cannot be read: {error}".splitlines()[0], "see docs/add-a-model.md") from None
    if not lines and file.suffix == ".toml":  # it is there for a linter
        return None
    kept, remarks = list[str](), list[str]()
    for line in lines:
        wanted = parse(line)
        is_client = wanted and wanted.name.lower() in {FULL, CLIENT} and not wanted.extras
        client, remark = as_client(wanted) if wanted and is_client else ([line], [])
        kept += client
        remarks += remark
    there = {wanted.name.lower() for line in kept if (wanted := parse(line))}
    kept += [name for name in NEEDED if name not in there]
    name = f"{model.path.name}/{file.name}"
    return Asked(name, model.path, "", list(dict.fromkeys(kept)), remarks, (f"other versions in {name}", ""))


def is_had(asked: Asked, model: ModelFolder) -> bool:
    """Return whether the lock that the folder uses already has all that it asks for."""
    return fits(asked, pins((model.requirements / "training.txt").read_text(encoding="utf-8")))


def list_libraries(model: ModelFolder) -> list[str]:
    """Return the libraries that a folder asks for beyond its lock, without options of pip and paths."""
    asked = read(model)
    if asked is None or is_had(asked, model):
        return []
    return [str(wanted) for line in asked.lines if (wanted := parse(line))]


def find(model: ModelFolder) -> Path | None:
    """Return the file that says which libraries a folder needs, or None."""
    if model.has_own_libraries or model.path == ROOT / "model":
        return None
    folder, project = model.path, model.path / "MLproject"
    named = NAMED.search(project.read_text(encoding="utf-8", errors="replace")) if project.exists() else None
    names = [*([named[1]] if named else []), *FILES]
    return next((folder / name for name in names if (folder / name).is_file()), None)


def _read_text(file: Path) -> list[str]:
    lines = [line.strip() for line in file.read_text(encoding="utf-8").replace("\\\n", " ").splitlines()]
    return [each for line in lines if line and line[0] != "#" for each in _expand(file.parent, line)]


def _expand(folder: Path, line: str) -> list[str]:
    """Return a line of requirements, or the lines of the file that it names."""
    found = re.match(r"(?:-r|--requirement)[ =]\s*(\S+)", line)
    return _read_text(folder / found[1]) if found else [line]


def _read_yaml(file: Path) -> list[str]:
    given: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
    lines = []
    for each in given.get("dependencies") or []:
        if isinstance(each, dict):  # conda's part for pip
            lines += [line for one in each.get("pip") or [] for line in _expand(file.parent, str(one))]
        elif file.name == "python_env.yaml" or ("channels" not in given and "name" not in given):
            lines += _expand(file.parent, str(each))
        elif (found := CONDA.fullmatch(str(each).strip())) and found[1] not in {"python", "pip"}:
            lines.append(found[1] + (f"=={_widen(found[3])}" if found[2] else found[4] or ""))
    return lines


def _read_toml(file: Path) -> list[str]:
    project = tomllib.loads(file.read_text(encoding="utf-8")).get("project") or {}
    return [str(line) for line in project.get("dependencies") or []]


def _widen(version: str) -> str:
    return version if version.count(".") >= WHOLE or version.endswith("*") else f"{version}.*"


READERS = {".txt": _read_text, ".yaml": _read_yaml, ".yml": _read_yaml, ".toml": _read_toml}
