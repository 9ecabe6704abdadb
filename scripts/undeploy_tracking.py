"""Take MLflow and Postgres out of the cluster of CONTEXT; their volumes and Secret stay, and with them all data."""

import argparse

from slipway import errors, settings
from slipway.kubernetes import mlflow


def main() -> None:
    """Parse the arguments and undeploy."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="", help="`delete`: delete volumes and Secret, too")
    mlflow.undeploy(settings.load(), parser.parse_args().data)


if __name__ == "__main__":
    errors.exit_cleanly(main)
