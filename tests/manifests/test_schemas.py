"""Every manifest is one that an API server takes.

Of Kubernetes' oldest and newest published release, and of the projects it works with.
"""

from pathlib import Path

import pytest

from tests.manifests import schemas
from tests.manifests.kustomizing import Object

VERSIONS = ("1.25", "1.37")


@pytest.mark.parametrize("version", VERSIONS)
def test_kubernetes_takes_its_own_kinds(objects: list[Object], version: str) -> None:
    """Each object of Kubernetes' own kinds follows its release's schema, and has no field that the release lacks."""
    own = [each for each in objects if schemas.is_own(each)]

    assert own
    assert {each["kind"]: errors for each in own if (errors := schemas.find_errors(each, version))} == {}


def test_other_projects_take_theirs(objects: list[Object], folder: Path) -> None:
    """Each object of a kind of another project is as its definition wants it, with no field that is unknown to it."""
    others = [each for each in objects if not schemas.is_own(each)]

    assert {each["kind"]: errors for each in others if (errors := schemas.find_custom_errors(each, folder))} == {}
