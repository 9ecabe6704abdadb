"""The manifests of one model version: what a deployment computes, around the ones that are in deploy/kubernetes."""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING, Any

from slipway import image as images
from slipway import serving, shell
from slipway.errors import USAGE, SlipwayError
from slipway.settings import BUILD, ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from slipway.serving import Prepared
    from slipway.settings import Settings

MANIFESTS = ROOT / "deploy" / "kubernetes"
PREFIX = "io.slipway/"  # begins the annotations that say which model it is
NEEDED = (("gateway", "canary"), ("gateway", "shadow"), ("autoscaling", "autoscaling-requests"))  # the second changes the first
EXCLUDED = {"canary": {"shadow"}, "kserve": set[str]()}  # empty: all but network
LONGEST = 50  # of a name that gets more appended: 63 is Kubernetes' limit


def make_name(model: str) -> str:
    """Return the name that a model's objects begin with: a DNS label (pure)."""
    name = re.sub(r"[^a-z0-9]+", "-", model.lower()).strip("-")[:LONGEST].rstrip("-")
    return name if re.match("[a-z]", name) else f"m-{name}"


def describe(settings: Settings, prepared: Prepared, image: str, overlay: str, place: Path) -> dict[str, Any]:
    """Return the kustomization of a version: `image` is name:tag or name@digest, `place` the folder that it will lie in."""
    components = [MANIFESTS / "components" / name for name in check_components(settings.components)]
    model, name = prepared.model.name or "model", make_name(prepared.model.name or "model")
    commit = images.read_label(image, "org.opencontainers.image.revision") or ""  # of the image, so that only another image rolls the pods
    facts = {"model": model, "version": prepared.model.version, "run": prepared.model.run_id, "commit": commit, "overlay": overlay}
    facts["components"] = " ".join(settings.components)
    variables = {key: value for key, value in settings.scoring.items() if key not in serving.FILES}
    return {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": [os.path.relpath(MANIFESTS / "overlays" / overlay, place)],
        "components": [os.path.relpath(path, place) for path in components],
        "namespace": settings.namespace,
        "namePrefix": f"{name}-",
        "images": [replace_image("slipway/model", image)],
        "labels": [{"pairs": {"app.kubernetes.io/instance": name}, "includeSelectors": True}],
        "commonAnnotations": {f"{PREFIX}{key}": str(value) for key, value in facts.items() if value},
        "patches": [*patch_environment(variables | {"SCORING_ROOT_PATH": f"/{name},/model"}), *patch_paths(name)],
    }


def check_components(chosen: list[str]) -> list[str]:
    """Return components in the order that kustomize needs: what changes another comes after it.

    Raises SlipwayError (exit code 2) for one that is not there, or that does not go with another.
    """
    there = sorted(path.parent.name for path in (MANIFESTS / "components").glob("*/kustomization.yaml"))
    if unknown := [name for name in chosen if name not in there]:
        raise SlipwayError(f"COMPONENTS names {unknown[0]}; there is: {', '.join(there)}", "COMPONENTS='autoscaling ingress'", USAGE)
    for first, others in EXCLUDED.items():
        if first in chosen and (wrong := sorted(others & set(chosen) if others else set(chosen) - {first, "network"})):
            raise SlipwayError(f"the component {first} does not go with {wrong[0]}", "one of them in COMPONENTS", USAGE)
    missing = [before for before, after in NEEDED if after in chosen and before not in chosen]
    return sorted({*chosen, *missing}, key=lambda name: (name in {after for _, after in NEEDED}, name))


def patch_environment(variables: dict[str, str]) -> list[dict[str, Any]]:
    """Return kustomize's patches that give the server its variables, as a Deployment or as KServe's InferenceService (pure)."""
    entries = [{"name": key, "value": value} for key, value in variables.items()]
    template = {"spec": {"containers": [{"name": "model", "env": entries}]}}
    patch = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "model"}, "spec": {"template": template}}
    added = [{"op": "add", "path": "/spec/predictor/containers/0/env/-", "value": entry} for entry in entries]
    return [
        {"target": {"kind": "Deployment", "name": "model"}, "patch": json.dumps(patch)},
        {"target": {"kind": "InferenceService", "name": "model"}, "patch": json.dumps(added)},
    ]


def patch_paths(name: str) -> list[dict[str, Any]]:
    """Return kustomize's patches that have a model answer under its own name, beside /model (pure)."""
    if name == "model":
        return []
    path = {"path": f"/{name}", "pathType": "Prefix", "backend": {"service": {"name": "model", "port": {"name": "http"}}}}
    rule = [{"op": "add", "path": "/spec/rules/0/http/paths/-", "value": path}]
    match = [{"op": "add", "path": "/spec/rules/0/matches/-", "value": {"path": {"type": "PathPrefix", "value": f"/{name}"}}}]
    return [
        {"target": {"kind": "Ingress", "name": "model"}, "patch": json.dumps(rule)},
        {"target": {"kind": "HTTPRoute", "name": "model"}, "patch": json.dumps(match)},
    ]


def render(settings: Settings, prepared: Prepared, image: str, overlay: str) -> Path:
    """Write a version's manifests below build/k8s, and return the file.

    Raises SlipwayError for a component that is not there, or manifests that kustomize refuses.
    """
    place = BUILD / "k8s" / make_name(settings.context or overlay) / make_name(prepared.model.name or "model")
    return write(place, describe(settings, prepared, image, overlay, place))


def replace_image(name: str, image: str) -> dict[str, str]:
    """Return kustomize's entry that puts an image, name:tag or name@digest, in the place of the one in the manifests (pure)."""
    reference, at, digest = image.partition("@")
    if at:
        return {"name": name, "newName": reference, "digest": digest}
    repository, _, tag = reference.rpartition(":")
    return {"name": name, "newName": repository, "newTag": tag}


def write(place: Path, kustomization: dict[str, Any]) -> Path:
    """Write a kustomization into a folder, and what it renders to beside it; return that file.

    Raises SlipwayError for manifests that kustomize refuses.
    """
    place.mkdir(parents=True, exist_ok=True)
    (place / "kustomization.yaml").write_text(json.dumps(kustomization, indent=2), encoding="utf-8")  # JSON is YAML
    code, printed = shell.ask(["kubectl", "kustomize", str(place)])
    if code != 0:
        raise SlipwayError(f"the manifests cannot be rendered: {(printed.splitlines() or ['kubectl is not installed'])[-1]}")
    manifest = place / "manifest.yaml"
    manifest.write_text(printed + "\n", encoding="utf-8")
    return manifest
