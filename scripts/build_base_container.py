"""Build layer 1 unless it is there: OS, Python, compilers."""

import argparse

from slipway import errors, image, settings


def main() -> None:
    """Build."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    image.build_base(settings.load())


if __name__ == "__main__":
    errors.exit_cleanly(main)
