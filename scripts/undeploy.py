"""Take what was deployed of the model out of the cluster of CONTEXT again, and nothing else."""

import argparse

from slipway import errors, settings
from slipway.kubernetes import commands, minikube


def main() -> None:
    """Parse the arguments and delete."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minikube", action="store_true", help="from minikube, unless CONTEXT names another")
    loaded = settings.load()
    commands.undeploy(minikube.adapt(loaded) if parser.parse_args().minikube else loaded)


if __name__ == "__main__":
    errors.exit_cleanly(main)
