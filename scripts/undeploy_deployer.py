"""Take the deployer out of the cluster of CONTEXT, with its records and its token; the model that it deployed goes on serving."""

import argparse

from slipway import errors, settings
from slipway.deployer import in_cluster


def main() -> None:
    """Take no arguments, and undeploy."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    in_cluster.undeploy(settings.load())


if __name__ == "__main__":
    errors.exit_cleanly(main)
