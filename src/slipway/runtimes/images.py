"""The images: layer 1 (base), layer 2 (the model's libraries and code), layer 3 (one model version), and MLflow's.

A tag is made from the content, so that it names one image for ever, and a change of anything in it makes another.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from slipway import model_folder, shell
from slipway.bootstrap import ownership
from slipway.errors import SlipwayError
from slipway.settings import LOCAL, ROOT, VERSION, build_environment, no_proxy

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from slipway.registry import models
    from slipway.settings import Settings

BASE = f"slipway/base:{VERSION}"
USER_ID = 10001  # of the user in our images
HARDENING = ["--init", "--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"]  # noqa: S108 -- the container's
LOGS = ["--log-driver", "local", "--log-opt", "max-size=10m", "--log-opt", "max-file=3"]  # they rotate
LABEL = "io.slipway.content"
COPIED = ("src", "scripts", "requirements", "deploy/kubernetes", "pyproject.toml")  # into the deployer's image for a cluster
UNLIMITED = re.compile(r"0+(\.0*)?[a-zA-Z]*")  # a limit of 0, in any unit
DIGITS = 12  # of a content digest in a tag


def build_base(settings: Settings) -> None:
    """Build layer 1 unless it is there: `slipway/base:<version>` to run on, and `…-build` with the compilers."""
    check_engine()
    content = model_folder.digest([ROOT / "base_container", ROOT / "requirements" / "setup.txt"], settings.python_image)
    options = _options("--build-arg", {"PYTHON_IMAGE": settings.python_image}) + _options("--label", {LABEL: content})
    for target, tag in (("build", f"{BASE}-build"), ("run", BASE)):
        if read_label(tag, LABEL) != content:
            _build(settings, ROOT / "base_container" / "Dockerfile", target, tag, options)
    print(f"ready {BASE}, {size(BASE)}")


def build_runtime(settings: Settings, model: model_folder.ModelFolder) -> str:
    """Build the image of layer 2 that serves, without a model yet, unless it is there; return its tag."""
    return _build_layer(settings, model, "runtime", runtime_tag(model))


def build_training(settings: Settings, model: model_folder.ModelFolder) -> str:
    """Build the image of layer 2 that trains unless it is there; return its tag."""
    return _build_layer(settings, model, "train", training_tag(model))


def build_model(settings: Settings, model: model_folder.ModelFolder) -> None:
    """Build all of layer 2, unless it is there."""
    build_runtime(settings, model)
    build_training(settings, model)


def _build_layer(settings: Settings, model: model_folder.ModelFolder, target: str, tag: str) -> str:
    place = _check_context(model)
    if not exists(tag):
        _build(settings, model.path / "Dockerfile", target, tag, _options("--build-arg", {"BASE_IMAGE": BASE, "MODEL_DIR": place}))
    return tag


def build_served(settings: Settings, model: model_folder.ModelFolder, served: models.Model, files: Path, identity: str = "") -> str:
    """Build layer 3, the image of one model version, unless it is there; return its tag."""
    runtime = build_runtime(settings, model)
    name = served.name or model.name
    content = model_folder.digest(sorted(files.iterdir()), runtime, name, identity)
    tag = f"slipway/{model_folder.plain(name)}:{f'v{served.version}-' if served.version else ''}{content[:DIGITS]}"
    if exists(tag):
        return tag
    commit = shell.ask_git("rev-parse", "HEAD")
    labels = {
        "org.opencontainers.image.title": name,
        "org.opencontainers.image.version": served.version or "unregistered",
        "org.opencontainers.image.revision": commit[1] if commit[0] == 0 else "unknown",
        "io.slipway.model.name": name,
        "io.slipway.model.version": served.version or "",
        "io.slipway.model.run": served.run_id or "",
    }
    options = _options("--build-arg", {"RUNTIME_IMAGE": runtime, "IDENTITY": identity}) + _options("--label", labels)
    _build(settings, model.path / "Dockerfile", "serve", tag, [*options, "--build-context", f"version={files}"])
    return tag


def build_service(settings: Settings, name: str) -> str:
    """Build the image of a service, mlflow or deployer, unless it is there; return its tag."""
    folder_of_image = ROOT / "mlflow_services" / name
    content = model_folder.digest([folder_of_image, ROOT / "requirements" / f"{name}.txt"], _base_id())
    tag = f"slipway/{model_folder.plain(name)}:{content[:DIGITS]}"
    if not exists(tag):
        _build(settings, folder_of_image / "Dockerfile", name, tag, _options("--build-arg", {"BASE_IMAGE": BASE}))
    return tag


def build_deployer(settings: Settings, model: model_folder.ModelFolder) -> str:
    """Build the image of the deployer for a cluster, which holds what it needs of this checkout, unless it is there; return its tag."""
    place = _check_context(model)
    content = model_folder.digest([*(ROOT / name for name in COPIED), model.path], _base_id(), place)
    tag = f"slipway/deployer-kubernetes:{content[:DIGITS]}"
    if not exists(tag):
        options = _options("--build-arg", {"BASE_IMAGE": BASE, "MODEL_DIR": place})
        _build(settings, ROOT / "deploy" / "kubernetes" / "deployer" / "Dockerfile", "deployer", tag, options)
    return tag


def runtime_tag(model: model_folder.ModelFolder) -> str:
    """Return the tag of the image that serves, without a model."""
    parts = [model.path / "Dockerfile", ROOT / "requirements" / "serving.txt", ROOT / "src" / "scoring"]
    return f"slipway/{model.name}:runtime-{model_folder.digest(parts, _base_id())[:DIGITS]}"


def training_tag(model: model_folder.ModelFolder) -> str:
    """Return the tag of the image that trains."""
    parts = [model.path, ROOT / "requirements" / "training.txt"]
    return f"slipway/{model.name}:train-{model_folder.digest(parts, runtime_tag(model))[:DIGITS]}"


def training_command(  # noqa: PLR0913 -- what a container is given
    settings: Settings,
    model: model_folder.ModelFolder,
    command: list[str],
    variables: dict[str, str],
    *,
    kept: Path | None = None,
    mounts: Mapping[Path, str] | None = None,
) -> list[str]:
    """Return the docker command that runs `command` in a training container.

    It can write to `kept` alone, and read each of our files in `mounts` at the path in the container that stands with it.
    """
    image = build_training(settings, model)
    network, uri = [], settings.tracking_uri
    if settings.owns_tracking:
        network, uri = ["--network", settings.project], "http://mlflow:5000"
    elif not uri.startswith("http") or urlsplit(uri).hostname in LOCAL:
        raise SlipwayError(f"a container cannot reach MLFLOW_TRACKING_URI={uri}", "RUNTIME=host, or another address of that server")
    variables = variables | no_proxy() | {"MLFLOW_TRACKING_URI": uri} | ({"KEPT_DIR": "/kept"} if kept else {})
    passed = [part for name, value in variables.items() for part in ("--env", f"{name}={value}")]
    volumes = [part for path, place in (mounts or {}).items() for part in ("--volume", f"{path}:{place}:ro")]
    if kept:
        volumes += ["--user", writing_user(kept), "--volume", f"{kept}:/kept"]
    options = [*confinement(settings), *network, *volumes, *passed]
    return ["docker", "run", "--rm", "--name", training_container(settings), *options, image, *command]


def confinement(settings: Settings) -> list[str]:
    """Return docker's options for each container that trains or serves: it is closed, ours, within its limits, and its log rotates."""
    given = {"--memory": settings.model_memory, "--cpus": settings.model_cpus, "--pids-limit": settings.model_pids}
    limits = [part for flag, value in given.items() if not UNLIMITED.fullmatch(value) for part in (flag, value)]
    return [*HARDENING, *ownership.LABELS, *LOGS, *limits]


