"""Deploy a model version to the cluster of CONTEXT, wait until it answers, and test its API there; back by itself when it fails."""

import argparse

from slipway import errors, hints, settings
from slipway.kubernetes import commands


def main() -> None:
    """Parse the arguments and deploy."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", nargs="?", default="", help="the version, such as models:/name/3; default: the champion")
    loaded = settings.load()
    commands.deploy(loaded, parser.parse_args().model)
    hints.say_next(f"make deploy_status CONTEXT={loaded.context}")


if __name__ == "__main__":
    errors.exit_cleanly(main)
