"""What a build is told in confidence stays out of every image."""

import os
import ssl
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from requests.utils import DEFAULT_CA_BUNDLE_PATH

from slipway import settings as slipway_settings
from slipway.model_folder import ModelFolder
from slipway.runtimes import images
from slipway.runtimes.locks import Lock
from slipway.settings import Settings
from tests.conftest import changed
from tests.image.conftest import NAME, ask_docker, remove_images


@pytest.fixture
def fresh_base(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """Return settings with a base image that no build has seen, so that no step of a build comes from the cache."""
    tag = f"slipway/{NAME}-python:1"
    words = f"FROM {settings.images.python}\nUSER root\nRUN echo {NAME} > /etc/image-test\n"
    subprocess.run(["docker", "build", "--tag", tag, "-"], input=words, text=True, check=True, capture_output=True)
    monkeypatch.setattr(images, "BASE", f"slipway/{NAME}-base:1")
    monkeypatch.setattr(images, "RUNTIME", f"slipway/{NAME}-runtime")
    monkeypatch.setattr(images, "TRAIN", f"slipway/{NAME}-train")
    yield changed(settings, images={"python": tag})
    for kind in ("python", "base", "runtime", "train"):
        remove_images(f"slipway/{NAME}-{kind}")


def test_no_image_keeps_the_builds_secrets(  # noqa: PLR0913, PLR0917 -- fixtures
    fresh_base: Settings,
    model: ModelFolder,
    lock: Lock,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """A build uses proxies, indexes and certificates, and leaves none in a history, setting or file of an image."""
    marker = f"secret{uuid.uuid4().hex}"
    certificates = slipway_settings.load().images.ca_bundle or Path(
        ssl.get_default_verify_paths().cafile or DEFAULT_CA_BUNDLE_PATH
    )
    bundle = tmp_path / "bundle.pem"
    bundle.write_text(certificates.read_text() + f"# {marker}\n")
    monkeypatch.setenv("NO_PROXY", f"{os.environ.get('NO_PROXY', '')},{marker}.example".lstrip(","))
    monkeypatch.setenv("PIP_FIND_LINKS", f"/nonexistent-{marker}")  # pip says that it found no such folder
    fresh = changed(fresh_base, images={"ca_bundle": bundle})
    images.build_base(fresh)
    images.build_model(fresh, model, lock)
    tags = [images.BASE, f"{images.BASE}-build", images.runtime_tag(model, lock), images.training_tag(model, lock)]

    assert marker in capfd.readouterr().err, "the build was not told"
    for tag in tags:
        assert marker not in ask_docker("history", "--no-trunc", tag)
        assert marker not in ask_docker("inspect", tag)
    for tag in tags[1:]:
        assert _search(tag, marker, NAME) == {NAME}, "every image has a file with NAME"


def _search(tag: str, *words: str) -> set[str]:
    """Return which of some words any file of an image, or its name, has."""
    container = ask_docker("create", tag)
    found: set[str] = set()
    try:
        export = subprocess.Popen(["docker", "export", container], stdout=subprocess.PIPE)
        end = b""
        assert export.stdout
        while chunk := export.stdout.read(1 << 22):
            text = end + chunk
            found |= {word for word in words if word.encode() in text}
            end = chunk[-100:]
        assert export.wait() == 0
    finally:
        ask_docker("rm", container)
    return found
