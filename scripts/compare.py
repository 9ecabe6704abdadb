"""Compare a model version with the champion, or any set of versions, as tables and a picture."""

import argparse

from slipway import errors, settings
from slipway.training import compare


def main() -> None:
    """Parse the arguments and compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", nargs="?", default="", help="the version beside the champion; default: the newest")
    parser.add_argument("--models", default="", help="versions to compare instead: numbers, or addresses such as models:/name@alias")
    args = parser.parse_args()
    compare.compare(settings.load(), args.model, args.models)


if __name__ == "__main__":
    errors.exit_cleanly(main)
