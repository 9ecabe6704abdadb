"""List a model's promotions and rollbacks, newest first."""

import argparse

from slipway import errors, settings
from slipway.release import history


def main() -> None:
    """Parse the arguments and print the history."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--format", default="", help="table (default) or json")
    history.show(settings.load(), parser.parse_args().format)


if __name__ == "__main__":
    errors.exit_cleanly(main)
