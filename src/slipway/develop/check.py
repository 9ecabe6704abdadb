"""Linters and the type checker, all of them, on the files that git knows or would take."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from slipway import shell
from slipway.errors import SlipwayError
from slipway.settings import ROOT

TOOLS = (  # the command, and the files it is given (none: it finds them itself)
    (("ruff", "check", "--quiet"), ()),
    (("ruff", "format", "--check"), ()),
    (("mypy",), ()),
    (("lint-imports", "--no-logo", "--no-cache"), ()),
    (("hadolint",), ("*Dockerfile",)),
    (("shellcheck",), ("*.sh", ".ci/run")),
    (("yamllint", "--strict"), ("*.yaml", "*.yml", ".yamllint")),
    (("check-jsonschema", "--builtin-schema", "vendor.github-workflows"), (".github/workflows/*.yml",)),
)
BIN = Path(sys.executable).parent  # where the locked tools lie


def run() -> None:
    """Run every tool, also after one that failed; print a line for each and the words of those that failed.

    Raises SlipwayError with the names of those.
    """
    os.chdir(ROOT)
    failed = [command[0] for command, patterns in TOOLS if not _passes(command, patterns)]
    if failed:
        raise SlipwayError(
            f"failed: {', '.join(dict.fromkeys(failed))}", "ruff check --fix and ruff format fix their own findings"
        )


def _passes(command: tuple[str, ...], patterns: tuple[str, ...]) -> bool:
    name = " ".join(part for part in command if not part.startswith("-"))
    if not (BIN / command[0]).exists():
        print(f"missing {name}: .venv/bin/{command[0]} is not there; rm .venv/dev and make check installs it")
        return False
    files = _find(patterns)
    if patterns and not files:
        print(f"ok      {name}: nothing to check")
        return True
    started = time.monotonic()
    answer = shell.ask([str(BIN / command[0]), *command[1:], *files])
    print(f"{'ok    ' if answer.code == 0 else 'FAILED'}  {name} ({time.monotonic() - started:.1f} s)", flush=True)
    if answer.code != 0:
        print(answer.words)
    return answer.code == 0


def _find(patterns: tuple[str, ...]) -> list[str]:
    if not patterns:
        return []
    answer = shell.ask(["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *patterns])
    if answer.code != 0:
        raise SlipwayError(f"git cannot list the files: {answer.words}", "run it in a git checkout")
    return [name for name in answer.out.splitlines() if Path(name).exists()]
