"""The Makefile is a table of contents: one line of help and one command a target, and whatever is advised exists."""

import itertools
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from slipway.settings import ROOT
from tests.repo import tree

LINES = tree.read("Makefile").splitlines()
RULES = {
    at: line
    for at, line in enumerate(LINES)
    if re.match(r"[^\s#:=]+( [^\s#:=]+)*:(?!=)", line) and not line.startswith(".PHONY")
}
TARGETS = {line.split(":")[0]: at for at, line in RULES.items() if re.match(r"[a-z_0-9]+:", line)}
RECIPES = {at: list(itertools.takewhile(lambda line: line.startswith("\t"), LINES[at + 1 :])) for at in RULES}
WORDS = r"[^;&|<>`]*"
SCRIPT = r"(scripts/\w+\.py [a-z-]+|benchmarks/(\w+/)?\w+\.py|-m (pytest|benchmarks\.\w+))\b"
COMMAND = re.compile(
    rf"\t@(awk -f scripts/help\.awk{WORDS}|\$\(ENV\) (\$\(PYTHON\)|python3)( -[EB]+)? {SCRIPT}{WORDS})"
)
ADVICE = re.compile(r"\bmake((?: [A-Z_]+=\S*)*(?: [a-z][a-z0-9_]*\b(?!=))+)")
# After these, `make` is the verb or the program.
PROSE = {"a", "and", "command", "it", "one", "reads", "sure", "that", "the", "this", "will"}


def advised(path: Path) -> set[str]:
    """Return the targets that a file tells people to make: in a page's code, or in what a module says."""
    texts = re.findall(r"```.*?```|`[^`]+`", tree.read(path), re.DOTALL) if path.suffix == ".md" else [tree.read(path)]
    if path.suffix == ".py":
        texts = tree.strings(path)
    found = set()
    for words in (match[1].split() for text in texts for match in ADVICE.finditer(text)):
        names = [word for word in words if "=" not in word]
        found |= {name for at, name in enumerate(names) if name not in PROSE and (at == 0 or "_" in name)}
    return found


@pytest.mark.parametrize("target", TARGETS)
def test_a_target_has_one_line_of_help(target: str) -> None:
    """Each target is declared phony right above it, and says on its own line what it does."""
    at = TARGETS[target]

    assert LINES[at - 1] == f".PHONY: {target}"
    assert re.fullmatch(rf"{target}:( [\w./]+)* ## [A-Z].{{8,90}}", LINES[at]), LINES[at]


@pytest.mark.parametrize("rule", RULES, ids=[line.split(":")[0] for line in RULES.values()])
def test_a_target_has_one_command(rule: int) -> None:
    """A recipe is one command: a verb of a script of ours (or pytest), with the settings read first."""
    recipe = RECIPES[rule]

    assert len(recipe) == 1, recipe
    assert COMMAND.fullmatch(recipe[0]), recipe[0]


@pytest.mark.parametrize("rule", RULES, ids=[line.split(":")[0] for line in RULES.values()])
def test_a_value_is_no_argument(rule: int) -> None:
    """What the caller types reaches a script by the environment alone, so that a dash before it makes it no option."""
    assert "$$" not in RECIPES[rule][0]


def test_a_dash_before_a_value_is_part_of_it(
    make: Callable[..., subprocess.CompletedProcess[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A value that begins with a dash is named in the error as what it is.

    And PYTHONHOME, where another Python lives, stops nothing.
    """
    monkeypatch.setenv("PYTHONHOME", "/nowhere")
    done = make("list_models", FORMAT="-x", RUNTIME="host")

    assert "error: FORMAT is '-x': must be table or json" in done.stderr


def test_it_holds_no_logic() -> None:
    """Beside its rules the Makefile has four variables, groups and comments.

    Nothing that macOS's make 3.81 does not know.
    """
    recipes = {line for recipe in RECIPES.values() for line in recipe}
    rest = [line for line in LINES if line and line not in recipes and line not in RULES.values()]
    allowed = re.compile(r"# .*|##@ [A-Z].*|\.PHONY: [a-z_0-9]+|\.DEFAULT_GOAL := help|(ENV|PYTHON|TESTS) := [^$()]*")

    assert [line for line in rest if not allowed.fullmatch(line)] == []


def test_verbs_and_targets_belong_together() -> None:
    """Each verb that a recipe runs exists, and each verb is run by a recipe."""
    run = set(re.findall(r"scripts/(\w+)\.py ([a-z-]+)", "\n".join(LINES)))

    assert run == {(path.stem, verb) for path in tree.find("scripts/*.py") for verb in tree.verbs(path)}


def test_a_group_has_one_script() -> None:
    """The verbs of a group of the Makefile stand in one script; those that run before set-up, in setup.py."""
    groups = "\n".join(LINES).split("\n##@ ")[1:]
    scripts = {group.splitlines()[0]: set(re.findall(r"scripts/(\w+)\.py", group)) - {"setup"} for group in groups}

    assert [group for group, run in scripts.items() if len(run) != 1] == []


def test_help_lists_every_target(make: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    """`make help` prints each group, and each target with its help."""
    printed = make("help").stdout
    missing = [target for target in TARGETS if not re.search(rf"^  {target} +[A-Z]", printed, re.MULTILINE)]
    groups = [line[4:] for line in LINES if line.startswith("##@ ")]

    assert missing == []
    assert [group for group in groups if group not in printed.splitlines()] == []


def test_make_alone_prints_the_help(make: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    """`make` without a target is `make help`."""
    alone = subprocess.run(
        ["make", "--no-print-directory"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout

    assert alone == make("help").stdout


@pytest.mark.parametrize(
    "path", tree.find("*.md", "src/*.py", "scripts/*.py", "model/*.py", "*.yaml", "mlflow_env.sh"), ids=str
)
def test_what_is_advised_can_be_made(path: Path) -> None:
    """Every `make x` in a page, and in what our programs say, names a target."""
    unknown = advised(path) - TARGETS.keys()

    assert unknown == set()
