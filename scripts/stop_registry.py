"""Stop the registry of images; they stay."""

import argparse

from slipway import errors, local_registry, settings


def main() -> None:
    """Parse the arguments and stop it."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    local_registry.stop(settings.load())


if __name__ == "__main__":
    errors.exit_cleanly(main)
