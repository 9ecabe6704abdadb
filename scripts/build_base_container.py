"""Build layer 1 unless it is there: OS, Python, compilers."""

import argparse

from slipway import errors, hints, settings
from slipway.runtimes import images


def main() -> None:
    """Build."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("goals", nargs="*", help="the targets that were asked for; this may be a step to them")
    goals = parser.parse_args().goals
    images.build_base(settings.load())
    if goals == ["build_base_container"]:
        hints.say_next("make build_model_container")


if __name__ == "__main__":
    errors.exit_cleanly(main)
