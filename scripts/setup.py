"""Check, set up, lock and clean this checkout.

Runs before anything is installed: Python 3.8, and its standard library.
"""

import argparse
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

from slipway import errors

errors.catch_interrupts()


def doctor(say_next: bool) -> None:  # noqa: FBT001 -- the parser gives it by name
    """Check this machine: one line per check, each failure with its cure."""
    from slipway.bootstrap import doctor as checking

    healthy = checking.report(os.environ, say_next=say_next)
    sys.exit(0 if healthy else errors.USER_CAN_FIX)


def venv(name: str) -> None:
    """Make or update .venv from requirements/<name>.txt."""
    from slipway.bootstrap.venv import set_up

    set_up(name)


def lock(check: bool) -> None:  # noqa: FBT001 -- as above
    """Lock the dependencies of MODEL_DIR's pyproject.toml, or the checkout's, and export the groups to requirements/.

    UPGRADE=1 takes the newest versions.
    """
    from slipway.bootstrap import lockfile, projects

    if check:
        lockfile.check()
    else:
        lockfile.lock(projects.find_folder(os.environ), upgrade=os.environ.get("UPGRADE", "") not in {"", "0"})


def clean() -> None:
    """Remove what was built: build/, caches, images; .venv and data stay."""
    from slipway.bootstrap import cleanup

    cleanup.clean(cleanup.find_place(os.environ))


def wipe() -> None:
    """Remove everything, including data, except backups: lists it, then asks; YES=1 agrees."""
    from slipway.bootstrap import cleanup

    cleanup.wipe(cleanup.find_place(os.environ), lambda: cleanup.agrees(os.environ))


def main() -> None:
    """Parse the arguments and run the verb that they name."""
    parser = argparse.ArgumentParser(description=__doc__)
    verbs = parser.add_subparsers(metavar="verb", required=True)
    parsers = {}
    for verb in (doctor, venv, lock, clean, wipe):
        parsers[verb] = verbs.add_parser(verb.__name__, help=verb.__doc__, description=verb.__doc__)
        parsers[verb].set_defaults(run=verb)
    parsers[doctor].add_argument(
        "--next", dest="say_next", action="store_true", help="also print the next useful command"
    )
    parsers[venv].add_argument("name", choices=["dev", "host"])
    parsers[lock].add_argument("--check", action="store_true", help="check that everything agrees, and change nothing")
    arguments = vars(parser.parse_args())
    arguments.pop("run")(**arguments)


if __name__ == "__main__":
    errors.exit_cleanly(main)
