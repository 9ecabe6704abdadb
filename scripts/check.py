"""Lint and type-check everything: a line for each tool, and the words of those that found something."""

import argparse

from slipway import errors
from slipway.develop import check


def main() -> None:
    """Check."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    check.run()


if __name__ == "__main__":
    errors.exit_cleanly(main)
