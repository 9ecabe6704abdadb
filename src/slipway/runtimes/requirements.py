"""What a model asks for: the lines of its requirements, its Python version, and how they compare with a lock (pure)."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING

import yaml
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name as canonical

from slipway.registry import mlmodel
from slipway.settings import ROOT

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    from packaging.specifiers import SpecifierSet

FULL, CLIENT = "mlflow", "mlflow-skinny"  # the latter is all that a server needs of the former
NOTED = ("pytest", "rich")  # MLflow notes them as a model's where they happen to be installed
SAFE = {f"mlflow.{name}" for name in ("sklearn", "onnx", "xgboost", "lightgbm", "catboost")}  # loaders of data alone
PICKLES = {".pkl", ".pickle", ".joblib", ".cloudpickle"}


@dataclass(frozen=True)
class Asked:
    """What a model asks for: lines as pip reads them, without what is no library of its own; remarks for the user."""

    uri: str
    files: Path
    python: str  # 3.x that it was logged with, or ""
    lines: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    cure: tuple[str, str] = (
        "log the model with pip_requirements=… that exist",
        "; SCORING_CHECK_LIBRARIES=off tries those of the folder",
    )  # if that cannot be resolved; the latter also without a package index


def read(uri: str, files: Path, training_only: Collection[str] = ()) -> Asked | None:
    """Read what a model's files ask for, or None if they do not say.

    What stands in `training_only`, and what MLflow notes on its own, is left out. MLflow itself becomes its client, in
    a version that our server takes.
    """
    lines = _read_lines(files)
    if lines is None:
        return None
    kept, remarks, left = list[str](), list[str](), list[str]()
    for line in lines:
        wanted = parse(line)
        name = canonical(wanted.name) if wanted else ""
        if wanted and name in {*training_only, *NOTED}:
            left.append(str(wanted))
        elif wanted and name in {FULL, CLIENT} and not wanted.extras:
            client, remark = as_client(wanted)
            kept += client
            remarks += remark
        else:
            kept.append(re.sub(r"(==[^\s;,+]+)\+[\w.]+", r"\1", line) if wanted else line)  # torch==2.9+cpu is 2.9
    if left:
        remarks.append(f"not a requirement, because only training has it: {', '.join(left)}")
    return Asked(uri, files, read_python(files), list(dict.fromkeys(kept)), remarks)


def as_client(wanted: Requirement) -> tuple[list[str], list[str]]:
    """Return the line that asks for MLflow's client in the place of MLflow, or, if it takes none of ours, a remark."""
    ours = server_ranges()[CLIENT]
    bounds = [each.version.removesuffix(".*") for each in (*ours, *wanted.specifier)]  # ranges that meet share one
    if any(all(each.contains(bound, prereleases=True) for each in (ours, wanted.specifier)) for bound in bounds):
        return [f"{CLIENT}{wanted.specifier}"], []
    return [], [f"it asks for MLflow {str(wanted.specifier).removeprefix('==')}, and gets {CLIENT} {ours}"]


def read_python(files: Path) -> str:
    """Return the Python version, such as 3.13, that a model was logged with, or nothing."""
    function = (mlmodel.read_metadata(files).get("flavors") or {}).get("python_function") or {}
    found = re.match(r"3\.\d+", str(function.get("python_version", "")))
    return found[0] if found else ""


def is_portable(files: Path) -> bool:
    """Whether a model may load in another Python version: its files are data and source, no pickles."""
    if any(path.suffix in PICKLES for path in files.rglob("*")):
        return False
    flavors = mlmodel.read_metadata(files).get("flavors") or {}
    function = flavors.get("python_function") or {}
    is_skops = (flavors.get("sklearn") or {}).get("serialization_format", "skops") == "skops"
    return is_skops and (function.get("loader_module") in SAFE or bool(function.get("model_code_path")))


def fits(asked: Asked, locked: Mapping[str, set[str]]) -> bool:
    """Whether a lock has all that a model asks for, in the versions that it pins."""
    for line in asked.lines:
        wanted = parse(line)
        if wanted is None or wanted.url:
            return False
        if wanted.marker and not wanted.marker.evaluate():
            continue
        versions = locked.get(canonical(wanted.name))
        if not versions or not all(wanted.specifier.contains(each, prereleases=True) for each in versions):
            return False
    return True


def serves(locked: Mapping[str, set[str]]) -> bool:
    """Whether a lock has what our server needs now."""
    return all(
        name in locked and all(ours.contains(each, prereleases=True) for each in locked[name])
        for name, ours in server_ranges().items()
    )


def pins(text: str) -> dict[str, set[str]]:
    """Return the versions that a requirements file pins, by name: several where markers choose."""
    found: dict[str, set[str]] = {}
    for name, version in re.findall(r"^([\w.-]+)(?:\[[^]]*\])?==([^\s;\\]+)", text, re.MULTILINE):
        found.setdefault(canonical(name), set()).add(version)
    return found


def applying(text: str) -> set[tuple[str, str]]:
    """Return the names and versions of a hashed requirements file that hold for this Python and platform."""
    wanted = [found for line in re.findall(r"^[\w].*?(?=\s*\\?$)", text, re.MULTILINE) if (found := parse(line))]
    here = [each for each in wanted if each.marker is None or each.marker.evaluate()]
    return {(canonical(each.name), next(iter(each.specifier)).version) for each in here}


@cache
def server_ranges() -> dict[str, SpecifierSet]:
    """Return what our server needs: the group `server` of pyproject.toml, by name."""
    return _read_group("server")


@cache
def store_ranges() -> dict[str, SpecifierSet]:
    """Return what a training needs to log to the embedded store: the group `store`, by name."""
    return _read_group("store")


def _read_group(name: str) -> dict[str, SpecifierSet]:
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["dependency-groups"]
    wanted = [Requirement(line) for line in groups[name]]
    return {canonical(each.name): each.specifier for each in wanted}


def parse(line: str) -> Requirement | None:
    """Read a line of a requirements file, or None for an option, a path, or what is no requirement."""
    try:
        return Requirement(re.split(r"\s(?:#|--hash)", line)[0].strip())
    except InvalidRequirement:
        return None


def _read_lines(files: Path) -> list[str] | None:
    """Return the lines of requirements.txt, or of the pip part of conda.yaml; None if there is neither."""
    file, conda = files / "requirements.txt", files / "conda.yaml"
    if file.exists():
        found = file.read_text(encoding="utf-8", errors="replace").replace("\\\n", " ").splitlines()
    elif conda.exists():
        try:
            given = yaml.safe_load(conda.read_text(encoding="utf-8"))
        except (yaml.YAMLError, UnicodeDecodeError):
            return None
        asked = given.get("dependencies") if isinstance(given, dict) else None
        parts = [each for each in asked or [] if isinstance(each, dict)]
        found = [str(line) for part in parts for line in part.get("pip", [])]
    else:
        return None
    return [line.strip() for line in found if line.strip() and not line.strip().startswith("#")]
