"""Verify an archive of make backup or make backup_tracking, and restore it into an empty tracking server in the cluster of CONTEXT."""

import argparse

from slipway import errors, settings
from slipway.kubernetes import mlflow_backup


def main() -> None:
    """Parse the arguments and restore."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("backup", nargs="?", default="", help="the archive; without it, those in BACKUP_DIR are listed")
    mlflow_backup.restore(settings.load(), parser.parse_args().backup)


if __name__ == "__main__":
    errors.exit_cleanly(main)