def training_container(settings: Settings) -> str:
    """Return the name of the container that this process trains in."""
    return f"{settings.project}-train-{os.getpid()}"


def writing_user(path: Path) -> str:
    """Return uid:gid for a container that writes to a folder of ours: its files are then ours, and never root's."""
    if "rootless" in shell.ask(["docker", "info", "--format", "{{.SecurityOptions}}"]).out:
        return "0:0"  # which is we ourselves, outside
    if os.getuid() != 0:
        return f"{os.getuid()}:{os.getgid()}"
    for entry in (path, *path.rglob("*")):
        os.chown(entry, USER_ID, USER_ID, follow_symlinks=False)
    return f"{USER_ID}:{USER_ID}"


def check_engine() -> None:
    """Raise SlipwayError when no Docker engine answers."""
    if shutil.which("docker") is None:
        cure = "RUNTIME=host make train_model, and the like, which need none; or https://docs.docker.com/get-docker/"
        raise SlipwayError("docker is not installed", cure)
    answer = shell.ask(["docker", "version", "--format", "{{.Server.Version}}"])
    if answer.code != 0:
        raise SlipwayError(f"the Docker engine does not answer: {answer.last}", "start Docker, then make doctor")


def exists(tag: str) -> bool:
    """Whether the engine has an image."""
    return shell.ask(["docker", "image", "inspect", "--format", "{{.Id}}", tag]).code == 0


