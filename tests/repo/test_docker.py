"""Who writes docker's commands, and who asks which runtime there is."""

import ast
import re
from pathlib import Path

from tests.repo import tree

WRITER = Path("src/slipway/bootstrap/docker_cli.py")
PYTHON = tree.find("src/*.py", "scripts/*.py")


def is_command(node: ast.AST) -> bool:
    """Whether a part of a program is a list or a tuple of words that docker begins."""
    if not isinstance(node, ast.List | ast.Tuple) or len(node.elts) < 2:
        return False
    return isinstance(node.elts[0], ast.Constant) and node.elts[0].value == "docker"


def test_one_module_writes_dockers_commands() -> None:
    """Others call its functions, so what a command looks like stands once."""
    found = {
        f"{path}: {ast.unparse(node)}"
        for path in PYTHON
        for node in ast.walk(ast.parse(tree.read(path)))
        if is_command(node) or (isinstance(node, ast.Attribute) and node.attr == "PROGRAM" and path != WRITER)
    }

    assert found == set()


def test_one_module_knows_dockers_templates() -> None:
    """What docker prints of a thing is asked for there too: no one else writes a template for it to fill in."""
    template = re.compile(r"\{\{(\.[A-Z]|range |index |json )")
    users = {path for path in PYTHON if any(template.search(text) for text in tree.strings(path))}

    assert users == {WRITER}


def test_the_runtime_decides_what_runs_where() -> None:
    """Who trains or serves asks `runtimes.of`; only what is about the services themselves asks which runtime it is."""
    about_services = {"registry/connection.py", "services/backup.py", "services/mlflow.py", "services/restore.py"}
    about_services |= {"deployer/start.py"}  # the deployer is one of them
    users = {
        path.relative_to("src/slipway").as_posix()
        for path in tree.find("src/slipway/*.py")
        if path.parent.name != "runtimes"
        and any(
            isinstance(node, ast.Attribute) and node.attr == "in_docker"
            for node in ast.walk(ast.parse(tree.read(path)))
        )
    }

    assert users <= {"settings/kinds.py", *about_services}
