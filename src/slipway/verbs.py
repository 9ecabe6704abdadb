"""How a file of scripts/ runs one of its verbs: with the exit codes and messages of all commands."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from slipway import errors, hints
from slipway.bootstrap import proxies


def run(verbs: click.Group) -> None:
    """Run the verb that the arguments name, and leave with its exit code.

    click's own `main` would answer Ctrl-C, and what is wrong, in words and with codes of its own.
    """
    prepare()
    script = sys.argv[0]
    if sys.path[0] == str(Path(script).resolve().parent):
        del sys.path[0]  # scripts/kubernetes.py is not the library of that name, which MLflow may import
    errors.exit_cleanly(lambda: _invoke(verbs, script))


def prepare() -> None:
    """Prepare this process: remember the caller's settings, and bypass proxies for our own services."""
    hints.remember()
    os.environ.update(proxies.no_proxy())


def _invoke(verbs: click.Group, script: str) -> None:
    try:
        with verbs.make_context(script, sys.argv[1:]) as context:
            verbs.invoke(context)
    except click.exceptions.Exit as done:  # after --help
        sys.exit(done.exit_code)
    except click.UsageError as error:
        asked = error.ctx.command_path if error.ctx else script
        raise errors.SlipwayError(error.format_message(), f"{asked} --help", errors.USAGE) from None
