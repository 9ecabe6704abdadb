"""The MLflow services: Postgres and the tracking server, by compose."""

from __future__ import annotations

import contextlib
import re
import sys
import time
from typing import TYPE_CHECKING

import requests

from slipway import hints, ports, shell
from slipway.bootstrap import docker_cli, ownership
from slipway.errors import SlipwayError
from slipway.registry import connection
from slipway.registry.client import Registry
from slipway.runtimes import containers, images
from slipway.services import causes, credentials, starting
from slipway.settings import ROOT, STATE

if TYPE_CHECKING:
    from slipway.settings import Services, Settings, Tracking

FOLDER = ROOT / "mlflow_services"  # of the compose files, a service each
SERVICES = ("mlflow", "postgres")  # in the order in which they stop
NAMES = ("localhost", "127.0.0.1", "mlflow", "host.docker.internal")  # what clients call the tracking server


def start(settings: Settings) -> None:
    """Start the services and wait until the API answers under every name that clients use.

    Raises SlipwayError, with the cause that the logs name, when they do not come up.
    """
    images.check_engine()
    check_ours(settings.services)
    _check_major(settings)
    check_data(settings)
    if shell.ask(compose(settings.services, "port", "mlflow", "5000")).out != f"127.0.0.1:{settings.tracking.port}":
        ownership.check_port(settings.tracking.port, "MLFLOW_PORT")
    mlflow_image = images.build_service(settings, "mlflow")
    started = time.monotonic()
    start_database(settings)
    _check_password(settings)  # with a wrong one MLflow would try for minutes
    variables = {
        "MLFLOW_IMAGE": mlflow_image,
        "MLFLOW_PORT": str(settings.tracking.port),
        "MLFLOW_WORKERS": settings.tracking.workers,
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": settings.tracking.jobs,
        "MLFLOW_ARTIFACT_ROOT": str(settings.tracking.artifact_root),
        "SLIPWAY_USER": containers.writing_user(settings.tracking.artifact_root),
    }
    up(settings, "mlflow", variables | credentials.write())
    wait_for_mlflow(settings)
    _check_names(settings.tracking)
    print(
        f"MLflow answers at {settings.tracking_uri} after {time.monotonic() - started:.0f} s; "
        f"artifacts: {settings.tracking.artifact_root}"
    )
    hints.say_next("make train_model")


def stop(settings: Settings) -> None:
    """Stop the services; their data stays."""
    images.check_engine()
    check_ours(settings.services)
    for service in SERVICES:
        shell.run(compose(settings.services, "rm", "--stop", "--force", service))
    remove_network(settings.services)
    print(hints.complete("stopped; the data stays, make start_mlflow_services brings it back"))


def follow_logs(settings: Settings) -> None:
    """Follow the services' logs until Ctrl-C."""
    check_running(settings)
    shell.wait(shell.start(compose(settings.services, "logs", "--follow", "--tail", "100", *SERVICES)))


def show_ui(settings: Settings) -> None:
    """Print where MLflow's UI is; the embedded store has none until this serves it, in the foreground."""
    if settings.in_docker:
        connection.check_reachable(settings)
        print(settings.tracking_uri)
        return
    ports.check(settings.tracking.port, "MLFLOW_PORT")
    Registry.connect(settings)
    print(f"http://127.0.0.1:{settings.tracking.port}; Ctrl-C stops it", flush=True)
    command = [
        "mlflow",
        "server",
        "--backend-store-uri",
        settings.tracking_uri,
        "--host",
        "127.0.0.1",
        "--port",
        str(settings.tracking.port),
    ]
    command += ["--workers", "1", "--default-artifact-root", (STATE / "artifacts").as_uri()]
    with contextlib.suppress(KeyboardInterrupt):
        shell.wait(shell.start([sys.executable, "-m", *command], env=local_webhooks()))


