"""Prometheus, Alertmanager and Grafana on this machine, by compose, and the files by which they find what is served."""

from __future__ import annotations

import contextlib
import json
import os
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import requests
import yaml

from slipway import hints, ports, secret_file, shell
from slipway.bootstrap import ownership
from slipway.runtimes import containers, images
from slipway.services import mlflow, starting
from slipway.settings import STATE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from slipway.settings import Monitoring, Services, Settings

FOLDER = STATE / "monitoring"
TARGETS = FOLDER / "targets"
PASSWORD = FOLDER / "grafana_password"
NONE = "none"  # as GRAFANA_IMAGE: without Grafana
SOURCE = "slipway"  # the uid by which the dashboards name their data source


class Service(NamedTuple):
    """A service: its image and port, with their settings, and the path that answers when it is ready."""

    image: str
    image_setting: str
    port: int
    port_setting: str
    path: str


def list_services(monitoring: Monitoring) -> dict[str, Service]:
    """Return the services that are wanted."""
    found = {
        "alertmanager": Service(
            monitoring.alertmanager_image, "ALERTMANAGER_IMAGE", monitoring.alertmanager_port, "ALERTMANAGER_PORT",
            "/-/ready",
        ),
        "prometheus": Service(
            monitoring.prometheus_image, "PROMETHEUS_IMAGE", monitoring.prometheus_port, "PROMETHEUS_PORT", "/-/ready"
        ),
        "grafana": Service(
            monitoring.grafana_image, "GRAFANA_IMAGE", monitoring.grafana_port, "GRAFANA_PORT", "/api/health"
        ),
    }  # fmt: skip
    return {name: each for name, each in found.items() if each.image != NONE}


def start(settings: Settings) -> None:
    """Start them and wait until they answer; what they have stored before is still there.

    Raises SlipwayError when a port is taken, or one does not come up.
    """
    images.check_engine()
    mlflow.check_ours(settings.services)
    services = list_services(settings.monitoring)
    for name, each in services.items():
        running = shell.ask(mlflow.compose(settings.services, "ps", "--quiet", name))
        if not running.out:
            ownership.check_port(each.port, each.port_setting)
        mlflow.pull(each.image, each.image_setting)
    variables = _prepare(settings, list(services))
    for name, each in services.items():
        given = variables | {each.image_setting: each.image, each.port_setting: str(each.port)}
        command, environment = mlflow.compose_up(settings.services, name, given)
        shell.run(command, env=environment)
        starting.wait(settings, name, partial(_answers, each.port, each.path), partial(mlflow.explain, settings))
        told = f"; user admin, password: {PASSWORD.relative_to(STATE.parent)}" if name == "grafana" else ""
        print(f"{name} answers at http://127.0.0.1:{each.port}{told}")
    hints.say_next("make serve_model MODEL=…, or make start_deployer, which it finds by itself")


def stop(settings: Settings) -> None:
    """Stop them; their data stays."""
    images.check_engine()
    mlflow.check_ours(settings.services)
    for name in ("grafana", "prometheus", "alertmanager"):
        shell.run(mlflow.compose(settings.services, "rm", "--stop", "--force", name))
    print(hints.complete("stopped; the data stays, make start_monitoring brings it back"))


def _prepare(settings: Settings, names: list[str]) -> dict[str, str]:
    """Make their folders and files; return compose's variables."""
    TARGETS.mkdir(parents=True, exist_ok=True)
    for name in names:
        (FOLDER / name).mkdir(exist_ok=True)
    _forget()
    address = [f"127.0.0.1:{settings.monitoring.alertmanager_port}"]
    _write("alertmanager", [{"targets": address, "labels": {}}])
    if "grafana" in names:
        secret_file.read_or_make(PASSWORD)
        _provision(settings)
    return {
        "MONITORING_USER": containers.writing_user(FOLDER),
        "MONITORING_DATA": str(FOLDER),
        "MONITORING_TARGETS": str(TARGETS),
        "MONITORING_DAYS": str(settings.monitoring.days),
    }


def _provision(settings: Settings) -> None:
    """Write Grafana's data source and where its dashboards are."""
    source = {
        "name": "Prometheus", "uid": SOURCE, "type": "prometheus", "access": "proxy", "isDefault": True,
        "url": f"http://127.0.0.1:{settings.monitoring.prometheus_port}", "editable": False,
    }  # fmt: skip
    provider = {"name": "slipway", "type": "file", "options": {"path": "/etc/slipway/dashboards"}}
    files = {
        "datasources": {"apiVersion": 1, "datasources": [source]},
        "dashboards": {"apiVersion": 1, "providers": [provider]},
    }
    for name, content in files.items():
        place = FOLDER / "provisioning" / name
        place.mkdir(parents=True, exist_ok=True)
        (place / "slipway.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")


def _answers(port: int, path: str) -> bool:
    try:
        return requests.get(f"http://127.0.0.1:{port}{path}", timeout=5).ok
    except requests.RequestException:
        return False


@contextmanager
def announced(services: Services, job: str, port: int, model: str) -> Iterator[None]:
    """Have Prometheus find a server on a port of this machine, until the block ends."""
    announce(services, job, port, model)
    try:
        yield
    finally:
        withdraw(job, port)


def announce(services: Services, job: str, port: int, model: str) -> None:
    """Have Prometheus find a server on a port of this machine.

    Of one that was killed the file stays, so that it counts as down, until it is started again or its port is free when
    the monitoring starts.
    """
    labels = {"job_name": job, "model": model, "project": services.project}
    with contextlib.suppress(OSError):  # it is served all the same
        _write(f"{job}-{port}", [{"targets": [f"127.0.0.1:{port}"], "labels": labels}])


def withdraw(job: str, port: int) -> None:
    """Have Prometheus forget a server."""
    with contextlib.suppress(OSError):
        (TARGETS / f"{job}-{port}.json").unlink(missing_ok=True)


def _write(name: str, content: list[dict[str, Any]]) -> None:
    TARGETS.mkdir(parents=True, exist_ok=True)
    begun = TARGETS / f".{name}.{os.getpid()}"
    begun.write_text(json.dumps(content), encoding="utf-8")
    begun.replace(TARGETS / f"{name}.json")


def _forget() -> None:
    """Forget servers that were killed: nothing listens on their ports."""
    for file in TARGETS.glob("*-*.json"):
        port = file.stem.rpartition("-")[2]
        if port.isdecimal() and ports.is_free(int(port)):
            file.unlink(missing_ok=True)
