"""Start the deployer, which deploys versions by request and whenever @champion moves."""

import argparse

from slipway import errors, settings
from slipway.deployer import start


def main() -> None:
    """Parse the arguments and start it."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    start.start(settings.load())


if __name__ == "__main__":
    errors.exit_cleanly(main)
