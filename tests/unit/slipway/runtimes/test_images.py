"""What a container is run with, and what an image holds of a version."""

import json
from pathlib import Path

import pytest

from slipway import settings
from slipway.registry.model_uri import ModelRef
from slipway.runtimes import containers
from slipway.runtimes.base import Prepared
from slipway.runtimes.locks import Lock
from tests.conftest import changed


@pytest.mark.parametrize(
    ("value", "unlimited"),
    [
        ("0", True),
        ("0g", True),
        ("0.0", True),
        ("0.5", False),
        ("0.05", False),
        ("1.50", False),
        ("512m", False),
        ("10", False),
    ],
)
def test_only_nought_is_no_limit(value: str, *, unlimited: bool) -> None:
    """MODEL_CPUS=0.5 is half a processor."""
    assert (
        value in containers.confinement(changed(settings.load(), limits={"memory": "0", "pids": "0", "cpus": value}))
    ) != unlimited


def test_a_validation_leaves_the_image_alone() -> None:
    """What a validation measures is said by the server, and is no part of the image.

    Its tag, and what a cluster has of it, stay.
    """
    before, after = (
        {"name": "wine", "version": "3", "metrics": metrics, "checksum": "sha256:0"} for metrics in ({}, {"rmse": 1.0})
    )
    images = {
        Prepared(ModelRef("models:/wine/3", ""), Path(), json.dumps(known), Lock(Path())).lasting
        for known in (before, after)
    }

    assert [json.loads(each) for each in images] == [{"name": "wine", "version": "3", "checksum": "sha256:0"}]
