"""The docker command line: each docker command that Slipway runs is written here, and nowhere else.

A function returns a command, and its docstring says what that does; its callers run it, and read the answer. Standard
library only, and Python 3.8 will do: `make doctor`, `clean` and `wipe` ask docker before anything is installed.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PROGRAM = "docker"
SEPARATOR = "\t"  # of the columns of a listing
LISTINGS = {  # by kind; of containers also those that do not run
    "container": ["ps", "--all"],
    "running container": ["ps"],
    "network": ["network", "ls"],
    "volume": ["volume", "ls"],
    "image": ["image", "ls", "--no-trunc"],
}
REMOVALS = {
    "container": ["rm", "--force"],
    "network": ["network", "rm"],
    "volume": ["volume", "rm"],
    "image": ["image", "rm"],
}


def is_installed() -> bool:
    """Whether this machine has docker's client."""
    return shutil.which(PROGRAM) is not None


def name_server_version() -> list[str]:
    """Print the engine's version; fails when no engine answers."""
    return [PROGRAM, "version", "--format", "{{.Server.Version}}"]


def describe_engine() -> list[str]:
    """Print what the engine says of itself, as JSON."""
    return [PROGRAM, "info", "--format", "{{json .}}"]


def name_security_options() -> list[str]:
    """Print how the engine is secured; `rootless` among it when it runs as its user."""
    return [PROGRAM, "info", "--format", "{{.SecurityOptions}}"]


def name_endpoint() -> list[str]:
    """Print the address that the client reaches the engine at, such as unix:///var/run/docker.sock."""
    return [PROGRAM, "context", "inspect", "--format", "{{.Endpoints.docker.Host}}"]


def name_compose_version() -> list[str]:
    """Print the version of the plugin compose."""
    return [PROGRAM, "compose", "version", "--short"]


def name_buildx_version() -> list[str]:
    """Print the version of the plugin buildx."""
    return [PROGRAM, "buildx", "version"]


def list_all(kind: str, fields: Sequence[str], filters: Sequence[str] = ()) -> list[str]:
    """Print a row for each thing of a kind in `LISTINGS`: fields of docker's, or labels (with a dot in their names)."""
    columns = ['{{.Label "%s"}}' % field if "." in field else "{{.%s}}" % field for field in fields]  # noqa: UP031 -- braces
    chosen = [part for one in filters for part in ("--filter", one)]
    return [PROGRAM, *LISTINGS[kind], *chosen, "--format", SEPARATOR.join(columns)]


def find(kind: str, name: str) -> list[str]:
    """Print what the engine knows of a network or a volume; fails when there is none of that name."""
    return [PROGRAM, kind, "inspect", name]


def create(kind: str, name: str, labels: Mapping[str, str], options: Mapping[str, str]) -> list[str]:
    """Make a network or a volume, with options for its driver."""
    return [PROGRAM, kind, "create", *flags("--label", labels), *flags("--opt", options), name]


def connect(network: str, container: str) -> list[str]:
    """Have a container, which may run, in a network too; fails when it is there already."""
    return [PROGRAM, "network", "connect", network, container]


def remove(kind: str, names: Sequence[str], *, with_volumes: bool = False) -> list[str]:
    """Remove things of a kind; containers also while they run, and `with_volumes` what only they used."""
    return [PROGRAM, *REMOVALS[kind], *(["--volumes"] if with_volumes else []), *names]


def measure() -> list[str]:
    """Print how many bytes images, containers and volumes take, one line each."""
    return [PROGRAM, "system", "df", "--format", "{{.Type}} {{.Size}}"]


def measure_volumes() -> list[str]:
    """Print how many bytes each volume takes, one line each."""
    return [PROGRAM, "system", "df", "--verbose", "--format", "{{range .Volumes}}{{println .Name .Size}}{{end}}"]


def build(file: str, target: str, tag: str, options: Sequence[str], context: str) -> list[str]:
    """Build a stage of a Dockerfile."""
    return [PROGRAM, "build", "--file", file, "--target", target, "--tag", tag, *options, context]


