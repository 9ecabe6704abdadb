"""How an image gets into a cluster.

Through an image registry, pinned by digest, or by IMAGE_LOAD, under its content tag.
"""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING

from slipway import hints, model_folder, runtimes, shell
from slipway.bootstrap import docker_cli
from slipway.errors import USAGE, SlipwayError
from slipway.kubernetes.cluster.kubectl import Cluster, check_runtime
from slipway.registry import model_files
from slipway.registry.client import Registry
from slipway.serving import server

if TYPE_CHECKING:
    from slipway.runtimes.base import Prepared
    from slipway.settings import Settings


def push(settings: Settings, uri: str = "") -> None:
    """Deliver a version's image (default: the newest's) to where a cluster finds it.

    The registry notes it, for the cluster's deployer.

    Raises SlipwayError when there is no such version, or no way.
    """
    check_runtime(settings)
    prepared = server.prepare(
        settings, uri or f"models:/{model_folder.load(settings.model_dir).name}/latest", fresh=True
    )
    if not prepared.model.version:
        raise SlipwayError(
            f"{uri} is not a registered version, so its image cannot be recorded", "make list_models", USAGE
        )
    print(f"{prepared.model.uri} is there as {deliver_version(settings, prepared)}")
    hints.say_next(
        f"RUNTIME=host make promote MODEL={shlex.quote(prepared.model.uri)}; "
        "make deploy_deployer, once, to have the cluster follow"
    )


def deliver_version(settings: Settings, prepared: Prepared) -> str:
    """Bring the image of a version to where the cluster finds it.

    Return how the manifests name it, which the registry notes.

    In a cluster it is there, or not: SlipwayError.
    """
    built = runtimes.of(settings).image(prepared)
    if settings.cluster.is_inside:
        return built
    image = deliver(settings, built)
    if prepared.model.version:
        model_files.record_image(prepared.registry or Registry.connect(settings), prepared.model, image)
    return image


def deliver(settings: Settings, tag: str) -> str:
    """Bring an image to where the cluster finds it; return how the manifests name it.

    Raises SlipwayError when there is no way, or it fails.
    """
    if settings.cluster.registry:
        return _push(settings.cluster.registry, tag)
    if settings.cluster.image_load:
        if not _is_on_nodes(settings, tag):
            shell.run([*settings.cluster.image_load, tag])
        return tag
    raise SlipwayError(
        f"no way to get {tag} into the cluster: set REGISTRY or IMAGE_LOAD",
        "REGISTRY=registry.example/team, or IMAGE_LOAD='kind load docker-image'", USAGE,
    )  # fmt: skip


def _is_on_nodes(settings: Settings, tag: str) -> bool:
    """Whether every node says that it has an image of ours, whose tag is made from its content."""
    if not (settings.cluster.context and tag.startswith("slipway/")):
        return False
    answer = Cluster(settings).ask("get", "nodes", "--output", "json")
    nodes = json.loads(answer.out)["items"] if answer.code == 0 else []
    names = [{name for each in node["status"].get("images", []) for name in each.get("names") or []} for node in nodes]
    return bool(nodes) and all({tag, f"docker.io/{tag}"} & there for there in names)


def _push(registry: str, tag: str) -> str:
    pushed = f"{registry}/{tag.removeprefix('slipway/')}"
    shell.run(docker_cli.tag(tag, pushed))
    shell.run(docker_cli.push(pushed))
    answer = shell.ask(docker_cli.list_digests(pushed))
    repository = pushed.rpartition(":")[0]
    digest = (
        next((line for line in answer.out.split() if line.startswith(f"{repository}@")), None)
        if answer.code == 0
        else None
    )
    if digest is None:
        raise SlipwayError(f"the Docker engine has no digest for {pushed}", f"docker image inspect {pushed}")
    return digest
