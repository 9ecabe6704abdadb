"""Move @champion back to the champion before, through the smoke test."""

import argparse

from slipway import errors, release, settings


def main() -> None:
    """Parse the arguments and roll back."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--to", default="", help="the number of the version to go back to; default: the champion before this one")
    release.roll_back(settings.load(), parser.parse_args().to)


if __name__ == "__main__":
    errors.exit_cleanly(main)
