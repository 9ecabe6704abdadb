"""Print where MLflow's UI is; with RUNTIME=host, serve it from the embedded store until Ctrl-C."""

import argparse

from slipway import errors, settings
from slipway.services import mlflow


def main() -> None:
    """Show the UI."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    mlflow.show_ui(settings.load())


if __name__ == "__main__":
    errors.exit_cleanly(main)
