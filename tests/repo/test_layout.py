"""Who imports whom, how large a package may be, how long a file may be, and what a folder holds.

As docs/architecture.md draws it.
"""

import ast
import re
import sys
from pathlib import Path

import pytest

from tests.repo import tree

CONTRACT = ("train.py", "model.toml", "MLproject", "request.json")
OF_EXAMPLE = ("train.py", "model.toml", "README.md", "pyproject.toml")

SLIPWAY = tree.modules("slipway")
PYTHON = tree.find("src/*.py", "scripts/*.py", "model/*.py", "examples/*.py", "tests/*.py", "mlflow_services/*.py")
MODEL_FOLDERS = sorted({Path("model"), *(Path(*path.parts[:2]) for path in tree.find("examples/*/train.py"))})
BEFORE_SET_UP = sorted(
    set(re.findall(r"python3 (?:-[EB]+ )?(scripts/\w+\.py)", tree.read("Makefile")))
)  # the system's Python runs these
TOO_NEW = {"tomllib"}  # is in Python 3.11's library, and not in 3.8's
LATER_METHODS = {"removeprefix", "removesuffix", "is_relative_to", "with_stem", "bit_count"}
FOLDERS_WITH_README = ["base_container", "mlflow_services", "model"]
OWN = {"slipway", "scoring", "model", "examples", "scripts", "tests"}


def roots(path: Path, *, types: bool = True) -> set[str]:
    """Return the top packages that a file imports."""
    return {module.split(".")[0] for module in tree.imports(path, types=types)}


def slipway_imports(path: Path, *, types: bool = True) -> set[str]:
    """Return the modules of slipway that a file imports."""
    return {module.removeprefix("slipway.") for module in tree.imports(path, types=types)} & SLIPWAY.keys()


def closure(path: Path) -> set[Path]:
    """Return a file and all of slipway that it loads when it runs."""
    found, waiting = {path}, [path]
    while waiting:
        new = {SLIPWAY[name] for name in slipway_imports(waiting.pop(), types=False)} - found
        found |= new
        waiting += new
    return found


@pytest.mark.parametrize(
    ("folder", "allowed"),
    [("scripts", {"slipway"}), ("src", {"slipway", "scoring"}), ("model", set()), ("examples", set())],
    ids=["scripts import slipway", "src imports itself", "model imports nothing of ours", "nor do examples"],
)
def test_imports_run_one_way(folder: str, allowed: set[str]) -> None:
    """A folder's code imports only what stands below it.

    Of the packages in src make check asks the same, by import-linter.
    """
    wrong = {
        str(path): sorted(found) for path in tree.find(f"{folder}/*.py") if (found := (roots(path) & OWN) - allowed)
    }

    assert wrong == {}


@pytest.mark.parametrize("package", [path.parent for path in tree.find("src/*/__init__.py")], ids=str)
def test_a_package_is_small(package: Path) -> None:
    """A package has at most 14 modules.

    Slipway and scoring themselves have at most 22 entries, of which 12 are packages.
    """
    files = [path.relative_to(package) for path in tree.find(f"{package}/*.py")]
    modules = {path for path in files if len(path.parts) == 1 and path.stem != "__init__"}
    packages = {path.parts[0] for path in files if len(path.parts) > 1}

    assert len(modules) <= 14
    assert len(packages) <= 12
    assert len(modules) + len(packages) <= 22


def test_the_registry_is_the_one_way_to_mlflow() -> None:
    """Of slipway and the scripts, only modules of registry load MLflow, and only two of them name its client.

    Entities, such as a Run, may be named as types anywhere. Scoring has its own loader, and so has the one module that
    runs in a model's environment.
    """
    files = tree.find("src/slipway/*.py", "scripts/*.py")
    users = {path for path in files if "mlflow" in roots(path, types=False)}
    names = {path for path in files if "MlflowClient" in tree.read(path)}

    assert users == {SLIPWAY[f"registry.{name}"] for name in ("client", "connection", "run_log")} | {
        SLIPWAY["monitoring.reference"]
    }
    assert names == {SLIPWAY["registry.client"], SLIPWAY["registry.connection"]}


def is_too_new(node: ast.AST) -> bool:
    """Whether a part of a program parses as Python 3.8 and fails there: `{…} | {…}`, and methods of later versions."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return isinstance(node.left, (ast.Dict, ast.DictComp)) or isinstance(node.right, (ast.Dict, ast.DictComp))
    return isinstance(node, ast.Attribute) and node.attr in LATER_METHODS


@pytest.mark.parametrize("script", BEFORE_SET_UP)
def test_what_runs_before_set_up_needs_nothing(script: str) -> None:
    """What make runs with the system's Python, and all it imports, is Python 3.8 and its standard library."""
    files = closure(Path(script))
    needed = set().union(*(roots(path, types=False) for path in files)) - {"slipway"}
    for path in files:
        parsed = ast.parse(tree.read(path), feature_version=(3, 8))
        assert not [ast.unparse(node) for node in ast.walk(parsed) if is_too_new(node)]

    assert needed - sys.stdlib_module_names == set()
    assert needed & TOO_NEW == set()


