"""Lock the dependencies of pyproject.toml and export each group to requirements/; UPGRADE=1 takes the newest versions."""

import argparse
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

from slipway import errors
from slipway.bootstrap import lockfile


def main() -> None:
    """Parse the arguments and lock, or check."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="say whether everything agrees, and change nothing")
    if parser.parse_args().check:
        lockfile.check()
    else:
        lockfile.lock(upgrade=os.environ.get("UPGRADE", "") not in {"", "0"})


if __name__ == "__main__":
    errors.exit_cleanly(main)
