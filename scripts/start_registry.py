"""Start a registry of images on this machine, for clusters that pull."""

import argparse

from slipway import errors, local_registry, settings


def main() -> None:
    """Parse the arguments and start it."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    local_registry.start(settings.load())


if __name__ == "__main__":
    errors.exit_cleanly(main)
