"""Give Postgres the password in .slipway/postgres_password again."""

import argparse

from slipway import errors, settings
from slipway.services import mlflow


def main() -> None:
    """Reset."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    mlflow.reset_password(settings.load())


if __name__ == "__main__":
    errors.exit_cleanly(main)
