"""The fuzzer of the model server's decoders: atheris, installed into build/fuzz on its first use, around tests/fuzz."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from slipway import shell
from slipway.bootstrap.venv import index_for_uv
from slipway.errors import SlipwayError
from slipway.settings import ROOT

FOLDER = ROOT / "build/fuzz"
REQUIREMENTS = ROOT / "tests/fuzz/requirements.txt"
HARNESS = ROOT / "tests/fuzz/harness.py"
LIMITS = ("-max_len=4096", "-timeout=20", "-rss_limit_mb=2048")  # bytes of a body, s for one, memory


def run(seconds: int) -> None:
    """Fuzz for a while; the corpus stays in build/fuzz and the next run goes on from it.

    Raises SlipwayError when an input makes a decoder raise anything but a refusal, or two ways to read it disagree.
    """
    if sys.platform != "linux":
        raise SlipwayError("the fuzzer is not available for this system", "run it on Linux")
    library = _install()
    before = set(FOLDER.glob("*-*"))
    command = [sys.executable, str(HARNESS), str(FOLDER), f"-max_total_time={seconds}", *LIMITS]
    code = shell.wait(shell.start(command, env={"PYTHONPATH": f"{library}{os.pathsep}{ROOT}"}, cwd=ROOT))
    found = [str(path.relative_to(ROOT)) for path in sorted(set(FOLDER.glob("*-*")) - before)]
    if code != 0:
        raise SlipwayError(
            f"the fuzzer ended with exit code {code}; found: {', '.join(found) or 'nothing'}", "see its output above"
        )
    print(f"fuzzed for {seconds} s and found nothing; the corpus is in {FOLDER.relative_to(ROOT)}/corpus")


def _install() -> Path:
    """Install what REQUIREMENTS pins into a folder beside .venv's packages, unless it is there; return the folder."""
    library, done = FOLDER / "lib", FOLDER / "lib/requirements.txt"
    if not done.exists() or done.read_bytes() != REQUIREMENTS.read_bytes():
        uv = str(Path(sys.executable).parent / "uv")
        options = ["--quiet", "--no-deps", "--require-hashes", "--python", sys.executable, "--target", str(library)]
        shell.run(
            [uv, "pip", "install", *options, "--requirements", str(REQUIREMENTS)], env=index_for_uv(dict(os.environ))
        )
        done.write_bytes(REQUIREMENTS.read_bytes())
    return library