@pytest.mark.parametrize("path", PYTHON, ids=str)
def test_a_file_is_short(path: Path) -> None:
    """A file has at most 300 lines."""
    assert len(tree.read(path).splitlines()) <= 300


@pytest.mark.parametrize("path", tree.find("scripts/*.py"), ids=str)
def test_a_script_is_functions_with_help(path: Path) -> None:
    """A script's docstring is its --help, each function's that of a verb; it leaves by way of errors.exit_cleanly."""
    parsed = ast.parse(tree.read(path))
    begin = "\nfrom slipway import errors\n\nerrors.catch_interrupts()\n"
    end = "errors.exit_cleanly(main)" if str(path) in BEFORE_SET_UP else "verbs.run(cli)"

    assert ast.get_docstring(parsed)
    assert begin in tree.read(path)
    assert [verb for verb, function in tree.verbs(path).items() if not ast.get_docstring(function)] == []
    assert tree.read(path).endswith(f'\n\n\nif __name__ == "__main__":\n    {end}\n')


@pytest.mark.parametrize("path", tree.find("scripts/*.py"), ids=str)
def test_a_verb_loads_what_it_needs(path: Path) -> None:
    """A script itself loads only what takes no time, so no verb waits for the libraries of another."""
    tops = {node for node in ast.parse(tree.read(path)).body if isinstance(node, ast.Import | ast.ImportFrom)}
    loaded = {alias.name for node in tops for alias in node.names}

    assert loaded - sys.stdlib_module_names <= {"Path", "click", "errors", "hints", "settings", "verbs"}


@pytest.mark.parametrize("path", tree.find("scripts/*.py"), ids=str)
def test_an_option_reads_the_variable_of_its_name(path: Path) -> None:
    """What the caller types after make reaches a verb by the environment: --model is MODEL."""
    calls = [
        node
        for node in ast.walk(ast.parse(tree.read(path)))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "click.option"
    ]
    options = [
        (ast.literal_eval(call.args[0]), {word.arg: ast.unparse(word.value) for word in call.keywords})
        for call in calls
    ]

    assert [option for option, words in options if words["envvar"] != repr(option.removeprefix("--").upper())] == []


@pytest.mark.parametrize("path", PYTHON, ids=str)
def test_a_module_has_a_name_of_its_own(path: Path) -> None:
    """No module is a drawer for everything."""
    assert path.stem not in {"utils", "util", "helpers", "helper", "manager", "common", "misc"}


@pytest.mark.parametrize("folder", MODEL_FOLDERS, ids=str)
def test_a_model_folder_is_complete(folder: Path) -> None:
    """A model folder has every file of the contract; an example takes from model/ what all have in common."""
    names = {"model": [*CONTRACT, "Dockerfile", "README.md"]}.get(str(folder), OF_EXAMPLE)

    assert {folder / name for name in names} - set(tree.find(f"{folder}/*")) == set()


@pytest.mark.parametrize("folder", FOLDERS_WITH_README)
def test_a_working_folder_says_what_it_is(folder: str) -> None:
    """A folder that people work in has a README."""
    assert Path(folder, "README.md") in tree.find("*README.md")


@pytest.mark.parametrize("path", [Path("README.md"), *tree.find("*/README.md")], ids=str)
def test_a_readme_is_short(path: Path) -> None:
    """The README has at most 120 lines, a folder's at most 40."""
    lines = len(tree.read(path).splitlines()) if path in tree.find("*README.md") else 0

    assert 0 < lines <= (40 if len(path.parts) > 1 else 120)


@pytest.mark.parametrize("path", tree.find("*.md"), ids=str)
def test_links_lead_somewhere(path: Path) -> None:
    """A page's links to files of the repository lead to files that are there."""
    links = re.findall(r"\]\((?!\w+:|#)([^)#\s]+)", re.sub(r"```.*?```", "", tree.read(path), flags=re.DOTALL))
    files = tree.find()
    there = {*files, *(parent for file in files for parent in file.parents)}
    missing = [link for link in links if Path(*_flatten(path.parent / link)) not in there]

    assert missing == []


def _flatten(path: Path) -> list[str]:
    parts: list[str] = []
    for part in path.parts:
        parts = parts[:-1] if part == ".." else [*parts, part]
    return parts
