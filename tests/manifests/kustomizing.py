"""Kustomizations as a deployment writes them, of every overlay with components, and what they render to."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import yaml

from slipway.settings import ROOT

MANIFESTS = ROOT / "deploy" / "kubernetes"
OVERLAYS = ("minikube", "cloud")
COMBINATIONS = {
    "nothing besides": [],
    "autoscaling": ["autoscaling"],
    "autoscaling by requests": ["autoscaling", "autoscaling-requests"],
    "ingress": ["ingress"],
    "gateway": ["gateway"],
    "canary": ["gateway", "canary"],
    "shadow": ["gateway", "shadow"],
    "shares": ["shares"],
    "monitoring": ["monitoring"],
    "network": ["network"],
    "kserve": ["kserve"],
    "kserve and network": ["kserve", "network"],
    "all with a canary": [
        "autoscaling",
        "autoscaling-requests",
        "ingress",
        "gateway",
        "canary",
        "monitoring",
        "network",
    ],
    "all with a shadow": [
        "autoscaling",
        "autoscaling-requests",
        "ingress",
        "gateway",
        "shadow",
        "monitoring",
        "network",
    ],
    "all without a gateway": ["autoscaling", "ingress", "shares", "monitoring", "network"],
}
WITH_CHALLENGER = {"canary", "shadow", "shares"}
OF_A_CHALLENGER = {"monitoring", "network"}  # what it has besides, of what its champion has
IMAGES = {
    "minikube": {"newName": "slipway/diabetes", "newTag": "v3-0123456789ab"},
    "cloud": {"newName": "registry.example/team/diabetes", "digest": "sha256:" + "0123456789abcdef" * 4},
}
BACKEND = {"service": {"name": "model", "port": {"name": "http"}}}
PATHS = (  # the model's own path, beside /model
    ("Ingress", "add", "/spec/rules/0/http/paths/-", {"path": "/diabetes", "pathType": "Prefix", "backend": BACKEND}),
    ("HTTPRoute", "add", "/spec/rules/0/matches/-", {"path": {"type": "PathPrefix", "value": "/diabetes"}}),
)
Object = dict[str, Any]
Patch = tuple[str, str, str, Any]  # kind, operation, path, value


def render(folder: Path, overlay: str, components: list[str]) -> list[Object]:
    """Return the objects of a deployment: the model, and its challenger where a component sends it requests."""
    objects = kustomize(write(folder / "model", overlay, components))
    if WITH_CHALLENGER & {*components}:
        besides = [
            name
            for name in components
            if name in OF_A_CHALLENGER and not (name == "monitoring" and "shares" in components)
        ]
        objects += kustomize(write(folder / "challenger", overlay, besides, slot="challenger"))
    return objects


def write(
    folder: Path, overlay: str, components: list[str], slot: str = "", patches: tuple[Patch, ...] = PATHS
) -> Path:
    """Write the kustomization of a model named diabetes, or of its challenger; return the folder.

    A patch of what is not there is none.
    """
    labels = {"app.kubernetes.io/instance": "diabetes", **({"app.kubernetes.io/component": slot} if slot else {})}
    kustomization = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": [relate(MANIFESTS / "overlays" / overlay, folder)],
        "components": [relate(MANIFESTS / "components" / name, folder) for name in components],
        "namespace": "slipway",
        "namePrefix": f"diabetes-{slot}-" if slot else "diabetes-",
        "images": [{"name": "slipway/model", **IMAGES[overlay]}],
        "labels": [{"pairs": labels, "includeSelectors": True}],
        "commonAnnotations": {f"io.slipway/{name}": "3" for name in ("model", "version", "run", "commit")},
        "patches": [
            {
                "target": {"kind": kind, "name": "model"},
                "patch": json.dumps([{"op": operation, "path": path, "value": value}]),
            }
            for kind, operation, path, value in patches
        ],
    }
    folder.mkdir(parents=True)
    (folder / "kustomization.yaml").write_text(json.dumps(kustomization))
    return folder


def relate(path: Path, folder: Path) -> str:
    """Return a path as kustomize takes it: from the folder."""
    return os.path.relpath(path.resolve(), folder.resolve())


def kustomize(folder: Path) -> list[Object]:
    """Return what a folder renders to. Raises ValueError with kustomize's words when it renders to nothing."""
    command = ["kubectl", "kustomize", str(folder)]
    completed = subprocess.run(command, check=False, capture_output=True, text=True)
    if completed.returncode != 0:
        raise ValueError(completed.stderr)
    return list(yaml.safe_load_all(completed.stdout))
