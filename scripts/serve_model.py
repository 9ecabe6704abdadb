"""Serve a model on 127.0.0.1:PORT until Ctrl-C."""

import argparse

from slipway import errors, serving, settings


def main() -> None:
    """Parse the arguments and serve."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", nargs="?", default="", help="models:/name/3, models:/name@alias, models:/m-…, runs:/…/model, or a path")
    serving.serve(settings.load(), parser.parse_args().model)


if __name__ == "__main__":
    errors.exit_cleanly(main)
