"""pyproject.toml of the checkout, and of model folders that have their own libraries. Standard library only.

It is read and changed as text, which keeps comments and order, and needs no TOML parser in Python 3.8.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, NamedTuple

from slipway.bootstrap.venv import ROOT
from slipway.errors import USAGE, SlipwayError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

GROUPS = (
    "serving",
    "load",
    "parquet",
    "training",
    "mlflow",
    "deployer",
    "host",
    "dev",
    "setup",
    "lock",
)  # of the checkout; exported
OF_FOLDER = ("serving", "training")  # what is exported of a model folder's lock
ADDED_TO = ("model", "training")  # groups that a library can be added to
HEAD = "[dependency-groups]\n"
TOKEN = re.compile(r'"(?:[^"\\\n]|\\.)*"|\'[^\'\n]*\'|#[^\n]*|[\[\]]')
LIBRARY = re.compile(r"([A-Za-z0-9][\w.-]*)(\[[\w.,-]+\])?([=<>!~][=<>!~\w.*+,-]*)?")  # name, extras, version


class Place(NamedTuple):
    """Where an array stands in a text: its brackets, and the strings directly in it, as (begin, end)."""

    begin: int
    end: int
    strings: list[tuple[int, int]]


def find(folder: Path) -> Path:
    """Return the folder whose pyproject.toml a model folder uses: its own, or the checkout's."""
    return folder if (folder / "pyproject.toml").exists() else ROOT


def find_folder(variables: Mapping[str, str]) -> Path:
    """Return the model folder that the caller's MODEL_DIR names."""
    return (ROOT / (variables.get("MODEL_DIR", "").strip() or "model")).resolve()


def read_system(folder: Path) -> list[str]:
    """Return the Debian packages that a folder's model.toml names; what is wrong in it is a command's to say."""
    file = folder / "model.toml"
    text = file.read_text(encoding="utf-8", errors="replace") if file.exists() else ""
    place = find_array(text, "system")
    return [text[begin + 1 : end - 1] for begin, end in place.strings] if place else []


def read_model(folder: Path) -> list[str]:
    """Return what the group `model` of the pyproject.toml that a folder uses asks for."""
    text = (find(folder) / "pyproject.toml").read_text(encoding="utf-8", errors="replace")
    place = find_array(text, "model") if HEAD in text else None
    return [text[begin + 1 : end - 1] for begin, end in place.strings] if place else []


def list_all() -> list[Path]:
    """Return the checkout, and the model folders that lock their libraries themselves."""
    files = sorted(ROOT.glob("examples/*/pyproject.toml"))
    return [ROOT, *(file.parent for file in files if is_ours(file.read_text(encoding="utf-8", errors="replace")))]


def groups(project: Path) -> tuple[str, ...]:
    """Return the groups of a project that are exported to its requirements/."""
    return GROUPS if project == ROOT else OF_FOLDER


def is_ours(text: str) -> bool:
    """Return whether a pyproject.toml has the group that we lock; else it is another tool's, such as uv's or ruff's."""
    return HEAD in text and find_array(text, "model") is not None


def complete(project: Path, text: str) -> str:
    """Return a project's pyproject.toml as it is locked: a folder's with the groups of the model server and of MLflow.

    Raises SlipwayError if it has no group `model`.
    """
    if project == ROOT:
        return text
    if not is_ours(text):
        words = f"{project / 'pyproject.toml'} has no group model in [dependency-groups]: what is to be locked?"
        raise SlipwayError(words, 'model = ["mlflow-skinny", "scikit-learn"] below [dependency-groups]')
    shared = _read_root()
    added = {
        "server": _cut(shared, "server"),
        "store": _cut(shared, "store"),
        "serving": '[{ include-group = "model" }, { include-group = "server" }]',
        "training": '[{ include-group = "model" }, { include-group = "store" }]',
    }
    own = find_array(text, "training")
    if own and "store" not in text[own.begin : own.end]:  # it gets what MLflow's embedded store needs
        text = f'{text[: own.begin + 1]}{{ include-group = "store" }}, {text[own.begin + 1 :]}'
    lines = [f"{name} = {array}\n" for name, array in added.items() if find_array(text, name) is None]
    return text.replace(HEAD, HEAD + "".join(lines), 1)


