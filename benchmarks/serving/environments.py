"""The servers' virtual environments, each from a pinned file; one whose pins did not change is kept."""

from __future__ import annotations

import os
import shutil
import ssl
import subprocess
import sys
from pathlib import Path

from slipway.bootstrap.venv import index_for_uv
from slipway.errors import SlipwayError
from slipway.settings import ROOT

HERE = Path(__file__).parent
UV = Path(sys.executable).parent / "uv"
OURS = "slipway"  # has the libraries of the served image, and no others
BESIDE = ("lightgbm",)  # libraries that go into a folder of their own, which servers of such models have on their path


def find_pins(name: str) -> Path:
    """Return the file that pins an environment: the served image's for ours, one in peers/ for the others."""
    return ROOT / "requirements" / "serving.txt" if name == OURS else HERE / "peers" / f"{name}.txt"


def make(name: str, folder: Path) -> None:
    """Make the environment `folder` from its pins.

    Raises SlipwayError when that fails.
    """
    pins, done = find_pins(name), folder / "pins.txt"
    if done.exists() and done.read_bytes() == pins.read_bytes():
        return
    print(f"makes the environment of {name}", flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    variables = {**os.environ, **index_for_uv(dict(os.environ))}
    if ssl.get_default_verify_paths().cafile:
        variables.setdefault("UV_SYSTEM_CERTS", "1")
    options = ["--no-deps", "--compile-bytecode", "--requirements", str(pins)]
    if name in BESIDE:
        steps = [["pip", "install", "--python", sys.executable, "--target", str(folder), *options]]
    else:
        own = ["--python", str(folder / "bin" / "python")]
        steps = [["venv", "--python", sys.executable, str(folder)], ["pip", "install", *own, *options]]
    for step in steps:
        if subprocess.run([str(UV), *step, "--quiet"], env=variables, check=False).returncode != 0:
            raise SlipwayError(
                f"the environment of {name} could not be made", "the words above; SERVERS=… leaves a server out"
            )
    shutil.copy(pins, done)
