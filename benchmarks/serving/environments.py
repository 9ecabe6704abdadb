"""The peers' virtual environments, each from its pinned file in peers/; one whose pins did not change is kept."""

from __future__ import annotations

import os
import shutil
import ssl
import subprocess
import sys
from pathlib import Path

from slipway.bootstrap.venv import index_for_uv
from slipway.errors import SlipwayError

HERE = Path(__file__).parent
UV = Path(sys.executable).parent / "uv"


def make(name: str, folder: Path) -> None:
    """Make the environment `folder` from peers/<name>.txt.

    Raises SlipwayError when that fails.
    """
    pins, done = HERE / "peers" / f"{name}.txt", folder / "pins.txt"
    if done.exists() and done.read_bytes() == pins.read_bytes():
        return
    print(f"makes the environment of {name}", flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    variables = {**os.environ, **index_for_uv(dict(os.environ))}
    if ssl.get_default_verify_paths().cafile:
        variables.setdefault("UV_SYSTEM_CERTS", "1")
    steps = (
        ["venv", "--python", sys.executable, str(folder)],
        [
            "pip",
            "install",
            "--python",
            str(folder / "bin" / "python"),
            "--no-deps",
            "--compile-bytecode",
            "--requirements",
            str(pins),
        ],
    )
    for step in steps:
        if subprocess.run([str(UV), *step, "--quiet"], env=variables, check=False).returncode != 0:
            raise SlipwayError(
                f"the environment of {name} could not be made", "the words above; SERVERS=… leaves a server out"
            )
    shutil.copy(pins, done)
