"""Starting and stopping the deployer: a container beside the MLflow services, or a process of `.venv`."""

from __future__ import annotations

import os
import shutil
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import requests

from slipway import hints, model_folder, ports, shell
from slipway.bootstrap import docker_cli, ownership, proxies
from slipway.deployer import api
from slipway.deployer.service import RECONCILE, TARGETS, find_token
from slipway.deployer.worker import name_owner
from slipway.errors import SlipwayError
from slipway.kubernetes import mlflow as tracking
from slipway.registry import connection
from slipway.registry.client import CHAMPION, Registry
from slipway.release import lock
from slipway.runtimes import containers, images, locks
from slipway.services import mlflow, monitoring, starting
from slipway.services.deployer_client import find_home
from slipway.serving import smoke_test
from slipway.serving.live_server import Slot
from slipway.settings import BUILD, ROOT, STATE

if TYPE_CHECKING:
    from slipway.settings import Services, Settings

HOOK = "/webhooks/mlflow"
SOCKET = "/var/run/docker.sock"
CERTIFICATES = "certificates.pem"


def start(settings: Settings) -> None:
    """Start the deployer: in a container, and wait until it answers; or (RUNTIME=host) in the foreground until Ctrl-C.

    Raises SlipwayError when the tracking server does not answer, or the port is taken.
    """
    if settings.cluster.is_inside:  # we are in a pod, of in_cluster
        name = f"deployer.{settings.cluster.namespace}"
        followed = urlsplit(settings.tracking_uri).hostname in tracking.list_names(
            settings
        )  # no other MLflow is sure to reach us
        api.serve(settings, "0.0.0.0", f"http://{name}:{settings.services.deployer_port}{HOOK}" if followed else "")  # noqa: S104 -- a pod's
    elif settings.network:  # we are in the container
        api.serve(settings, "0.0.0.0", f"http://deployer:{settings.services.deployer_port}{HOOK}")  # noqa: S104 -- published on 127.0.0.1
    elif settings.in_docker and settings.cluster.context:  # it needs this machine's kubectl, which no container has
        connection.check_reachable(settings)
        print(f"also deploying to {settings.cluster.context}; it notices a moved @{CHAMPION} within {RECONCILE} s")
        api.serve(settings, ports.LOCAL, "")
    elif settings.in_docker:
        _start_container(settings)
    else:
        os.environ.update(mlflow.local_webhooks())
        Registry.connect(settings)
        api.serve(settings, ports.LOCAL, f"http://{ports.LOCAL}:{settings.services.deployer_port}{HOOK}")


def stop(settings: Settings) -> None:
    """Stop the deployer and the server that it started; what it has on record stays."""
    if settings.in_docker:
        images.check_engine()
        mlflow.check_ours(settings.services)
        shell.run(mlflow.compose(settings.services, "rm", "--stop", "--force", "deployer"))
    elif _answers(settings.services):
        raise SlipwayError("the deployer runs in another terminal", "Ctrl-C there, then this")
    monitoring.withdraw("deployer", settings.services.deployer_port)
    monitoring.withdraw("model", settings.serving.port)
    for target in TARGETS:
        smoke_test.clear(settings, model_folder.load(settings.model_dir).name, name_owner(settings.services, target))
    Slot(settings).stop()
    _free_locks(settings)
    print(hints.complete("stopped; make start_deployer brings it back, and the champion with it"))


def _free_locks(settings: Settings) -> None:
    """Remove the locks that the deployer held when it was stopped: no other machine can know that it is gone."""
    identity, store = find_home(settings.services) / "identity", connection.find_embedded_file(settings)
    if not identity.exists() or (store and not store.exists()):
        return
    with suppress(SlipwayError):  # without a tracking server nobody releases, and the next start goes on
        connection.limit_retries()
        ours = f"deployer-{identity.read_text(encoding='utf-8').strip()}-"
        lock.free(Registry.connect(settings), model_folder.load(settings.model_dir).name, ours)