def pull(image: str) -> list[str]:
    """Fetch an image."""
    return [PROGRAM, "pull", image]


def tag(image: str, name: str) -> list[str]:
    """Give an image another name."""
    return [PROGRAM, "tag", image, name]


def push(image: str) -> list[str]:
    """Bring an image to the registry in its name."""
    return [PROGRAM, "push", "--quiet", image]


def name_image(image: str) -> list[str]:
    """Print an image's id; fails when the engine has no such image."""
    return [PROGRAM, "image", "inspect", "--format", "{{.Id}}", image]


def measure_image(image: str) -> list[str]:
    """Print an image's bytes."""
    return [PROGRAM, "image", "inspect", "--format", "{{.Size}}", image]


def read_label(image: str, label: str) -> list[str]:
    """Print an image's label."""
    return [PROGRAM, "image", "inspect", "--format", '{{index .Config.Labels "%s"}}' % label, image]  # noqa: UP031 -- braces


def read_variables(image: str) -> list[str]:
    """Print an image's id, and the environment variables that it sets."""
    return [PROGRAM, "image", "inspect", "--format", "{{.Id}} {{.Config.Env}}", image]


def list_digests(image: str) -> list[str]:
    """Print an image's names by digest, one for each registry that it was pushed to."""
    return [PROGRAM, "image", "inspect", "--format", "{{range .RepoDigests}}{{println .}}{{end}}", image]


def run(image: str, options: Sequence[str] = (), command: Sequence[str] = ()) -> list[str]:
    """Run an image in a container; `options` are docker's, `command` replaces the image's own."""
    return [PROGRAM, "run", *options, image, *command]


def execute(container: str, command: Sequence[str]) -> list[str]:
    """Run a command in a container that runs."""
    return [PROGRAM, "exec", container, *command]


def name_state(container: str) -> list[str]:
    """Print a container's state, such as running, and how often it was restarted."""
    return [PROGRAM, "inspect", "--format", "{{.State.Status}} {{.RestartCount}}", container]


def say_running(container: str) -> list[str]:
    """Print `true` when a container runs."""
    return [PROGRAM, "inspect", "--format", "{{.State.Running}}", container]


def name_mounted(container: str, place: str) -> list[str]:
    """Print the folder of the machine that a container has mounted at a place."""
    template = '{{range .Mounts}}{{if eq .Destination "%s"}}{{.Source}}{{end}}{{end}}' % place  # noqa: UP031 -- braces
    return [PROGRAM, "inspect", "--format", template, container]


def read_log(container: str, lines: int) -> list[str]:
    """Print the last lines that a container wrote."""
    return [PROGRAM, "logs", "--tail", str(lines), container]


def send_signal(container: str, name: str) -> list[str]:
    """Send the process in a container a signal, such as TERM: then the engine does not start it again."""
    return [PROGRAM, "kill", "--signal", name, container]


def update(container: str, options: Sequence[str]) -> list[str]:
    """Change a container's limits, or when it is started again."""
    return [PROGRAM, "update", *options, container]


def name_published(container: str, port: int) -> list[str]:
    """Print the addresses of the machine at which a port of a container is published."""
    return [PROGRAM, "port", container, str(port)]


def compose(project: str, arguments: Sequence[str]) -> list[str]:
    """Run a compose command on services that it started: it knows them by their project, without a file."""
    return [PROGRAM, "compose", "--project-name", project, *arguments]


def compose_up(project: str, file: str, service: str, options: Sequence[str] = ()) -> list[str]:
    """Start a service of a compose file without waiting for it."""
    return compose(project, ["--file", file, "up", "--detach", "--no-deps", *options, service])


def flags(name: str, values: Mapping[str, str]) -> list[str]:
    """Return an option such as --label or --env for each pair."""
    return [part for key, value in values.items() for part in (name, "%s=%s" % (key, value))]  # noqa: UP031
