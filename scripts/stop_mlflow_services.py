"""Stop MLflow and Postgres; their data stays."""

import argparse

from slipway import errors, services, settings


def main() -> None:
    """Stop."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    services.stop(settings.load())


if __name__ == "__main__":
    errors.exit_cleanly(main)
