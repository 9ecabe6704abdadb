"""How an image gets into a cluster: through a registry, pinned by its digest, or by the cluster's own means, under its content tag."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slipway import shell
from slipway.errors import USAGE, SlipwayError

if TYPE_CHECKING:
    from slipway.settings import Settings


def deliver(settings: Settings, tag: str) -> str:
    """Bring an image to where the cluster finds it; return how the manifests name it.

    Raises SlipwayError when there is no way, or it fails.
    """
    if settings.registry:
        return _push(settings.registry, tag)
    if settings.image_load:
        shell.run([*settings.image_load, tag])
        return tag
    raise SlipwayError(
        f"how does the cluster get {tag}? REGISTRY and IMAGE_LOAD are empty",
        "REGISTRY=registry.example/team, or IMAGE_LOAD='kind load docker-image'", USAGE,
    )  # fmt: skip


def _push(registry: str, tag: str) -> str:
    pushed = f"{registry}/{tag.removeprefix('slipway/')}"
    shell.run(["docker", "tag", tag, pushed])
    shell.run(["docker", "push", "--quiet", pushed])
    code, words = shell.ask(["docker", "image", "inspect", "--format", "{{range .RepoDigests}}{{println .}}{{end}}", pushed])
    repository = pushed.rpartition(":")[0]
    digest = next((line for line in words.split() if line.startswith(f"{repository}@")), None) if code == 0 else None
    if digest is None:
        raise SlipwayError(f"the engine knows no digest of {pushed}", f"docker image inspect {pushed}")
    return digest
