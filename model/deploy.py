"""Build the image that serves a version, and deploy it where CONTEXT says: by the commands of the checkout around here.

A plain script, standard library only: `mlflow run -e deploy` may run it in any environment.
"""

import argparse
import os
import subprocess
import sys
import tomllib
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
RUN = ("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID")  # of `mlflow run`, which the commands would take for their own


def find_checkout() -> Path:
    """Return the checkout that this folder is in."""
    for parent in FOLDER.parents:
        if (parent / "mlflow_env.sh").is_file() and (parent / "Makefile").is_file():
            return parent
    sys.exit(f"error: {FOLDER} is in no checkout of Slipway, whose commands deploy\n  try: copy it to its examples/")


def main() -> None:
    """Run `make`, and end with its exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="", help="a version, such as models:/diabetes/3; default: the newest")
    parser.add_argument("--context", default="", help="of kubectl; default: CONTEXT, and without that only the image")
    given = parser.parse_args()
    root = find_checkout()
    name = tomllib.loads((FOLDER / "model.toml").read_text(encoding="utf-8"))["name"]
    settings = {"MODEL": given.model or f"models:/{name}/latest", "MODEL_DIR": str(FOLDER.relative_to(root))}
    context = given.context or os.environ.get("CONTEXT", "")
    goals = ["build_base_container", "deploy"] if context else ["build_served_container"]
    settings |= {"CONTEXT": context} if context else {}
    command = ["make", "--no-print-directory", "-C", str(root), *goals]
    command += [f"{key}={value}" for key, value in settings.items()]
    variables = {key: value for key, value in os.environ.items() if key not in RUN}
    sys.exit(subprocess.run(command, check=False, env=variables).returncode)


if __name__ == "__main__":
    main()
