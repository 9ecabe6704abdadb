"""Write one dated archive of database and artifacts to BACKUP_DIR; a tracking server stops for that moment."""

import argparse

from slipway import errors, settings
from slipway.services import backup


def main() -> None:
    """Back up."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    backup.backup(settings.load())


if __name__ == "__main__":
    errors.exit_cleanly(main)
