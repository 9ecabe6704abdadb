"""Follow the logs of MLflow and Postgres until Ctrl-C."""

import argparse

from slipway import errors, settings
from slipway.services import mlflow


def main() -> None:
    """Follow."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    mlflow.follow_logs(settings.load())


if __name__ == "__main__":
    errors.exit_cleanly(main)
