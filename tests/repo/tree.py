"""The repository's files, as the tests in this folder look at them."""

import ast
import subprocess
from pathlib import Path

from slipway.settings import ROOT


def find(*patterns: str) -> list[Path]:
    """Return the files that git has or would take, by git's patterns, as paths from the repository's root."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *patterns]
    names = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.splitlines()
    return [Path(name) for name in sorted(set(names)) if (ROOT / name).is_file()]


def read(path: Path | str) -> str:
    """Return a file's text."""
    return (ROOT / path).read_text(encoding="utf-8")


def imports(path: Path, *, types: bool = True) -> set[str]:
    """Return the modules that a Python file imports anywhere in it.

    Without `types`, those that it loads when it runs. `from slipway.registry import listing` is slipway.registry
    and slipway.registry.listing.
    """
    tree = ast.parse(read(path))
    guarded = [
        node for node in ast.walk(tree) if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    ]
    only_types = {id(inner) for node in guarded for inner in ast.walk(node)} if not types else set()
    found = set()
    for node in ast.walk(tree):
        if id(node) in only_types:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def verbs(script: Path) -> dict[str, ast.FunctionDef]:
    """Return the verbs of one of scripts/, and their functions.

    All but `main`, by the name that click is given or their own.
    """
    functions = [
        node for node in ast.parse(read(script)).body if isinstance(node, ast.FunctionDef) and node.name != "main"
    ]
    given = {node.name: [each.args for each in node.decorator_list if isinstance(each, ast.Call)] for node in functions}
    return {
        (ast.literal_eval(given[node.name][0][0]) if any(given[node.name][:1]) else node.name): node
        for node in functions
    }


def modules(package: str) -> dict[str, Path]:
    """Return the modules of slipway or scoring, such as registry.listing, and their files."""
    found = {path.relative_to("src", package).with_suffix("").parts: path for path in find(f"src/{package}/*.py")}
    return {".".join(parts).removesuffix(".__init__"): path for parts, path in found.items()}


def strings(path: Path) -> list[str]:
    """Return the string constants of a Python file, docstrings and the fixed parts of f-strings among them."""
    nodes = ast.walk(ast.parse(read(path)))
    return [node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)]
