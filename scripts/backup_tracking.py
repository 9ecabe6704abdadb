"""Write all that the tracking server in the cluster of CONTEXT keeps to one dated archive in BACKUP_DIR; it goes on meanwhile."""

import argparse

from slipway import errors, settings
from slipway.kubernetes import mlflow_backup


def main() -> None:
    """Take no arguments, and back up."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    mlflow_backup.backup(settings.load())


if __name__ == "__main__":
    errors.exit_cleanly(main)
