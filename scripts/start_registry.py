"""Start a registry of images on this machine, for clusters that pull."""

import argparse

from slipway import errors, settings
from slipway.services import image_registry


def main() -> None:
    """Parse the arguments and start it."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    image_registry.start(settings.load())


if __name__ == "__main__":
    errors.exit_cleanly(main)
