"""Start MLflow and Postgres, and wait until the API answers under every name that clients use."""

import argparse

from slipway import errors, settings
from slipway.services import mlflow


def main() -> None:
    """Start."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    mlflow.start(settings.load())


if __name__ == "__main__":
    errors.exit_cleanly(main)
