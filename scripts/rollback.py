"""Move @champion back to the champion before, through the smoke test."""

import argparse

from slipway import errors, settings
from slipway.kubernetes import commands
from slipway.release import promote


def main() -> None:
    """Parse the arguments and roll back."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--to", default="", help="the number of the version to go back to; default: the champion before this one")
    parser.add_argument(
        "--target", default="", choices=["", "local", "kubernetes"], help="kubernetes: roll the cluster of CONTEXT back, too"
    )
    arguments = parser.parse_args()
    roll_back = commands.roll_back if arguments.target == "kubernetes" else promote.roll_back
    roll_back(settings.load(), arguments.to)


if __name__ == "__main__":
    errors.exit_cleanly(main)
