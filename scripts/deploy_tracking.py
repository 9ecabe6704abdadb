"""Deploy MLflow and Postgres to the cluster of CONTEXT, or bring them up to date there; what they keep stays."""

import argparse

from slipway import errors, settings
from slipway.kubernetes import mlflow


def main() -> None:
    """Take no arguments, and deploy."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    mlflow.deploy(settings.load())


if __name__ == "__main__":
    errors.exit_cleanly(main)
