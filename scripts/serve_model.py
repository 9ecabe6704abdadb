"""Serve a model on 127.0.0.1:PORT until Ctrl-C; following an alias, change to each new version that passes its smoke test."""

import argparse

from slipway import errors, settings
from slipway.serving import follow, server


def main() -> None:
    """Parse the arguments and serve."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", nargs="?", default="", help="models:/name/3, models:/name@alias, models:/m-…, runs:/…/model, or a path")
    parser.add_argument("--follow", default="", help="1: follow the alias of models:/name@alias")
    arguments = parser.parse_args()
    serve = follow.serve if arguments.follow not in {"", "0"} else server.serve
    serve(settings.load(), arguments.model)


if __name__ == "__main__":
    errors.exit_cleanly(main)
