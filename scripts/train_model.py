"""Train the model in MODEL_DIR with TRAIN_ARGS, log it to MLflow and register it."""

import argparse

from slipway import errors, settings
from slipway.training import train


def main() -> None:
    """Parse the arguments and train."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kept", default="", help="log this file, kept by an earlier training, instead of training")
    train.train(settings.load(), parser.parse_args().kept)


if __name__ == "__main__":
    errors.exit_cleanly(main)
