"""Smoke tests that a version passed, recorded in the registry.

A later release of the same image need not repeat the test.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from slipway import model_folder, runtimes
from slipway.registry import model_files
from slipway.runtimes import containers
from slipway.settings import ROOT

if TYPE_CHECKING:
    from slipway.registry.client import Registry
    from slipway.runtimes.base import Prepared
    from slipway.settings import Settings

TAG = "slipway.smoke_test"  # of a version: with which image, when, and how quick it was
VALID_S = 3600.0  # a machine changes, and so may what passed on it


@dataclass(frozen=True)
class Pass:
    """A passed smoke test: p95 of one-row requests in ms, and its age in s."""

    latency_ms: float
    age_s: float


def find(registry: Registry, settings: Settings, prepared: Prepared) -> Pass | None:
    """Return the recorded pass of what would be tested now, or None.

    None if the image, the server's settings or the test differ, or it is too old.
    """
    if not (prepared.model.name and prepared.model.version):
        return None
    version = registry.find_version(prepared.model.name, prepared.model.version)
    if version is None:
        return None
    try:
        noted = json.loads(version.tags.get(TAG, "{}"))
        age, latency = time.time() - noted["at"], float(noted["latency_ms"])
    except (ValueError, KeyError, TypeError):
        return None
    is_same = noted.get("test") == _name(settings, prepared)
    return Pass(latency, age) if is_same and 0 <= age <= VALID_S else None


def record(registry: Registry, settings: Settings, prepared: Prepared, latency_ms: float) -> None:
    """Record a passed smoke test in the registry."""
    if prepared.model.name and prepared.model.version:
        noted = {"test": _name(settings, prepared), "at": round(time.time()), "latency_ms": round(latency_ms, 3)}
        registry.tag_version(prepared.model.name, prepared.model.version, TAG, json.dumps(noted))


def _name(settings: Settings, prepared: Prepared) -> str:
    """Return what identifies a test.

    Image (or the libraries and code of a process), files, the server's settings, the test's code.
    """
    image, code, process = (
        runtimes.of(settings).image(prepared),
        [ROOT / "src" / "slipway" / "serving" / f"{name}.py" for name in ("api_checks", "answers", "example")],
        [],
    )
    if not runtimes.of(settings).has_images:
        code += [ROOT / "src" / "scoring"]
        process = [prepared.lock.digest, sys.version, sys.prefix]
    variables = json.dumps(
        {
            name: value
            for name, value in sorted(settings.serving.scoring.items())
            if name not in containers.SCORING_FILES
        }
    )
    return model_folder.digest(code, image, model_files.checksum(prepared.files), variables, *process)[:16]
