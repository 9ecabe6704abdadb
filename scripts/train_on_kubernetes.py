"""Train as a Job of the cluster of CONTEXT, show its log, and register the model; its exit code is that of train.py."""

import argparse

from slipway import errors, settings
from slipway.kubernetes import training_job


def main() -> None:
    """Parse the arguments and train."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--job", default="", help="follow this Job, which goes on, instead of making one")
    training_job.train(settings.load(), parser.parse_args().job)


if __name__ == "__main__":
    errors.exit_cleanly(main)