def local_webhooks() -> dict[str, str]:
    """Return what a tracking server without Docker needs to send its events to this machine."""
    names = ("ALLOWED_SCHEMES", "ALLOW_PRIVATE_IPS", "CACHE_TTL", "SECRET_ENCRYPTION_KEY")
    values = ("http,https", "true", "5", credentials.webhook_key())
    return {f"MLFLOW_WEBHOOK_{name}": value for name, value in zip(names, values, strict=True)}


def reset_password(settings: Settings) -> None:
    """Give the database user the password in `.slipway/postgres_password`, over Postgres's own local socket."""
    images.check_engine()
    check_ours(settings.services)
    start_database(settings)
    statement = f"ALTER USER mlflow PASSWORD '{credentials.password()}'\n"
    answer = shell.ask(
        compose(settings.services, "exec", "-T", "postgres", "psql", "--username=mlflow", "--quiet"), words=statement
    )
    if answer.code != 0:
        raise SlipwayError(f"Postgres did not accept the password: {answer.words}")
    print("done")
    hints.say_next("make start_mlflow_services")


def check_running(settings: Settings) -> None:
    """Raise SlipwayError when the services do not run, or are another checkout's."""
    images.check_engine()
    check_ours(settings.services)
    if not _is_running(settings, "mlflow"):
        raise SlipwayError("the MLflow services are not running", "make start_mlflow_services")


def check_ours(services: Services) -> None:
    """Raise SlipwayError when the services that the settings name are another checkout's."""
    ownership.check_project(services.project)


def check_data(settings: Settings) -> None:
    """Raise SlipwayError when the services that the settings name, or what they keep, may be another checkout's.

    Nothing was touched.
    """
    check_ours(settings.services)
    known = credentials.PASSWORD.exists()
    ownership.check_volumes(settings.services.project, known=known)
    ownership.check_artifacts(settings.tracking.artifact_root, known=known)


def start_database(settings: Settings) -> None:
    """Start Postgres alone, and wait until it answers."""
    pull(settings.images.postgres, "POSTGRES_IMAGE")
    _prepare(settings)
    variables = {"POSTGRES_IMAGE": settings.images.postgres, "POSTGRES_MAJOR": settings.images.postgres_major}
    up(settings, "postgres", variables | credentials.write())
    asks = ["pg_isready", "--username=mlflow", "--dbname=mlflow", "--host=127.0.0.1"]
    ready = docker_cli.execute(f"{settings.services.project}-postgres-1", asks)
    starting.wait(settings, "postgres", lambda: shell.ask(ready).code == 0, lambda: explain(settings))


def wait_for_mlflow(settings: Settings) -> None:
    """Wait until the tracking server's API answers, from this machine."""
    starting.wait(
        settings,
        "mlflow",
        lambda: _ask_api(settings.tracking, "localhost") == requests.codes.ok,
        lambda: explain(settings),
    )


def up(settings: Settings, service: str, variables: dict[str, str]) -> None:
    """Have compose start one service.

    It does not wait: compose gives up on a service that it finds unhealthy, even if it answers.
    """
    command, given = compose_up(settings.services, service, variables)
    shell.echo(command)
    answer = shell.ask(command, env=given)
    if answer.code != 0:
        raise explain(settings, answer.words)


def explain(settings: Settings, words: str = "") -> SlipwayError:
    """Return the error for services that do not come up, with the cause that their logs name."""
    logs = shell.ask(compose(settings.services, "logs", "--no-color", "--tail", "60", *SERVICES)).words
    return causes.diagnose(f"{logs}\n{words}", settings)


def compose(services: Services, *arguments: str) -> list[str]:
    """Return a compose command about services that were started: the project's name is all that it takes."""
    return docker_cli.compose(services.project, arguments)


def compose_up(
    services: Services, service: str, variables: dict[str, str], *options: str
) -> tuple[list[str], dict[str, str]]:
    """Return the compose command that starts one service, and its environment: `variables`, and what all share."""
    command = docker_cli.compose_up(services.project, str(FOLDER / f"{service}.yaml"), service, options)
    shared = {
        "COMPOSE_PROJECT_NAME": services.project,
        "COMPOSE_IGNORE_ORPHANS": "true",  # the other services, which stand in other files
        "SLIPWAY_ROOT": ownership.CHECKOUT,
        "SERVICE_MEMORY": services.memory,
        "SERVICE_CPUS": services.cpus,
        "SERVICE_PIDS": services.pids,
    }
    return command, shared | variables


