"""Fuzz the model server's decoders for SECONDS (600): any body is read or refused, and by two ways as the same. Linux only."""

import argparse
import os

from slipway import errors
from slipway.develop import fuzz


def main() -> None:
    """Fuzz."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=int(os.environ.get("SECONDS") or 600))
    fuzz.run(parser.parse_args().seconds)


if __name__ == "__main__":
    errors.exit_cleanly(main)
