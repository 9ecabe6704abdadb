"""The manifests of one model version: what a deployment computes, around the ones that are in deploy/kubernetes."""

from __future__ import annotations

import json
import os
import re
import shutil
from typing import TYPE_CHECKING, Any

from slipway import model_folder, shell
from slipway.errors import USAGE, SlipwayError
from slipway.kubernetes import patches, traffic
from slipway.release import lock
from slipway.runtimes import containers, images, prediction_log
from slipway.settings import BUILD

if TYPE_CHECKING:
    from pathlib import Path

    from slipway.kubernetes.traffic import Share
    from slipway.runtimes.base import Prepared
    from slipway.settings import Cluster, Settings

MANIFESTS = patches.MANIFESTS
PREFIX = "io.slipway/"  # begins the annotations that say which model it is
NEEDED = (  # the second changes the first
    ("gateway", "canary"), ("gateway", "shadow"), ("autoscaling", "autoscaling-requests"),
)  # fmt: skip
STANDARD = {
    "autoscaling",
    "autoscaling-requests",
    "canary",
    "gateway",
    "ingress",
    "kserve",
    "monitoring",
    "network",
    "shadow",
    "shares",
}  # fmt: skip -- what Slipway brings; any other folder is the user's
EXCLUDED = {"canary": {"shadow"}, "kserve": set[str]()}  # empty: all but network
OWN = "kubernetes"  # in a model's folder: its own component, a folder with one of the files
OWN_FILES = ("kustomization.yaml", "kustomization.yml", "Kustomization")
COMPONENT = {"apiVersion": "kustomize.config.k8s.io/v1alpha1", "kind": "Component"}
LONGEST = 46  # of a name that gets more appended: 63 is Kubernetes' limit


def make_name(model: str) -> str:
    """Return the name that a model's objects begin with: a DNS label (pure)."""
    name = re.sub(r"[^a-z0-9]+", "-", model_folder.plain(model)).strip("-")[:LONGEST].rstrip("-")
    return name if re.match("[a-z]", name) else f"m-{name}"


def describe(settings: Settings, prepared: Prepared, image: str, overlay: str, place: Path) -> dict[str, Any]:
    """Return the kustomization of a version.

    `image` is name:tag or name@digest, `place` the folder that it will lie in.
    """
    components = [MANIFESTS / "components" / name for name in check_components(settings.cluster.components)]
    model, name = prepared.model.name or "model", make_name(prepared.model.name or "model")
    # of the image, so that only another image rolls the pods
    commit = images.read_label(image, "org.opencontainers.image.revision") or ""
    facts = {
        "model": model,
        "version": prepared.model.version,
        "run": prepared.model.run_id,
        "commit": commit,
        "overlay": overlay,
    }
    facts["components"] = " ".join(settings.cluster.components)
    given = prediction_log.in_cluster(settings, prepared.model.name)
    files = containers.SCORING_FILES - {prediction_log.RULES}  # which are no file there
    variables = {key: value for key, value in given.items() if key not in files}
    return {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": [os.path.relpath(MANIFESTS / "overlays" / overlay, place)],
        "components": [os.path.relpath(path, place) for path in components],
        "namespace": settings.cluster.namespace,
        "namePrefix": f"{name}-",
        "images": [replace_image("slipway/model", image)],
        "labels": [{"pairs": {"app.kubernetes.io/instance": name}, "includeSelectors": True}, traffic.OURS],
        "commonAnnotations": {f"{PREFIX}{key}": str(value) for key, value in facts.items() if value},
        "patches": [
            *patches.environment(
                variables | {"SCORING_ROOT_PATH": f"/{name},/model", "SCORING_IDENTITY": prepared.identity}
            ),
            *patches.end(overlay, settings.serving.scoring),
            *patches.paths(name),
            *patches.parent(settings.cluster.gateway),
        ],
    }


def read_annotations(deployment: dict[str, Any]) -> dict[str, str]:
    """Return which model a Deployment's pods are: model, version, run, commit."""
    found = deployment["spec"]["template"]["metadata"].get("annotations", {})
    return {key.removeprefix(PREFIX): value for key, value in found.items() if key.startswith(PREFIX)}


def find_own(model_dir: Path) -> Path | None:
    """Return the folder with a model's own settings of a deployment, a kustomize component; None where there is none.

    Raises SlipwayError (exit code 2) for a folder without a kustomization.
    """
    own = model_dir / OWN
    if not own.is_dir():
        return None
    if not any((own / name).is_file() for name in OWN_FILES):
        raise SlipwayError(
            f"{own} has no kustomization.yaml", "one of kind: Component, as docs/kubernetes.md shows", USAGE
        )
    return own


