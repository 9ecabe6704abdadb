"""Build layer 2 unless it is there: the image that serves the model in MODEL_DIR, and the one that trains it."""

import argparse

from slipway import errors, hints, model_folder, settings
from slipway.runtimes import images


def main() -> None:
    """Build."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    loaded = settings.load()
    images.build_model(loaded, model_folder.load(loaded.model_dir))
    hints.say_next("make start_mlflow_services")


if __name__ == "__main__":
    errors.exit_cleanly(main)
