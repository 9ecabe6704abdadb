"""Build layer 2 unless it is there: the image that serves the model in MODEL_DIR, and the one that trains it."""

import argparse

from slipway import errors, folder, hints, image, settings


def main() -> None:
    """Build."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    loaded = settings.load()
    image.build_model(loaded, folder.load(loaded.model_dir))
    hints.say_next("make start_mlflow_services")


if __name__ == "__main__":
    errors.exit_cleanly(main)
