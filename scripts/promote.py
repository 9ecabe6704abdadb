"""Promote a version: gate, smoke test of the real image, then the alias @champion moves to it."""

import argparse

from slipway import errors, settings
from slipway.release import promote


def main() -> None:
    """Parse the arguments and promote."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", nargs="?", default="", help="the version, such as models:/name/3; default: the newest")
    parser.add_argument("--force", default="", help="1: promote it against the gate's verdict, which is recorded")
    parser.add_argument("--why", default="", help="the reason for that")
    arguments = parser.parse_args()
    promote.promote(settings.load(), arguments.model, force=arguments.force not in {"", "0"}, why=arguments.why)


if __name__ == "__main__":
    errors.exit_cleanly(main)
