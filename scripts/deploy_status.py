"""Show what runs in the cluster of CONTEXT: model version, image, replicas that are ready, the last rollout."""

import argparse

from slipway import cluster, errors, settings


def main() -> None:
    """Print the table."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    cluster.show_status(settings.load())


if __name__ == "__main__":
    errors.exit_cleanly(main)
