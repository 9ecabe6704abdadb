"""Give a challenger a share of the requests in the cluster of CONTEXT: it rolls out beside the champion and is tested first."""

import argparse

from slipway import errors, hints, settings
from slipway.kubernetes import canary


def main() -> None:
    """Parse the arguments and set the share."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", nargs="?", default="", help="the version, such as models:/name/4; default: the challenger that runs")
    parser.add_argument("--weight", default="", help="how many of 100 requests it gets; 0 ends it")
    loaded, arguments = settings.load(), parser.parse_args()
    canary.set_share(loaded, arguments.model, arguments.weight)
    hints.say_next(f"make deploy_status CONTEXT={loaded.context}")


if __name__ == "__main__":
    errors.exit_cleanly(main)
