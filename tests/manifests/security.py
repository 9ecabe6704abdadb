"""The rules that a model's pods keep.

Each says what is so of a container in its pod, and findings are those that are not.
"""

import re
from collections.abc import Callable
from typing import Any

from tests.manifests.kustomizing import Object
from tests.manifests.pods import describe, find_pods

PINNED = re.compile(
    r"[^:@]+(@sha256:[0-9a-f]{64}|:(?!latest$)\w[\w.-]{11,127})"
)  # a digest, or a tag that has one in it: no mere `v3`
OF_THE_NODE = ("hostNetwork", "hostPID", "hostIPC")
Facts = dict[str, Any]


def _context(pod: Facts, container: Facts) -> Facts:
    """Return the security context that holds for a container: its own goes before its pod's."""
    return {**pod.get("securityContext", {}), **container.get("securityContext", {})}


def _resources(container: Facts, which: str) -> set[str]:
    return {*container.get("resources", {}).get(which, {})}


def _asks(container: Facts, probe: str, path: str) -> bool:
    asked = container.get(probe, {}).get("httpGet", {})
    return asked.get("path") == path and asked.get("port") in [port["name"] for port in container.get("ports", [])]


def _is_small(volume: Facts) -> bool:
    return volume.get("emptyDir", {}).get("medium") == "Memory" and "sizeLimit" in volume["emptyDir"]


RULES: dict[str, Callable[[Facts, Facts], bool]] = {
    "its image is pinned": lambda _, c: PINNED.fullmatch(c["image"].rpartition("/")[2]) is not None,
    "it runs the image's own command": lambda _, c: not {"command", "args"} & c.keys(),
    "it is not root": lambda p, c: (
        _context(p, c).get("runAsNonRoot") is True and _context(p, c).get("runAsUser", 0) > 0
    ),
    "its group is not root's": lambda p, c: _context(p, c).get("runAsGroup", 0) > 0,
    "its root is read-only": lambda p, c: _context(p, c).get("readOnlyRootFilesystem") is True,
    "it gains no rights": lambda p, c: (
        _context(p, c).get("allowPrivilegeEscalation") is False and not _context(p, c).get("privileged")
    ),
    "it has no capabilities": lambda p, c: _context(p, c).get("capabilities") == {"drop": ["ALL"]},
    "seccomp filters its calls": lambda p, c: _context(p, c).get("seccompProfile") == {"type": "RuntimeDefault"},
    "its share is requested": lambda _, c: _resources(c, "requests") >= {"cpu", "memory"},
    "its memory has a limit": lambda _, c: "memory" in _resources(c, "limits"),
    "it is asked whether it started": lambda _, c: _asks(c, "startupProbe", "/readyz"),
    "it is asked whether it is ready": lambda _, c: _asks(c, "readinessProbe", "/readyz"),
    "it is asked whether it lives": lambda _, c: _asks(c, "livenessProbe", "/livez"),
    "it has no token of the cluster": lambda p, _: p.get("automountServiceAccountToken") is False,
    "it is told of no other services": lambda p, _: p.get("enableServiceLinks") is False,
    "it shares nothing with its node": lambda p, _: not any(p.get(name) for name in OF_THE_NODE),
    "it writes into limited memory only": lambda p, _: all(_is_small(volume) for volume in p.get("volumes", [])),
}


def find_faults(objects: list[Object]) -> list[str]:
    """Return each container of these objects with each rule that it does not keep."""
    return [
        f"{describe(pod.owner)}, container {container['name']}: not so: {rule}"
        for pod in find_pods(objects)
        for container in pod.containers
        for rule, holds in RULES.items()
        if not holds(pod.spec, container)
    ]
