"""Stop the registry of images; they stay."""

import argparse

from slipway import errors, settings
from slipway.services import image_registry


def main() -> None:
    """Parse the arguments and stop it."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    image_registry.stop(settings.load())


if __name__ == "__main__":
    errors.exit_cleanly(main)
