"""Remove everything, data too, but no backups: lists it, then asks; YES=1 agrees. Needs only Python's standard library."""

import argparse
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

from slipway import errors
from slipway.bootstrap import cleanup


def main() -> None:
    """Wipe."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    cleanup.wipe(cleanup.find_place(os.environ), lambda: cleanup.agrees(os.environ))


if __name__ == "__main__":
    errors.exit_cleanly(main)