def size(tag: str) -> str:
    """Return an image's size, such as 512 MB."""
    return f"{int(shell.ask(['docker', 'image', 'inspect', '--format', '{{.Size}}', tag]).out) / 1e6:.0f} MB"


def check_libraries(settings: Settings, files: Path, served: models.Model) -> None:
    """Raise SlipwayError for libraries other than the locked, unless SCORING_CHECK_LIBRARIES is off; warn of what training alone has."""
    requirements = files / "requirements.txt"
    if settings.scoring.get("SCORING_CHECK_LIBRARIES") == "off" or not requirements.exists():
        return
    wanted = _pins(requirements.read_text(encoding="utf-8"))
    locked, training = (_pins((ROOT / "requirements" / f"{group}.txt").read_text(encoding="utf-8")) for group in ("serving", "host"))
    if beside := [f"{name} {wanted.pop(name)}" for name in list(wanted) if name in training and name not in locked]:
        print(f"warning: not there where {served.uri} is served, as only training has it: {', '.join(beside)}", file=sys.stderr)
    differing = [f"{name} {version} (here {locked.get(name, 'none')})" for name, version in wanted.items() if locked.get(name) != version]
    if differing:
        raise SlipwayError(
            f"{served.uri} was trained with other libraries than the locked ones: {', '.join(differing)}",
            "make train_model, to train it with these; or check out the commit it came from and serve it there",
        )


def _pins(text: str) -> dict[str, str]:
    pins = re.findall(r"^([\w.-]+)(?:\[[^]]*\])?==([^\s;\\]+)", text, re.MULTILINE)
    return {re.sub(r"[-_.]+", "-", name).lower().replace("mlflow-skinny", "mlflow"): version for name, version in pins}


def _check_context(model: model_folder.ModelFolder) -> str:
    """Return the model folder as the build context has it. Raises SlipwayError when .dockerignore does not let it in."""
    if not any(model.path.is_relative_to(ROOT / name) for name in ("model", "examples")):
        raise SlipwayError(f"no image can be built from {model.path}: it is not in model/ or examples/", "copy it there, or RUNTIME=host")
    return str(model.path.relative_to(ROOT))


def _base_id() -> str:
    answer = shell.ask(["docker", "image", "inspect", "--format", "{{.Id}}", BASE])
    if answer.code != 0:
        check_engine()
        raise SlipwayError(f"there is no image {BASE}", "make build_base_container")
    return answer.out


def read_label(tag: str, name: str) -> str | None:
    """Return a label of an image, or None when the engine has no such image."""
    answer = shell.ask(["docker", "image", "inspect", "--format", f'{{{{index .Config.Labels "{name}"}}}}', tag])
    return answer.out if answer.code == 0 else None


def _build(settings: Settings, file: Path, target: str, tag: str, options: list[str]) -> None:
    with _secrets(settings) as secrets:
        command = ["docker", "build", "--file", str(file), "--target", target, "--tag", tag, *options, *secrets, str(ROOT)]
        shell.run(command, env={"DOCKER_BUILDKIT": "1"})
    print(f"built {tag}, {size(tag)}")


def _options(flag: str, values: dict[str, str]) -> list[str]:
    return [part for name, value in values.items() for part in (flag, f"{name}={value}")]


@contextmanager
def _secrets(settings: Settings) -> Iterator[list[str]]:
    """Give a build the caller's proxies, package indexes and certificates as secrets, which no layer keeps."""
    with tempfile.TemporaryDirectory() as scratch:
        lines = [f"export {name}={shlex.quote(value)}" for name, value in build_environment().items()]
        arguments = ["--secret", f"id=environment,src={scratch}/environment"]
        if settings.ca_bundle:
            lines.append("export SSL_CERT_FILE=/run/secrets/ca_bundle PIP_CERT=/run/secrets/ca_bundle")
            arguments += ["--secret", f"id=ca_bundle,src={settings.ca_bundle}"]
        Path(scratch, "environment").write_text("\n".join(lines) + "\n", encoding="utf-8")
        yield arguments
