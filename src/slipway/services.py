"""The MLflow services: Postgres and the tracking server, by compose."""

from __future__ import annotations

import base64
import contextlib
import re
import secrets
import sys
import time
from typing import TYPE_CHECKING

import requests

from slipway import guard, hints, image, ports, registry, shell
from slipway.errors import SlipwayError
from slipway.settings import ROOT, STATE

if TYPE_CHECKING:
    from slipway.settings import Settings

COMPOSE_FILE = ROOT / "mlflow_services" / "compose.yaml"
PASSWORD = STATE / "postgres_password"
WEBHOOK_KEY = STATE / "webhook_key"
FILLED = (  # what compose.yaml wants besides settings; only the commands that start something have a value for it
    "POSTGRES_PASSWORD", "WEBHOOK_KEY", "SLIPWAY_USER", "MLFLOW_IMAGE", "DEPLOYER_IMAGE", "DEPLOYER_USER", "DOCKER_GROUP", "DOCKER_SOCKET",
    "SLIPWAY_ROOT", "REGISTRY_USER", "REGISTRY_FOLDER",
)  # fmt: skip
NAMES = ("localhost", "127.0.0.1", "mlflow", "host.docker.internal")  # what clients call the tracking server
DEADLINE = 180  # s; a first start makes the database
CHANGE_MAJOR = "POSTGRES_IMAGE=postgres:{0} make start_mlflow_services backup wipe, then make restore BACKUP=…"
DIAGNOSES = (  # what a log says; what it means; what to do. diagnose() fills in {…}
    (
        r"No space left on device",
        "the disk is full",
        "docker system prune, or free some space; then make start_mlflow_services",
    ),
    (
        r"port is already allocated|address already in use",
        "port {port} is taken",
        "MLFLOW_PORT=5050 make start_mlflow_services",
    ),
    (
        r"password authentication failed",
        "Postgres refuses the password in .slipway/postgres_password: its data was made with another",
        "make reset_database_password",
    ),
    (
        r"initialized by PostgreSQL version (\d+), which is not compatible",
        "the database's files are those of PostgreSQL {0}, not of {image}",
        CHANGE_MAJOR,
    ),
    (
        r"Detected out-of-date database schema|Can't locate revision",
        "the database was made by a newer MLflow than this one",
        "use the newer Slipway that made it, or make restore BACKUP=…",
    ),
    (
        r"pull access denied|manifest unknown|failed to resolve reference|not found: manifest|no such host",
        "the image {image} cannot be had",
        "check POSTGRES_IMAGE and the network; make doctor",
    ),
)


def start(settings: Settings) -> None:
    """Start the services and wait until the API answers under every name that clients use.

    Raises SlipwayError, with the cause that the logs name, when they do not come up.
    """
    mlflow_image = image.build_service(settings, "mlflow")
    _check_volumes(settings)
    if shell.ask(compose(settings, "port", "mlflow", "5000"), env=environment(settings)).out != f"127.0.0.1:{settings.mlflow_port}":
        ports.check(settings.mlflow_port, "MLFLOW_PORT")
    variables = environment(settings, up=True) | {"MLFLOW_IMAGE": mlflow_image}
    started = time.monotonic()
    pull(settings.postgres_image, "POSTGRES_IMAGE")
    _up(settings, variables, "postgres")
    _check_password(settings, variables)  # with a wrong one MLflow would try for minutes
    _up(settings, variables)
    _check_names(settings)
    print(f"MLflow answers at {settings.tracking_uri} after {time.monotonic() - started:.0f} s; artifacts: {settings.artifact_root}")
    hints.say_next("make train_model")


def stop(settings: Settings) -> None:
    """Stop the services; their data stays."""
    image.check_engine()
    shell.run(compose(settings, "down", "--remove-orphans"), env=environment(settings))
    print(hints.complete("stopped; the data stays, make start_mlflow_services brings it back"))


def follow_logs(settings: Settings) -> None:
    """Follow the services' logs until Ctrl-C."""
    check_running(settings)
    shell.wait(shell.start(compose(settings, "logs", "--follow", "--tail", "100"), env=environment(settings)))


def show_ui(settings: Settings) -> None:
    """Print where MLflow's UI is; the embedded store has none until this serves it, in the foreground."""
    if settings.in_docker:
        registry.check_reachable(settings)
        print(settings.tracking_uri)
        return
    ports.check(settings.mlflow_port, "MLFLOW_PORT")
    registry.connect(settings)
    print(f"http://127.0.0.1:{settings.mlflow_port}; Ctrl-C stops it", flush=True)
    command = ["mlflow", "server", "--backend-store-uri", settings.tracking_uri, "--host", "127.0.0.1", "--port", str(settings.mlflow_port)]
    command += ["--workers", "1", "--default-artifact-root", (STATE / "artifacts").as_uri()]
    with contextlib.suppress(KeyboardInterrupt):
        shell.wait(shell.start([sys.executable, "-m", *command], env=local_webhooks()))


def local_webhooks() -> dict[str, str]:
    """Return what a tracking server without Docker needs to send its events to this machine."""
    names = ("ALLOWED_SCHEMES", "ALLOW_PRIVATE_IPS", "CACHE_TTL", "SECRET_ENCRYPTION_KEY")
    return {f"MLFLOW_WEBHOOK_{name}": value for name, value in zip(names, ("http,https", "true", "5", webhook_key()), strict=True)}


