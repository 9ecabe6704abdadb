"""Check this machine, a line a check, each failure with its cure. Needs only Python's standard library."""

import argparse
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

from slipway import errors
from slipway.bootstrap import doctor


def main() -> None:
    """Check."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--next", action="store_true", help="print the next useful command too")
    healthy = doctor.report(os.environ, say_next=parser.parse_args().next)
    sys.exit(0 if healthy else errors.USER_CAN_FIX)


if __name__ == "__main__":
    errors.exit_cleanly(main)
