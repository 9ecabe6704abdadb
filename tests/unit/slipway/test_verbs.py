"""How a file of scripts/ runs its verbs: exit codes, words, and what it reads, each in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import click
from slipway import errors, verbs
cli = click.Group(help="Verbs.", no_args_is_help=False)

@cli.command()
@click.option("--model", envvar="MODEL", default="the default", help="a model")
@click.option("--number", envvar="NUMBER", type=int, default=7, show_envvar=True)
def say(model, number):
    '''Say it.'''
    print(model, number)

@cli.command("break")
def break_it():
    raise errors.SlipwayError("it is broken", "make whole", errors.MODEL_DID_NOT_LOAD)

@cli.command()
def stop():
    raise KeyboardInterrupt

@cli.command()
def load():
    import model
    print(model.WHOSE)

if __name__ == "__main__":
    verbs.run(cli)
"""


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """Return a script whose name is that of a library, too."""
    for folder in ("scripts", "library"):
        (tmp_path / folder).mkdir()
    (tmp_path / "library" / "model.py").write_text("WHOSE = 'the library'\n")
    path = tmp_path / "scripts" / "model.py"
    path.write_text(SCRIPT)
    return path


def _run(script: Path, *arguments: str, **variables: str) -> tuple[int, str, str]:
    environment = {name: value for name, value in os.environ.items() if name not in {"MODEL", "NUMBER"}} | variables
    command = [sys.executable, "scripts/model.py", *arguments]
    done = subprocess.run(command, cwd=script.parents[1], env=environment, check=False, capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize(
    ("arguments", "variables", "printed"),
    [
        ([], {}, "the default 7\n"),
        ([], {"MODEL": "", "NUMBER": ""}, "the default 7\n"),
        ([], {"MODEL": "-x 'y' --number", "NUMBER": "0"}, "-x 'y' --number 0\n"),
        (["--model", "typed"], {"MODEL": "exported"}, "typed 7\n"),
    ],
    ids=["unset", "empty is unset", "a dash, a quote and a zero", "an argument wins"],
)
def test_an_option_is_what_make_exports(
    script: Path, arguments: list[str], variables: dict[str, str], printed: str
) -> None:
    """A verb is given what the environment says, as it is; an empty value counts as none."""
    assert _run(script, "say", *arguments, **variables) == (0, printed, "")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["break"], 3, "error: it is broken\n  try: make whole\n"),
        (["stop"], 130, "\nstopped\n"),
        ([], 2, "error: Missing command.\n  try: scripts/model.py --help\n"),
        (["sing"], 2, "error: No such command 'sing'.\n  try: scripts/model.py --help\n"),
        (
            ["say", "--number", "x"],
            2,
            (
                "error: Invalid value for '--number' (env var: 'NUMBER'): 'x' is not a valid integer.\n"
                "  try: scripts/model.py say --help\n"
            ),
        ),
    ],
    ids=["an error", "Ctrl-C", "no verb", "another verb", "a wrong value"],
)
def test_an_end_has_its_code_and_words(script: Path, arguments: list[str], code: int, words: str) -> None:
    """Errors, Ctrl-C and wrong usage end as in every command of ours, not as click has it."""
    assert _run(script, *arguments) == (code, "", words)


def test_help_is_the_docstring(script: Path) -> None:
    """--help prints a verb's docstring and options, and ends with 0."""
    code, printed, said = _run(script, "say", "--help")

    assert (code, said) == (0, "")
    assert "Say it." in printed
    assert "--model TEXT" in printed


def test_a_script_hides_no_library(script: Path) -> None:
    """A verb that imports a library with a script's name gets the library."""
    assert _run(script, "load", PYTHONPATH=str(script.parents[1] / "library")) == (0, "the library\n", "")
