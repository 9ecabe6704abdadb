"""Build a version's image and bring it to where a cluster finds it (REGISTRY or IMAGE_LOAD); the registry notes how it is called there."""

import argparse

from slipway import errors, settings
from slipway.kubernetes import image_delivery


def main() -> None:
    """Parse the arguments and push."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", nargs="?", default="", help="the version, such as models:/name/3; default: the newest")
    image_delivery.push(settings.load(), parser.parse_args().model)


if __name__ == "__main__":
    errors.exit_cleanly(main)
