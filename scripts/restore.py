"""Verify an archive that make backup wrote, restore it into empty services, and start them (RUNTIME=host: into an empty store)."""

import argparse

from slipway import errors, settings
from slipway.services import restore


def main() -> None:
    """Parse the arguments and restore."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("archive", nargs="?", default="", help="such as backups/slipway-20260131-235959.tar.gz")
    restore.restore(settings.load(), parser.parse_args().archive)


if __name__ == "__main__":
    errors.exit_cleanly(main)
