"""Make or update .venv from requirements/<name>.txt (host or dev). Needs only Python's standard library."""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

from slipway import errors
from slipway.bootstrap import venv


def main() -> None:
    """Parse the arguments and set up."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=sorted(venv.SUBSETS))
    venv.set_up(parser.parse_args().name)


if __name__ == "__main__":
    errors.exit_cleanly(main)
