"""Make FILE, an estimator or a class that predicts, a registered version of MODEL_DIR's model, without training it again."""

import argparse

from slipway import errors, settings
from slipway.training import wrap


def main() -> None:
    """Parse the arguments and wrap."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", nargs="?", default="", help="a .joblib, .pkl, .pickle or .skops file, or a .py file with a class")
    parser.add_argument("--example", default="", help="rows to try: a CSV with a header, or a request; default: the folder's request.json")
    parser.add_argument("--class", dest="name", default="", help="the class, in a file with several")
    parser.add_argument("--trust", default="", help="names of types in a skops file that you know, with spaces between them")
    args = parser.parse_args()
    options = {"example": args.example, "class": args.name, "trust": args.trust}
    wrap.wrap(settings.load(), args.file, {name: value for name, value in options.items() if value.strip()})


if __name__ == "__main__":
    errors.exit_cleanly(main)
