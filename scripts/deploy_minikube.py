"""Deploy a model version to minikube, started when it does not run; test its API there, and print where it answers."""

import argparse

from slipway import errors, settings
from slipway.kubernetes import minikube


def main() -> None:
    """Parse the arguments and deploy."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", nargs="?", default="", help="the version, such as models:/name/3; default: the champion")
    minikube.deploy(settings.load(), parser.parse_args().model)


if __name__ == "__main__":
    errors.exit_cleanly(main)
