"""Stop the deployer and the server that it started."""

import argparse

from slipway import errors, settings
from slipway.deployer import start


def main() -> None:
    """Parse the arguments and stop both."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    start.stop(settings.load())


if __name__ == "__main__":
    errors.exit_cleanly(main)