def begin(folder: Path, asked: list[str]) -> str:
    """Return a pyproject.toml for a folder that has none.

    Its group `model` is what the folder asked for so far, or the checkout's; `training` is the checkout's.
    """
    shared = _read_root()
    model = "[\n" + "".join(f"    {json.dumps(line)},\n" for line in asked) + "]" if asked else _cut(shared, "model")
    training = _cut(shared, "training").replace('    { include-group = "store" },\n', "")
    python = re.search(r'^requires-python = "[^"]+"$', shared, re.MULTILINE)
    name = re.sub(r"[^a-z0-9]+", "-", folder.name.lower()).strip("-") or "my"  # xgboost must not depend on itself
    place = folder.relative_to(ROOT) if ROOT in folder.parents else folder
    return (
        f"# This model's own libraries: make add LIBRARY=…, or edit the groups, and make lock MODEL_DIR={place}\n"
        f'[project]\nname = "{name}-model"\nversion = "0.1.0"\n{python[0] if python else ""}\n\n'
        f"[tool.poetry]\npackage-mode = false\n\n"
        f"{HEAD}model = {model}\ntraining = {training}\n"
    )


def add(text: str, group: str, library: str) -> str:
    """Return pyproject.toml with a library in a group, in the place of the same one with another version.

    Without a version, what is there already stays. Raises SlipwayError if there is no such group.
    """
    place = find_array(text, group)
    if place is None:
        raise SlipwayError(f"pyproject.toml has no group {group}", f"{group} = [] below [dependency-groups]")
    name, version = parse(library)
    for begin, end in place.strings:
        if _fold(text[begin + 1 : end - 1]) == name:
            return f'{text[:begin]}"{library}"{text[end:]}' if version else text
    first = text.find("\n", place.begin, place.end)
    if first >= 0:
        return f'{text[: first + 1]}    "{library}",\n{text[first + 1 :]}'
    comma = ", " if text[place.begin + 1 : place.end - 1].strip() else ""
    return f'{text[: place.begin + 1]}"{library}"{comma}{text[place.begin + 1 :]}'


def parse(library: str) -> tuple[str, str]:
    """Return a requirement's name, as package indexes compare it, and its version.

    Raises SlipwayError (exit code 2) for what is no requirement.
    """
    found = LIBRARY.fullmatch(library)
    if not found:
        raise SlipwayError(f"{library!r} does not name a library", "make add LIBRARY=lightgbm", USAGE)
    return _fold(library), found[3] or ""


def find_array(text: str, name: str) -> Place | None:
    """Return where the array of a group stands, or None if there is no such group."""
    found = re.search(rf"^{name}\s*=\s*(?=\[)", text, re.MULTILINE)
    if not found:
        return None
    depth = 0
    strings: list[tuple[int, int]] = []
    for token in TOKEN.finditer(text, found.end()):
        if token[0] in "[]":
            depth += 1 if token[0] == "[" else -1
            if depth == 0:
                return Place(found.end(), token.end(), strings)
        elif token[0][0] in "\"'" and not re.search(
            r"=\s*$", text[: token.start()]
        ):  # not of { include-group = "model" }
            strings.append((token.start(), token.end()))
    return None


def _fold(requirement: str) -> str:
    """Return the name in a requirement as package indexes compare it."""
    return re.sub(r"[-_.]+", "-", re.split(r"[^\w.-]", requirement.strip())[0]).lower()


def _cut(text: str, group: str) -> str:
    place = find_array(text, group)
    return text[place.begin : place.end] if place else "[]"


def _read_root() -> str:
    return (ROOT / "pyproject.toml").read_text(encoding="utf-8")
