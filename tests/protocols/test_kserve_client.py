"""KServe's own client, which needs an environment of its own: it takes other versions than our lock."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from benchmarks.serving import environments
from slipway.errors import SlipwayError
from slipway.settings import ROOT
from tests.conftest import need

if TYPE_CHECKING:
    from tests.protocols.conftest import Client

FOLDER = ROOT / "build/bench/venvs/kserve"  # the benchmark's: it runs KServe's server


@pytest.fixture(scope="module")
def python() -> Path:
    """Return the Python that has KServe."""
    try:
        environments.make("kserve", FOLDER)
    except SlipwayError as error:
        need("kserve", present=False, cure=f"{error}")
    return FOLDER / "bin/python"


@pytest.mark.timeout(300)
def test_kserve_client(numbers: Client, python: Path) -> None:
    """KServe's client finds the server ready, and gets what /invocations gives, in JSON and in binary."""
    rows = (np.arange(20.0).reshape(2, 10) / 8).tolist()
    expected = numbers.invoke({"dataframe_split": {"columns": [f"x{at}" for at in range(10)], "data": rows}})
    script = Path(__file__).with_name("kserve_client.py")
    command = [str(python), str(script), f"http://127.0.0.1:{numbers.port}", numbers.name]
    told = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, timeout=120).stdout.splitlines()[-1])

    assert told["live"]
    assert told["ready"]
    assert told["model_ready"]
    assert told["predictions"] == {
        f"{name} {binary}": ["7", expected] for binary in (False, True) for name in ("matrix", "columns")
    }
