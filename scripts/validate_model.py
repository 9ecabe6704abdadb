"""Score a model on the held-out rows of MODEL_DIR's train.py, and log the scores to the model's own run."""

import argparse

from slipway import errors, settings
from slipway.training import validate


def main() -> None:
    """Parse the arguments and validate."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", nargs="?", default="", help="models:/name/3, models:/name@alias, models:/m-…, runs:/…/model, or a path")
    validate.validate(settings.load(), parser.parse_args().model)


if __name__ == "__main__":
    errors.exit_cleanly(main)
