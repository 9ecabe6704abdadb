"""Whether what names or selects something meets what it means, and whether what needs a companion has it."""

from typing import Any

from tests.manifests.kustomizing import Object
from tests.manifests.pods import Pod, describe, find, find_pods, matches


def find_dangling(objects: list[Object]) -> list[str]:
    """Return each reference to nothing that is rendered, and each object without the companion that it needs."""
    checks = (_services, _backends, _monitors, _autoscalers, _policies, _budgets, _pods)
    return [fault for check in checks for fault in check(objects)]


def _services(objects: list[Object]) -> list[str]:
    faults = []
    for service in find(objects, "Service"):
        selected = [pod for pod in find_pods(objects) if matches(service["spec"]["selector"], pod.labels)]
        if not selected:
            faults.append(f"{describe(service)} selects no pod")
        for port in service["spec"]["ports"]:
            faults += [
                f"{describe(service)}: {describe(pod.owner)} has no port {port['targetPort']}"
                for pod in selected
                if port["targetPort"] not in _ports(pod)
            ]
    return faults


def _backends(objects: list[Object]) -> list[str]:
    """Ports are named in an Ingress and numbered in a route."""
    there = {each["metadata"]["name"]: [*_both(each["spec"]["ports"], "port")] for each in find(objects, "Service")}
    named = []
    for ingress in find(objects, "Ingress"):
        for path in [path for rule in ingress["spec"]["rules"] for path in rule["http"]["paths"]]:
            service = path["backend"]["service"]
            named.append((ingress, service["name"], next(iter(service["port"].values()))))
    for route in find(objects, "HTTPRoute"):
        for rule in route["spec"]["rules"]:
            mirrors = [
                each["requestMirror"]["backendRef"] for each in rule.get("filters", []) if "requestMirror" in each
            ]
            named += [(route, each["name"], each["port"]) for each in [*rule["backendRefs"], *mirrors]]
    return [
        f"{describe(each)} sends to {name}:{port}, which is no Service's"
        for each, name, port in named
        if port not in there.get(name, [])
    ]


def _monitors(objects: list[Object]) -> list[str]:
    faults = []
    for monitor in find(objects, "ServiceMonitor"):
        wanted = monitor["spec"]["selector"]["matchLabels"]
        services = [each for each in find(objects, "Service") if matches(wanted, each["metadata"]["labels"])]
        if len(services) != 1:
            faults.append(f"{describe(monitor)} selects {len(services)} Services, not one")
        ports = [port["name"] for each in services for port in each["spec"]["ports"]]
        faults += [
            f"{describe(monitor)}: no Service has {at['port']}"
            for at in monitor["spec"]["endpoints"]
            if at["port"] not in ports
        ]
    return faults


def _autoscalers(objects: list[Object]) -> list[str]:
    faults = []
    for each in find(objects, "HorizontalPodAutoscaler"):
        target = each["spec"]["scaleTargetRef"]
        found = [one for one in find(objects, target["kind"]) if one["metadata"]["name"] == target["name"]]
        if not found:
            faults.append(f"{describe(each)} scales {target['name']}, which is not there")
        faults += [f"{describe(each)}: {describe(one)} sets replicas too" for one in found if "replicas" in one["spec"]]
    return faults


def _policies(objects: list[Object]) -> list[str]:
    faults = []
    for policy in find(objects, "NetworkPolicy"):
        selected = [
            pod
            for pod in find_pods(objects)
            if matches(policy["spec"]["podSelector"].get("matchLabels", {}), pod.labels)
        ]
        if not selected:
            faults.append(f"{describe(policy)} selects no pod")
        opened = [port["port"] for rule in policy["spec"]["ingress"] for port in rule.get("ports", [])]
        faults += [
            f"{describe(policy)} opens {port}, which no pod has"
            for port in opened
            if not any(port in _ports(pod) for pod in selected)
        ]
    return faults


def _pods(objects: list[Object]) -> list[str]:
    """Find pods of more than one Deployment or budget (an eviction fails with two budgets), or of no Service."""
    faults = []
    for pod in find_pods(objects):
        own = pod.owner["kind"] == "Deployment"
        owners = [
            each for each in find(objects, "Deployment") if matches(each["spec"]["selector"]["matchLabels"], pod.labels)
        ]
        if own and owners != [pod.owner]:
            faults.append(f"{describe(pod.owner)}: its pods are selected by {[describe(each) for each in owners]}")
        budgets = [
            each
            for each in find(objects, "PodDisruptionBudget")
            if matches(each["spec"]["selector"]["matchLabels"], pod.labels)
        ]
        if len(budgets) != 1:
            faults.append(f"{describe(pod.owner)}: {len(budgets)} budgets, not one")
        services = [each for each in find(objects, "Service") if matches(each["spec"]["selector"], pod.labels)]
        if own and not services:
            faults.append(f"{describe(pod.owner)}: no Service")
        spreads = [each["labelSelector"]["matchLabels"] for each in pod.spec.get("topologySpreadConstraints", [])]
        selector = (
            pod.owner["spec"]["selector"]["matchLabels"] if own else {}
        )  # a challenger's pods have the rest in common
        wrong = [labels for labels in spreads if not matches(labels, pod.labels) or (own and labels != selector)]
        faults += [f"{describe(pod.owner)}: is spread by others' labels" for _ in wrong]
    return faults


def _budgets(objects: list[Object]) -> list[str]:
    return [
        f"{describe(each)} selects no pod"
        for each in find(objects, "PodDisruptionBudget")
        if not any(matches(each["spec"]["selector"]["matchLabels"], pod.labels) for pod in find_pods(objects))
    ]


def _ports(pod: Pod) -> list[str | int]:
    return [*_both([port for container in pod.containers for port in container.get("ports", [])], "containerPort")]


def _both(ports: list[dict[str, Any]], number: str) -> list[str | int]:
    """Return names and numbers of ports."""
    return [port[key] for port in ports for key in ("name", number)]
