"""Show what a deployment of a model version would change in the cluster of CONTEXT, as kubectl diff does."""

import argparse

from slipway import errors, settings
from slipway.kubernetes import commands


def main() -> None:
    """Parse the arguments and compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", nargs="?", default="", help="the version, such as models:/name/3; default: the champion")
    commands.diff(settings.load(), parser.parse_args().model)


if __name__ == "__main__":
    errors.exit_cleanly(main)
