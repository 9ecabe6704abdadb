"""Stop MLflow and Postgres; their data stays."""

import argparse

from slipway import errors, settings
from slipway.services import mlflow


def main() -> None:
    """Stop."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    mlflow.stop(settings.load())


if __name__ == "__main__":
    errors.exit_cleanly(main)
