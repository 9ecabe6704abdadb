"""Show what runs in the cluster of CONTEXT: model version, image, replicas that are ready, the last rollout."""

import argparse

from slipway import errors, settings
from slipway.kubernetes import status


def main() -> None:
    """Parse the arguments and print what runs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--format", default="", help="table (default) or json")
    status.show(settings.load(), parser.parse_args().format or "table")


if __name__ == "__main__":
    errors.exit_cleanly(main)
