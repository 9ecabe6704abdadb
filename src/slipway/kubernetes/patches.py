"""Kustomize's patches of a model's manifests: the server's variables, its time to end, its paths and its Gateway."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import yaml

from slipway.errors import USAGE, SlipwayError
from slipway.settings import ROOT

if TYPE_CHECKING:
    from collections.abc import Mapping

MANIFESTS = ROOT / "deploy" / "kubernetes"
DRAIN, SPARE = 30, 10  # s: the server's default of SCORING_DRAIN, and what a pod has besides to end


def escape(word: str) -> str:
    """Return a value, or a word of a command, as Kubernetes wants it: it expands $(…), and has $$ mean $ (pure)."""
    return word.replace("$", "$$")


def list_variables(variables: Mapping[str, str]) -> list[dict[str, str]]:
    """Return variables as a container has them (pure)."""
    return [{"name": name, "value": escape(value)} for name, value in variables.items()]


def environment(variables: dict[str, str]) -> list[dict[str, Any]]:
    """Return patches with the server's variables, of the Deployment and of KServe's InferenceService (pure)."""
    entries = list_variables(variables)
    template = {"spec": {"containers": [{"name": "model", "env": entries}]}}
    patch = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "model"},
        "spec": {"template": template},
    }
    added = [{"op": "add", "path": "/spec/predictor/containers/0/env/-", "value": entry} for entry in entries]
    return [
        {"target": {"kind": "Deployment", "name": "model"}, "patch": json.dumps(patch)},
        {"target": {"kind": "InferenceService", "name": "model"}, "patch": json.dumps(added)},
    ]


def paths(name: str) -> list[dict[str, Any]]:
    """Return patches that have a model answer under its own name, beside /model (pure)."""
    if name == "model":
        return []
    path = {
        "path": f"/{name}",
        "pathType": "Prefix",
        "backend": {"service": {"name": "model", "port": {"name": "http"}}},
    }
    rule = [{"op": "add", "path": "/spec/rules/0/http/paths/-", "value": path}]
    match = [
        {"op": "add", "path": "/spec/rules/0/matches/-", "value": {"path": {"type": "PathPrefix", "value": f"/{name}"}}}
    ]
    return [
        {"target": {"kind": "Ingress", "name": "model"}, "patch": json.dumps(rule)},
        {"target": {"kind": "HTTPRoute", "name": "model"}, "patch": json.dumps(match)},
    ]


def parent(gateway: str) -> list[dict[str, Any]]:
    """Return a patch that hangs the route on a Gateway, `name` or `namespace/name`.

    "" is the manifests' own (pure).
    """
    if not gateway:
        return []
    namespace, _, name = gateway.rpartition("/")
    parent = {"name": name} | ({"namespace": namespace} if namespace else {})
    patch = [{"op": "replace", "path": "/spec/parentRefs", "value": [parent]}]
    return [{"target": {"kind": "HTTPRoute", "name": "model"}, "patch": json.dumps(patch)}]


def end(overlay: str, scoring: dict[str, str]) -> list[dict[str, Any]]:
    """Return patches that give a pod more time to end than its server takes, where it has less."""
    patches = []
    places = {
        "Deployment": ("template/spec", ["base", f"overlays/{overlay}"]),
        "InferenceService": ("predictor", ["base"]),
    }
    for kind, (path, folders) in places.items():
        grace, own = _read_end(folders)
        wanted = _read_seconds(scoring, "SCORING_GRACE", grace) + _read_seconds(scoring, "SCORING_DRAIN", DRAIN) + SPARE
        if wanted > own:
            patch = [
                {"op": "replace", "path": f"/spec/{path}/terminationGracePeriodSeconds", "value": math.ceil(wanted)}
            ]
            patches.append({"target": {"kind": kind, "name": "model"}, "patch": json.dumps(patch)})
    return patches


def _read_seconds(scoring: dict[str, str], name: str, default: float) -> float:
    """Return one of the server's settings, in s (pure).

    Raises SlipwayError (exit code 2) for what the server would refuse.
    """
    try:
        seconds = float(scoring.get(name, default))
    except ValueError:
        seconds = -1
    if not 0 <= seconds < math.inf:
        raise SlipwayError(f"{name} is {scoring[name]!r}: must be a number of seconds", f"{name}={default:g}", USAGE)
    return seconds


def _read_end(folders: list[str]) -> tuple[float, float]:
    """Return SCORING_GRACE and the time to end that these manifests have, a later one's before an earlier's, in s."""
    grace, end = 0.0, 0.0
    for folder in folders:
        deployment = yaml.safe_load((MANIFESTS / folder / "deployment.yaml").read_text(encoding="utf-8"))
        spec = deployment["spec"]["template"]["spec"]
        end = spec.get("terminationGracePeriodSeconds", end)
        variables = {
            each["name"]: each["value"] for container in spec["containers"] for each in container.get("env", [])
        }
        grace = float(variables.get("SCORING_GRACE", grace))
    return grace, end
