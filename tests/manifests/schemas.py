"""Rendered objects against published schemas.

Kubernetes' own kinds by kubernetes-validate, others by the definitions of their projects.
"""

import json
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate

from tests.manifests.kustomizing import Object

OWN_GROUPS = {"", "apps", "autoscaling", "batch", "networking.k8s.io", "policy", "rbac.authorization.k8s.io"}
Schema = dict[str, Any]


def is_own(each: Object) -> bool:
    """Whether Kubernetes itself defines the object's kind."""
    return each["apiVersion"].rpartition("/")[0] in OWN_GROUPS


def find_errors(each: Object, version: str) -> list[str]:
    """Return what is wrong with an object of Kubernetes' own by a release such as 1.37.

    An unknown field or kind is wrong.
    """
    try:
        kubernetes_validate.validate(each, version, strict=True)
    except kubernetes_validate.ValidationError as error:
        return [f"{'/'.join(str(part) for part in error.path)}: {error.message}"]
    except kubernetes_validate.SchemaNotFoundError as error:
        return [error.message]
    return []


def find_custom_errors(each: Object, folder: Path) -> list[str]:
    """Return what is wrong with another object by `folder`/<group>_<kind>_<version>.json, in lower case."""
    group, _, version = each["apiVersion"].partition("/")
    file = folder / f"{group}_{each['kind'].lower()}_{version}.json"
    if not file.exists():
        return [f"there is no {file.name}"]
    validator = jsonschema.Draft202012Validator(make_strict(json.loads(file.read_text(encoding="utf-8"))))
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(each)]


def make_strict(schema: Schema) -> Schema:
    """Return a structural schema that takes no field it does not list, as an API server that is asked to be strict.

    Only properties, items and additionalProperties are gone into: what stands in anyOf or not adds no field (a rule of
    structural schemas).
    """
    strict = dict(schema)
    if "properties" in schema:
        strict["properties"] = {name: make_strict(inner) for name, inner in schema["properties"].items()}
        if not schema.get("x-kubernetes-preserve-unknown-fields"):
            strict.setdefault("additionalProperties", False)
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            strict[key] = make_strict(schema[key])
    return strict