def remove_network(services: Services) -> None:
    """Remove the services' network, unless the deployer or the image registry is in it."""
    shell.ask(docker_cli.remove("network", [services.project]))


def _prepare(settings: Settings) -> None:
    """Make what the services need on this machine, with the checkout's label: artifact folder, network, volume."""
    ownership.check_artifacts(settings.tracking.artifact_root, known=True)  # another checkout's mark stays
    try:
        settings.tracking.artifact_root.mkdir(parents=True, exist_ok=True)
        ownership.mark(settings.tracking.artifact_root)
    except OSError as error:
        raise SlipwayError(
            f"the artifact folder cannot be created: {error}", "MLFLOW_ARTIFACT_ROOT=/a/folder/of/yours"
        ) from None
    ownership.make("network", settings.services.project, settings.services.project, "default")
    ownership.make("volume", volume(settings), settings.services.project, "postgres")


def pull(wanted: str, setting: str) -> None:
    """Fetch an image that a setting names, where it can be seen: the first time it takes a while."""
    if not images.exists(wanted):
        try:
            shell.run(docker_cli.pull(wanted))
        except SlipwayError:
            raise SlipwayError(
                f"cannot pull the image {wanted}", f"check {setting} and the network; make doctor"
            ) from None


def volume(settings: Settings) -> str:
    """Return the name of the database's volume: its major version is part of it."""
    return f"{settings.services.project}_postgres{settings.images.postgres_major}"


def _check_password(settings: Settings) -> None:
    """Log in as MLflow will: over the network, since Postgres trusts whoever is on its own socket."""
    login = (
        'PGPASSWORD="$(cat /run/secrets/postgres_password)" '
        'psql --host="$(hostname -i)" --username=mlflow --command="SELECT 1"'
    )
    answer = shell.ask(compose(settings.services, "exec", "-T", "postgres", "sh", "-c", login))
    if answer.code != 0:
        raise causes.diagnose(answer.words, settings)


def _check_major(settings: Settings) -> None:
    answer = shell.ask(docker_cli.list_all("volume", ["Name"]))
    if answer.code != 0:
        raise SlipwayError(f"Docker does not list its volumes: {answer.last}", "make doctor, then this again")
    existing = answer.out.splitlines()
    if volume(settings) in existing:
        return
    others = [
        found[1]
        for name in existing
        if (found := re.fullmatch(rf"{re.escape(settings.services.project)}_postgres(\d+)", name))
    ]
    if others:
        old = others[-1]
        raise SlipwayError(
            f"your data is from PostgreSQL {old} (volume {settings.services.project}_postgres{old}); "
            f"{settings.images.postgres} cannot read it",
            causes.CHANGE_MAJOR.format(old),
        )


def _check_names(tracking: Tracking) -> None:
    for name in NAMES:
        if (status := _ask_api(tracking, name)) != requests.codes.ok:
            host, cure = f"{name}:{tracking.port}", "see --allowed-hosts in mlflow_services/mlflow.yaml"
            raise SlipwayError(f"the tracking server answers {status} to clients that use the host name {host}", cure)


def _ask_api(tracking: Tracking, name: str) -> int:
    """Return the status that the services' own MLflow answers to a client that calls it so; 0: no answer."""
    uri = f"http://127.0.0.1:{tracking.port}/api/2.0/mlflow/experiments/search?max_results=1"
    try:
        return requests.get(uri, headers={"Host": f"{name}:{tracking.port}"}, timeout=30).status_code
    except requests.RequestException:
        return 0


def _is_running(settings: Settings, service: str) -> bool:
    answer = shell.ask(compose(settings.services, "ps", "--status", "running", "--services"))
    return answer.code == 0 and service in answer.out.splitlines()
