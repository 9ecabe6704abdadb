"""The compose files as data: local, pinned, healthy before use, and with no more rights than it needs."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from slipway.bootstrap import ownership
from tests.repo import tree

Service = dict[str, Any]
FOLDER = Path("mlflow_services")
FILES = {path: yaml.safe_load(tree.read(path)) for path in tree.find(f"{FOLDER}/*.yaml")}
NAMES = ("alertmanager", "deployer", "grafana", "mlflow", "postgres", "prometheus", "registry")
BASE = FOLDER / "compose.yaml"  # its service is extended by the others


def merge(service: Service) -> Service:
    """Return a service with what it extends, as compose merges them."""
    extended = service.get("extends")
    if not extended:
        return service
    base = merge(FILES[FOLDER / extended["file"]]["services"][extended["service"]])
    merged = {**base, **service}
    for key in base.keys() & service.keys():
        if isinstance(base[key], dict):
            merged[key] = {**base[key], **service[key]}
        elif isinstance(base[key], list):
            merged[key] = [*base[key], *service[key]]
    return merged


SERVICES = [
    pytest.param(merge(service), id=f"{path}:{name}")
    for path, file in FILES.items()
    if path != BASE
    for name, service in file["services"].items()
]
IMAGES = dict(re.findall(r'export (\w+_IMAGE)="\$\{\w+:-(.*?)\}"', tree.read("mlflow_env.sh")))

every_service = pytest.mark.parametrize("service", SERVICES)


@every_service
def test_ports_are_this_machines_alone(service: Service) -> None:
    """A published port is one of 127.0.0.1, and what is in the machine's own network listens there alone."""
    ports = service.get("ports", [])

    assert [port for port in ports if not str(port).startswith("127.0.0.1:")] == []
    if service.get("network_mode"):
        told = [*service.get("command", []), *map(str, service.get("environment", {}).values())]
        assert service["network_mode"] == "host"
        assert any(re.search(r"(^|=)127\.0\.0\.1(:|$)", each) for each in told)


@every_service
def test_a_service_has_few_rights(service: Service) -> None:
    """A service runs as a user who is not root, on a read-only root, without capabilities or new privileges."""
    assert service["user"] not in {"root", "0", "0:0"}
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert not {"privileged", "cap_add", "pid", "ipc"} & service.keys()


@every_service
def test_a_service_has_limits_and_says_whose_it_is(service: Service) -> None:
    """A service has limits of memory, processors and processes, a log that rotates, and the label of its checkout."""
    limits = {"mem_limit": "${SERVICE_MEMORY:?}", "cpus": "${SERVICE_CPUS:?}", "pids_limit": "${SERVICE_PIDS:?}"}

    assert {name: service[name] for name in limits} == limits
    assert service["logging"] == {"driver": "local", "options": {"max-size": "10m", "max-file": "3"}}
    assert service["labels"][ownership.LABEL] == "${SLIPWAY_ROOT:?}"


@every_service
def test_a_service_says_when_it_is_healthy(service: Service) -> None:
    """A service has a health check, and whoever needs it waits for that."""
    assert service["healthcheck"]["test"]
    assert {
        name: what for name, what in service.get("depends_on", {}).items() if what != {"condition": "service_healthy"}
    } == {}


@every_service
def test_an_image_is_a_setting(service: Service) -> None:
    """A service's image is a variable without which compose stops.

    Its version stands in mlflow_env.sh, or is our own tag.
    """
    assert re.fullmatch(r"\$\{\w+_IMAGE:\?[^}]*\}", service["image"])


@pytest.mark.parametrize("name", IMAGES)
def test_an_image_has_a_version(name: str) -> None:
    """An image that is a setting has a tag that starts with a version."""
    assert re.search(r":v?\d[\w.-]*$", IMAGES[name])


@every_service
def test_no_password_is_written_down(service: Service) -> None:
    """A password is a file that compose mounts, never a variable, which docker inspect shows.

    Nor does an address hold one.
    """
    environment = {name: str(value) for name, value in service.get("environment", {}).items()}
    secret = {name: value for name, value in environment.items() if re.search("PASSWORD|SECRET|TOKEN|KEY", name)}
    within = [found for value in environment.values() for found in re.findall(r"://[^/@:]*:([^@]*)@", value)]

    assert {name: value for name, value in secret.items() if not value.startswith("/run/secrets/")} == {}
    assert within == []


def test_no_service_is_missed() -> None:
    """Each file but the shared one holds one service, of the file's name."""
    assert {path: [*file["services"]] for path, file in FILES.items() if path != BASE} == {
        FOLDER / f"{name}.yaml": [name] for name in NAMES
    }


@pytest.mark.parametrize("path", FILES, ids=str)
def test_a_volume_is_of_one_major_version(path: Path) -> None:
    """A database's volume has the major version in its name: another one cannot read its files."""
    volumes = FILES[path].get("volumes", {})

    assert [name for name, volume in volumes.items() if "_MAJOR" not in volume["name"]] == []
    assert "version" not in FILES[path], "compose has not read `version:` for years"