def _start_container(settings: Settings) -> None:
    connection.check_reachable(settings)
    if not settings.tracking.is_ours:
        raise SlipwayError(
            "the deployer's container belongs to the MLflow services of make start_mlflow_services",
            "RUNTIME=host make start_deployer",
        )
    mlflow.check_ours(settings.services)
    tag = images.build_service(settings, "deployer")
    model = model_folder.load(settings.model_dir)
    images.build_model(settings, model, locks.of_folder(settings, model))  # now, when it can be seen
    home, live, token = find_home(settings.services), STATE / "live", find_token(settings.services)
    where = settings.serving.log_dir
    predictions = STATE / "predictions" if "://" in where else Path(where)
    for path in (
        BUILD,
        home / "build",
        live,
        predictions,
        *(home / "hidden" / name for name in (f"deployer/{settings.services.deployer_port}", "live", "predictions")),
    ):
        path.mkdir(parents=True, exist_ok=True)
    write_environment(settings, home)
    containers.writing_user(live)
    containers.writing_user(predictions)
    socket = _find_socket()
    options = [
        "--rm",
        *docker_cli.flags("--label", ownership.OURS),
        "--volume",
        f"{socket}:{SOCKET}",
        "--entrypoint",
        "stat",
    ]
    group = shell.ask(docker_cli.run(tag, options, ["-c", "%g", SOCKET])).out
    variables = {
        "DEPLOYER_IMAGE": tag,
        "DEPLOYER_USER": containers.writing_user(home),
        "DOCKER_GROUP": group,
        "DOCKER_SOCKET": socket,
        "PREDICTIONS": str(predictions),
        **_name_settings(settings),
    }
    if shell.ask(mlflow.compose(settings.services, "port", "deployer", str(settings.services.deployer_port))).code != 0:
        ownership.check_port(settings.services.deployer_port, "DEPLOYER_PORT")
    command, given = mlflow.compose_up(settings.services, "deployer", variables, "--force-recreate")
    shell.echo(command)
    answer = shell.ask(command, env=given)
    if answer.code != 0:
        raise _explain(settings.services, answer.words)
    monitoring.announce(settings.services, "deployer", settings.services.deployer_port, model.name)
    monitoring.announce(settings.services, "model", settings.serving.port, model.name)
    starting.wait(settings, "deployer", lambda: _answers(settings.services), lambda: _explain(settings.services))
    print(
        f"the deployer answers at "
        f"http://127.0.0.1:{settings.services.deployer_port}; its token: {token.relative_to(ROOT)}"
    )
    hints.say_next("make promote")


def write_environment(settings: Settings, home: Path) -> None:
    """Write the variables of the deployer's container that no list of processes should show, for the owner alone.

    The server's settings; the caller's proxies and package indexes, which may hold passwords; and the certificates of
    CA_BUNDLE, of which the container gets a copy.
    """
    found = proxies.build_environment().items()
    given = {name: value for name, value in found if name in proxies.PROXIES or "://" in value}  # no folder of ours
    (home / CERTIFICATES).unlink(missing_ok=True)
    if settings.images.ca_bundle:
        shutil.copyfile(settings.images.ca_bundle, home / CERTIFICATES)
        (home / CERTIFICATES).chmod(0o644)
        given["CA_BUNDLE"] = str(home / CERTIFICATES)
    lines = [f"{name}={value}" for name, value in settings.serving.scoring.items()]
    lines += [f"{name}='{value}'" for name, value in given.items()]  # compose takes what is quoted as it is
    file = home / "environment"
    file.touch()
    file.chmod(0o600)
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _name_settings(settings: Settings) -> dict[str, str]:
    """Return the settings that the deployer's container shares with us, by the names of their variables."""
    return {
        "MODEL_DIR": str(settings.model_dir),
        "PORT": str(settings.serving.port),
        "DEPLOYER_PORT": str(settings.services.deployer_port),
        "PYTHON_IMAGE": settings.images.python,
        "MODEL_MEMORY": settings.limits.memory,
        "MODEL_CPUS": settings.limits.cpus,
        "MODEL_PIDS": settings.limits.pids,
        "PREDICT_TIMEOUT": str(settings.serving.predict_timeout),
        "START_TIMEOUT": str(settings.serving.start_timeout),
        "TEST_TIMEOUT": str(settings.serving.test_timeout),
        "REQUEST_TIMEOUT": str(settings.serving.request_timeout),
        "PREDICTION_LOG_DIR": settings.serving.log_dir,
        "MONITOR_EVERY": str(settings.monitoring.every or ""),
        "ROLLBACK_EVERY": str(settings.monitoring.rollback_every),
    }


def _explain(services: Services, words: str = "") -> SlipwayError:
    log = shell.ask(mlflow.compose(services, "logs", "--no-color", "--tail", "15", "deployer")).words
    return SlipwayError("the deployer did not come up:\n    " + "\n    ".join(f"{words}\n{log}".splitlines()[-15:]))


def _answers(services: Services) -> bool:
    try:
        return requests.get(f"http://127.0.0.1:{services.deployer_port}/livez", timeout=5).ok
    except requests.RequestException:
        return False


def _find_socket() -> str:
    """Return the engine's socket, as the engine itself sees it: Docker Desktop's lies inside its virtual machine."""
    answer = shell.ask(docker_cli.name_endpoint())
    path = answer.out.removeprefix("unix://")
    return (
        path
        if answer.code == 0 and sys.platform == "linux" and answer.out.startswith("unix://") and Path(path).exists()
        else SOCKET
    )