def reset_password(settings: Settings) -> None:
    """Give the database user the password in `.slipway/postgres_password`, over Postgres's own local socket."""
    image.check_engine()
    variables = environment(settings, up=True)
    _up(settings, variables, "postgres")
    statement = f"ALTER USER mlflow PASSWORD '{variables['POSTGRES_PASSWORD']}'\n"
    answer = shell.ask(
        compose(settings, "exec", "-T", "postgres", "psql", "--username=mlflow", "--quiet"), env=variables, words=statement
    )
    if answer.code != 0:
        raise SlipwayError(f"Postgres did not take the password: {answer.words}")
    print("done")
    hints.say_next("make start_mlflow_services")


def check_running(settings: Settings) -> None:
    """Raise SlipwayError when the services do not run."""
    image.check_engine()
    if not _is_running(settings, "mlflow"):
        raise SlipwayError("the MLflow services are not running", "make start_mlflow_services")


def compose(settings: Settings, *arguments: str) -> list[str]:
    """Return a compose command for the services."""
    return ["docker", "compose", "--project-name", settings.project, "--file", str(COMPOSE_FILE), *arguments]


def environment(settings: Settings, *, up: bool = False) -> dict[str, str]:
    """Return compose's variables; for `up`, prepare what the services need on this machine: password, artifact folder.

    Other commands use only the volume's name, but compose insists on a value for each variable.
    """
    unused = dict.fromkeys(FILLED, "unused") | {"POSTGRES_MAJOR": settings.postgres_major}
    if not up:
        return unused
    guard.read_or_make(PASSWORD, lambda: secrets.token_hex(24))
    try:
        settings.artifact_root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SlipwayError(f"the artifact folder cannot be made: {error}", "MLFLOW_ARTIFACT_ROOT=/a/folder/of/yours") from None
    return unused | {
        "POSTGRES_PASSWORD": PASSWORD.read_text(encoding="utf-8").strip(),
        "WEBHOOK_KEY": webhook_key(),
        "SLIPWAY_USER": image.writing_user(settings.artifact_root),
        "MLFLOW_ARTIFACT_ROOT": str(settings.artifact_root),
    }


def pull(wanted: str, setting: str) -> None:
    """Fetch an image that a setting names, where it can be seen: the first time it takes a while."""
    if not image.exists(wanted):
        try:
            shell.run(["docker", "pull", wanted])
        except SlipwayError:
            raise SlipwayError(f"the image {wanted} cannot be had", f"check {setting} and the network; make doctor") from None


def webhook_key() -> str:
    """Return the key (Fernet's) that MLflow encrypts its webhooks' secrets with; with another one it could not sign its events."""
    return guard.read_or_make(WEBHOOK_KEY, lambda: base64.urlsafe_b64encode(secrets.token_bytes(32)).decode())


def volume(settings: Settings) -> str:
    """Return the name of the database's volume: its major version is part of it."""
    return f"{settings.project}_postgres{settings.postgres_major}"


def diagnose(log: str, settings: Settings) -> SlipwayError:
    """Turn what compose and the services logged into an error with its cause and cure (pure)."""
    for pattern, message, cure in DIAGNOSES:
        if found := re.search(pattern, log):
            facts = {"port": settings.mlflow_port, "image": settings.postgres_image}
            return SlipwayError(message.format(*found.groups(), **facts), cure.format(*found.groups(), **facts))
    last = [line for line in log.splitlines() if line.strip()][-15:]
    return SlipwayError("the services did not come up; the end of their logs:\n    " + "\n    ".join(last), "make logs")


def _up(settings: Settings, variables: dict[str, str], *services: str) -> None:
    command = compose(settings, "up", "--detach", "--wait", "--wait-timeout", str(DEADLINE), "--remove-orphans", *services)
    shell.echo(command)
    answer = shell.ask(command, env=variables)
    if answer.code != 0:
        logs = shell.ask(compose(settings, "logs", "--no-color", "--tail", "60"), env=variables).words
        raise diagnose(f"{logs}\n{answer.words}", settings)


def _check_password(settings: Settings, variables: dict[str, str]) -> None:
    """Log in as MLflow will: over the network, since Postgres trusts whoever is on its own socket."""
    login = 'PGPASSWORD="$POSTGRES_PASSWORD" psql --host="$(hostname -i)" --username=mlflow --command="SELECT 1"'
    answer = shell.ask(compose(settings, "exec", "-T", "postgres", "sh", "-c", login), env=variables)
    if answer.code != 0:
        raise diagnose(answer.words, settings)


def _check_volumes(settings: Settings) -> None:
    existing = shell.ask(["docker", "volume", "ls", "--format", "{{.Name}}"]).out.splitlines()
    if volume(settings) in existing:
        return
    others = [found[1] for name in existing if (found := re.fullmatch(rf"{re.escape(settings.project)}_postgres(\d+)", name))]
    if others:
        old = others[-1]
        raise SlipwayError(
            f"your data is that of PostgreSQL {old} (volume {settings.project}_postgres{old}); {settings.postgres_image} cannot read it",
            CHANGE_MAJOR.format(old),
        )


def _check_names(settings: Settings) -> None:
    for name in NAMES:
        host, uri = f"{name}:{settings.mlflow_port}", f"{settings.tracking_uri}/api/2.0/mlflow/experiments/search?max_results=1"
        answer = requests.get(uri, headers={"Host": host}, timeout=10)
        if not answer.ok:
            cure = "see --allowed-hosts in mlflow_services/compose.yaml"
            raise SlipwayError(f"the tracking server answers {answer.status_code} to clients that call it {host}", cure)


def _is_running(settings: Settings, service: str) -> bool:
    answer = shell.ask(compose(settings, "ps", "--status", "running", "--services"), env=environment(settings))
    return answer.code == 0 and service in answer.out.splitlines()
