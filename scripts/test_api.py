"""Test the API of a served model: its predictions, and its answers to bad input."""

import argparse

from slipway import errors, settings
from slipway.serving import api_test


def main() -> None:
    """Parse the arguments and test."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", nargs="?", default="", help="the model it should serve; default: what make serve_model serves on PORT")
    api_test.check(settings.load(), parser.parse_args().model)


if __name__ == "__main__":
    errors.exit_cleanly(main)
