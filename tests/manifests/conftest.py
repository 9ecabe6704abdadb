"""Every overlay with every combination of components, rendered once."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from slipway.settings import ROOT
from tests.conftest import need
from tests.manifests import kustomizing
from tests.manifests.kustomizing import COMBINATIONS, OVERLAYS, Object

ALL = [pytest.param((overlay, words), id=f"{overlay}, {words}") for overlay in OVERLAYS for words in COMBINATIONS]


@pytest.fixture(scope="session")
def kubectl() -> None:
    """Need kubectl, which has kustomize in it; no cluster."""
    need("kubectl", shutil.which("kubectl") is not None, "install kubectl, see https://kubernetes.io/docs/tasks/tools/")


@pytest.fixture(scope="session")
def render(kubectl: None, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], list[Object]]:  # noqa: ARG001 -- needed
    """Return a function that renders an overlay with a combination, by its words.

    The objects are shared, so copy them to change them.
    """
    rendered: dict[tuple[str, str], list[Object]] = {}

    def run(overlay: str, words: str) -> list[Object]:
        if (overlay, words) not in rendered:
            rendered[overlay, words] = kustomizing.render(
                tmp_path_factory.mktemp("kustomization"), overlay, COMBINATIONS[words]
            )
        return rendered[overlay, words]

    return run


@pytest.fixture(params=ALL)
def objects(request: pytest.FixtureRequest, render: Callable[[str, str], list[Object]]) -> list[Object]:
    """Return what one overlay renders to with one combination."""
    return render(*request.param)


@pytest.fixture(scope="session")
def folder() -> Path:
    """Need the folder that SCHEMAS names, with the schemas of custom resources."""
    named = os.environ.get("SCHEMAS", "")
    need("schemas", bool(named) and (ROOT / named).is_dir(), "SCHEMAS=folder with <group>_<kind>_<version>.json")
    return ROOT / named
