"""List the registry's model versions, newest first, and what MODEL= to type for each."""

import argparse

from slipway import errors, settings
from slipway.registry import listing


def main() -> None:
    """Parse the arguments and list."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--format", default="", help="table (default) or json")
    listing.show(settings.load(), parser.parse_args().format or "table")


if __name__ == "__main__":
    errors.exit_cleanly(main)
