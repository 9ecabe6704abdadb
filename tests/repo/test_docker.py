"""Who writes docker's commands, and who asks which runtime there is: one place for each."""

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
