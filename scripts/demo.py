"""Train, register, serve and test the model in MODEL_DIR on this machine, without Docker."""

import argparse

from slipway import errors, settings
from slipway.develop import demo


def main() -> None:
    """Run the demo."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    demo.run(settings.load())


if __name__ == "__main__":
    errors.exit_cleanly(main)
