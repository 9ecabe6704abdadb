"""Docker's options for our containers: isolation, labels, limits, mounts."""

from __future__ import annotations

import csv
import hashlib
import io
import os
import re
import socket
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from slipway import model_folder, shell
from slipway.bootstrap import docker_cli, ownership
from slipway.errors import USAGE, SlipwayError

if TYPE_CHECKING:
    from slipway.settings import Services, Settings

USER_ID = 10001  # of the user in our images
HARDENING = ["--init", "--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"]  # noqa: S108 -- the container's
LOGS = ["--log-driver", "local", "--log-opt", "max-size=10m", "--log-opt", "max-file=3"]  # they rotate
UNLIMITED = re.compile(r"0+(\.0*)?[a-zA-Z]*")  # a limit of 0, in any unit
# What a client of S3 reads
CLOUD = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL")
# Settings of the server that name files of this machine
SCORING_FILES = {"SCORING_API_KEYS_FILE", "SCORING_TLS_CERT", "SCORING_TLS_KEY", "SCORING_PREDICTION_LOG_RULES"}


def confinement(settings: Settings) -> list[str]:
    """Return docker's options for a container that trains or serves: isolated, ours, limited, with a rotating log."""
    given = {"--memory": settings.limits.memory, "--cpus": settings.limits.cpus, "--pids-limit": settings.limits.pids}
    limits = [part for flag, value in given.items() if not UNLIMITED.fullmatch(value) for part in (flag, value)]
    return [*HARDENING, *docker_cli.flags("--label", ownership.OURS), *LOGS, *limits]


def training_container(services: Services) -> str:
    """Return the name of the container that this process trains in."""
    return f"{services.project}-train-{os.getpid()}"


def writing_user(path: Path) -> str:
    """Return uid:gid for a container that writes to our folder, so that the files are ours, never root's."""
    if "rootless" in shell.ask(docker_cli.name_security_options()).out:
        return "0:0"  # which is we ourselves, outside
    if os.getuid() != 0:
        return f"{os.getuid()}:{os.getgid()}"
    for entry in (path, *path.rglob("*")):
        os.chown(entry, USER_ID, USER_ID, follow_symlinks=False)
    return f"{USER_ID}:{USER_ID}"


def reading_user(file: Path) -> str:
    """Return uid:gid for a container that reads a file of ours, which its owner may read, whoever else may not."""
    if "rootless" in shell.ask(docker_cli.name_security_options()).out:
        return "0:0"  # which is we ourselves, outside
    return f"{file.stat().st_uid}:{file.stat().st_gid}"


def placement(settings: Settings, name: str, published: str) -> list[str]:
    """Return docker's options for a container in our network, isolated, which is `published` there, if not ""."""
    network = ["--network", settings.network] if settings.network else []
    return ["--name", name, *confinement(settings), *network, *(["--publish", published] if published else [])]


def serving_options(settings: Settings, name: str, published: str | None = None) -> list[str]:
    """Return docker's options for a container that serves, isolated, with the server's settings and their files.

    It is on 127.0.0.1:PORT, or where it is `published`; with "" only its network reaches it: a port that is free in our
    container may be taken on the machine. Raises SlipwayError for a setting that names no file.
    """
    variables, options = dict(settings.serving.scoring), []
    for setting in settings.serving.scoring.keys() & SCORING_FILES:
        file, inside = Path(settings.serving.scoring[setting]).resolve(), f"/run/secrets/{setting.lower()}"
        if not file.is_file():
            raise SlipwayError(
                f"{setting} does not name a file: {file}", f"unset {setting}, or the path of a file", USAGE
            )
        options += ["--volume", f"{file}:{inside}:ro"]
        variables[setting] = inside
        if os.getuid():  # a file that only its owner may read is read by its owner
            options += ["--user", f"{file.stat().st_uid}:{file.stat().st_gid}"]
    options += docker_cli.flags("--env", variables)
    place = f"127.0.0.1:{settings.serving.port}:8080" if published is None else published
    return [*placement(settings, name, place), *options]


def bind(path: Path, place: str, *options: str) -> list[str]:
    """Return the option that has a container see a path of this machine, whose name may have colons and commas."""
    words = io.StringIO()
    csv.writer(words, lineterminator="").writerow(["type=bind", f"source={path}", f"target={place}", *options])
    return ["--mount", words.getvalue()]


def name_reference(services: Services) -> str:
    """Return the name of the container in which this thread makes reference predictions."""
    host, thread = model_folder.plain(socket.gethostname()), threading.get_native_id()
    return f"{services.project}-reference-{host}-{os.getpid()}-{thread}"


def name_batch(services: Services, out: str) -> str:
    """Return the name of the container that writes to an OUT: one alone does."""
    return f"{services.project}-batch-{hashlib.sha256(out.encode()).hexdigest()[:12]}"
