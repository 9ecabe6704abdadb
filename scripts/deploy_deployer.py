"""Deploy the deployer to the cluster of CONTEXT, or bring it up to date there: from then on the cluster follows @champion by itself."""

import argparse

from slipway import errors, settings
from slipway.deployer import in_cluster


def main() -> None:
    """Take no arguments, and deploy."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    in_cluster.deploy(settings.load())


if __name__ == "__main__":
    errors.exit_cleanly(main)