def check_components(chosen: list[str]) -> list[str]:
    """Return components in the order that kustomize needs.

    What changes another comes after it, and the user's own come last.

    Raises SlipwayError (exit code 2) for one that is not there, or that cannot be combined with another.
    """
    there = sorted(path.parent.name for path in (MANIFESTS / "components").glob("*/kustomization.yaml"))
    if unknown := [name for name in chosen if name not in there]:
        raise SlipwayError(
            f"COMPONENTS names {unknown[0]}; available: {', '.join(there)}", "COMPONENTS='autoscaling ingress'", USAGE
        )
    for first, others in EXCLUDED.items():
        if first in chosen and (wrong := sorted(others & set(chosen) if others else set(chosen) - {first, "network"})):
            raise SlipwayError(
                f"the component {first} cannot be combined with {wrong[0]}", "one of them in COMPONENTS", USAGE
            )
    missing = [before for before, after in NEEDED if after in chosen and before not in chosen]
    return sorted(
        {*chosen, *missing}, key=lambda name: (name not in STANDARD, name in {after for _, after in NEEDED}, name)
    )


def make_place(cluster: Cluster, what: str) -> Path:
    """Return a folder for what this very process renders, which no other command writes to.

    Those of processes that have ended go.
    """
    parent = BUILD / "k8s" / make_name(cluster.context or "none") / cluster.namespace / what
    for old in parent.glob("[0-9]*"):
        if not lock.lives(int(old.name)):
            shutil.rmtree(old, ignore_errors=True)
    place = parent / str(os.getpid())
    place.mkdir(parents=True, exist_ok=True)
    return place


def render(settings: Settings, prepared: Prepared, image: str, overlay: str, share: Share | None = None) -> Path:
    """Write a version's manifests below build/k8s, and return the file.

    `share` is what a challenger gets of its requests.

    Raises SlipwayError for a component that is not there, or manifests that kustomize refuses.
    """
    place = make_place(settings.cluster, make_name(prepared.model.name or "model"))
    kustomization = describe(settings, prepared, image, overlay, place)
    if share:
        check_components([*settings.cluster.components, share.component])
        component = os.path.relpath(MANIFESTS / "components" / share.component, place)
        kustomization["components"] += [] if component in kustomization["components"] else [component]
        kustomization["patches"] += traffic.patch_weights(share)
    return write(place, kustomization, find_own(settings.model_dir))


def render_challenger(settings: Settings, prepared: Prepared, image: str, overlay: str, pods: int) -> Path:
    """Write the manifests of a version that is deployed beside the champion, with so many pods, and return the file."""
    name = make_name(prepared.model.name or "model")
    place = make_place(settings.cluster, f"{name}-{traffic.CHALLENGER}")
    kustomization = traffic.challenge(describe(settings, prepared, image, overlay, place), name, pods)
    return write(place, kustomization, find_own(settings.model_dir))


def replace_image(name: str, image: str) -> dict[str, str]:
    """Return kustomize's entry that replaces a manifest's image by one, name:tag or name@digest (pure)."""
    reference, at, digest = image.partition("@")
    if at:
        return {"name": name, "newName": reference, "digest": digest}
    repository, _, tag = reference.rpartition(":")
    return {"name": name, "newName": repository, "newTag": tag}


def write(place: Path, kustomization: dict[str, Any], own: Path | None = None) -> Path:
    """Write a kustomization into a folder, and what it renders to beside it; return that file.

    `own` is a component that comes last: after the other components, and after the patches of the kustomization, which
    become one. Raises SlipwayError for manifests that kustomize refuses.
    """
    place.mkdir(parents=True, exist_ok=True)
    if own:
        (place / "settings").mkdir(exist_ok=True)
        changes = COMPONENT | {"patches": kustomization["patches"]}
        (place / "settings" / "kustomization.yaml").write_text(json.dumps(changes, indent=2), encoding="utf-8")
        components = [*kustomization["components"], "settings", os.path.relpath(own, place)]
        kustomization = {key: value for key, value in kustomization.items() if key != "patches"} | {
            "components": components
        }
    (place / "kustomization.yaml").write_text(json.dumps(kustomization, indent=2), encoding="utf-8")  # JSON is YAML
    answer = shell.ask(["kubectl", "kustomize", str(place)])
    if answer.code != 0:
        said = re.search(r'err="(.*)"$', answer.last)  # as kubectl logs it
        words = said[1].replace("\\", "") if said else answer.last
        raise SlipwayError(f"the manifests cannot be rendered: {words}", f"kubectl kustomize {place}")
    manifest = place / "manifest.yaml"
    manifest.write_text(answer.out + "\n", encoding="utf-8")
    return manifest
