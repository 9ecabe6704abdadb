"""The images: layer 1 (base), layer 2 (the model's libraries and code), layer 3 (one model version), and MLflow's.

A tag is derived from the content: it always names the same image, and any change gives another tag.
"""

from __future__ import annotations

import shlex
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from slipway import model_folder, shell
from slipway.bootstrap import docker_cli
from slipway.bootstrap.proxies import build_environment
from slipway.errors import SlipwayError
from slipway.runtimes import left_out, locks, pythons
from slipway.settings import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from slipway.model_folder import ModelFolder
    from slipway.runtimes.base import Prepared
    from slipway.runtimes.locks import Lock
    from slipway.settings import Settings

BASE = pythons.BASE
RUNTIME, TRAIN = "slipway/runtime", "slipway/train"  # layer 2, which models with the same lock share
LABEL = "io.slipway.content"
# Into the deployer's image for a cluster
COPIED = ("src", "scripts", "requirements", "deploy/kubernetes", "pyproject.toml", "mlflow_env.sh")
SERVER = ("src/scoring", "src/page_kit")  # the model server's code, and what its page has in common with another
DIGITS = 12  # of a content digest in a tag
LISTS = 5  # asked for a base image: a list is no snapshot, it may lack the tag that another build moves just then


def build_base(settings: Settings) -> None:
    """Build layer 1 if missing: `slipway/base:<version>` to run on, and `…-build` with the compilers."""
    check_engine()
    content = model_folder.digest(
        [ROOT / "base_container", ROOT / "requirements" / "setup.txt"], settings.images.python
    )
    arguments = docker_cli.flags("--build-arg", {"PYTHON_IMAGE": settings.images.python})
    options = [*arguments, *docker_cli.flags("--label", {LABEL: content})]
    for target, tag in (("build", f"{BASE}-build"), ("run", BASE)):
        if read_label(tag, LABEL) != content:
            _build(settings, ROOT / "base_container" / "Dockerfile", target, tag, options)
    print(f"ready {BASE}, {size(BASE)}")


def build_runtime(settings: Settings, model: ModelFolder, lock: Lock) -> str:
    """Build the serving image of layer 2 for a lock, still without a model, if missing; return its tag."""
    return _build_layer(settings, model, lock, "runtime", _look(f"{RUNTIME}:*"))


def build_training(settings: Settings, model: ModelFolder, lock: Lock) -> str:
    """Build the training image of layer 2 for a folder and a lock if missing; return its tag."""
    return _build_layer(settings, model, lock, "train", _look(f"{TRAIN}:*"))


def build_model(settings: Settings, model: ModelFolder, lock: Lock) -> None:
    """Build all of layer 2 if missing."""
    build_runtime(settings, model, lock)
    build_training(settings, model, lock)


def _build_layer(settings: Settings, model: ModelFolder, lock: Lock, target: str, held: Mapping[str, str]) -> str:
    place = _check_context(model) if target == "train" else ""
    tag = (training_tag if place else runtime_tag)(model, lock, held[BASE])
    if tag not in held:
        arguments = {"BASE_IMAGE": BASE, "SYSTEM": " ".join(lock.system), "KEPT": " ".join(lock.kept)}
        arguments |= {"MODEL_DIR": place} if place else {}
        options = [*docker_cli.flags("--build-arg", arguments), "--build-context", f"lock={lock.folder}"]
        _build(settings, _dockerfile(model), target, tag, options)
    return tag


def build_served(settings: Settings, model: ModelFolder, prepared: Prepared) -> str:
    """Build layer 3, the image of one model version, on its lock's layer 2, if missing; return its tag."""
    served, files, identity = prepared.model, prepared.files, prepared.lasting
    name = served.name or model.name
    begin = f"{_repository(name)}:{f'v{served.version}-' if served.version else ''}"
    held = _look(f"{RUNTIME}:*", f"{begin}*")
    runtime = _build_layer(settings, model, prepared.lock, "runtime", held)
    content = model_folder.digest(sorted(files.iterdir()), runtime, name, identity)
    tag = f"{begin}{content[:DIGITS]}"
    if tag in held:
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
    options = docker_cli.flags("--build-arg", {"RUNTIME_IMAGE": runtime, "IDENTITY": identity})
    options += [*docker_cli.flags("--label", labels), "--build-context", f"version={files}"]
    _build(settings, _dockerfile(model), "serve", tag, options)
    return tag


def build_service(settings: Settings, name: str) -> str:
    """Build the image of a service, mlflow or deployer, if missing; return its tag."""
    folder_of_image = ROOT / "mlflow_services" / name
    held = _look(_repository(name))
    content = model_folder.digest([folder_of_image, ROOT / "requirements" / f"{name}.txt"], held[BASE])
    tag = f"{_repository(name)}:{content[:DIGITS]}"
    if tag not in held:
        options = docker_cli.flags("--build-arg", {"BASE_IMAGE": BASE})
        _build(settings, folder_of_image / "Dockerfile", name, tag, options)
    return tag


def build_deployer(settings: Settings, model: ModelFolder) -> str:
    """Build the image of a cluster's deployer, with what it needs from this checkout, if missing.

    Return its tag.
    """
    place = _check_context(model)
    held = _look(_repository("deployer-kubernetes"))
    content = model_folder.digest([*(ROOT / name for name in COPIED), model.path], held[BASE], place)
    tag = f"{_repository('deployer-kubernetes')}:{content[:DIGITS]}"
    if tag not in held:
        options = docker_cli.flags("--build-arg", {"BASE_IMAGE": BASE, "MODEL_DIR": place})
        _build(settings, ROOT / "deploy" / "kubernetes" / "deployer" / "Dockerfile", "deployer", tag, options)
    return tag


def runtime_tag(model: ModelFolder, lock: Lock, base: str = "") -> str:
    """Return the tag of the image that serves with a lock, on a base image (its id; default: the engine's)."""
    parts = [_dockerfile(model), lock.folder / locks.SERVING, Path(left_out.__file__)]
    parts += [ROOT / path for path in SERVER]
    return f"{RUNTIME}:{model_folder.digest(parts, base or _look()[BASE], *lock.system, *lock.kept)[:DIGITS]}"


def training_tag(model: ModelFolder, lock: Lock, base: str = "") -> str:
    """Return the tag of the image that trains with a lock, on a base image (its id; default: the engine's)."""
    parts = [model.path, lock.folder / locks.TRAINING]
    return f"{TRAIN}:{model_folder.digest(parts, runtime_tag(model, lock, base))[:DIGITS]}"


def _dockerfile(model: ModelFolder) -> Path:
    """Return the folder's own Dockerfile, or that of model/."""
    own = model.path / "Dockerfile"
    return own if own.exists() else ROOT / "model" / "Dockerfile"


def _repository(name: str) -> str:
    return f"slipway/{model_folder.plain(name)}"


def check_engine() -> None:
    """Raise SlipwayError when no Docker engine answers."""
    if not docker_cli.is_installed():
        cure = "RUNTIME=host make train_model, which needs no Docker; or https://docs.docker.com/get-docker/"
        raise SlipwayError("docker is not installed", cure)
    answer = shell.ask(docker_cli.name_server_version())
    if answer.code != 0:
        raise SlipwayError(f"the Docker engine does not answer: {answer.last}", "start Docker, then make doctor")


def exists(tag: str) -> bool:
    """Whether the engine has an image."""
    return shell.ask(docker_cli.name_image(tag)).code == 0


def size(tag: str) -> str:
    """Return an image's size, such as 512 MB."""
    return f"{int(shell.ask(docker_cli.measure_image(tag)).out) / 1e6:.0f} MB"


def _check_context(model: ModelFolder) -> str:
    """Return the model folder in the build context. Raises SlipwayError if .dockerignore does not let it in."""
    if not any(model.path.is_relative_to(ROOT / name) for name in ("model", "examples")):
        raise SlipwayError(
            f"no image can be built from {model.path}: it is not in model/ or examples/",
            "copy it there, or RUNTIME=host",
        )
    return str(model.path.relative_to(ROOT))


def _look(*patterns: str) -> dict[str, str]:
    """Return the ids of the base image and of those whose tags match, by tag: all that a build needs from the engine.

    Raises SlipwayError when there is no base image.
    """
    filters = [f"reference={pattern}" for pattern in (BASE, *patterns)]
    for _ in range(LISTS):
        answer = shell.ask(docker_cli.list_all("image", ["Repository", "Tag", "ID"], filters))
        if answer.code != 0:
            check_engine()
            raise SlipwayError(f"Docker does not list its images: {answer.last}", "make doctor, then this again")
        rows = [line.split(docker_cli.SEPARATOR) for line in answer.out.splitlines()]
        held = {f"{repository}:{tag}": image for repository, tag, image in rows}
        if BASE in held:
            return held
        if read_label(BASE, LABEL) is None:
            break
    raise SlipwayError(f"no image {BASE}", "make build_base_container")


def read_label(tag: str, name: str) -> str | None:
    """Return a label of an image, or None when the engine has no such image."""
    answer = shell.ask(docker_cli.read_label(tag, name))
    return answer.out if answer.code == 0 else None


def _build(settings: Settings, file: Path, target: str, tag: str, options: list[str]) -> None:
    with _secrets(settings) as secrets:
        command = docker_cli.build(str(file), target, tag, [*options, *secrets], str(ROOT))
        shell.run(command, env={"DOCKER_BUILDKIT": "1"})
    print(f"built {tag}, {size(tag)}")


@contextmanager
def _secrets(settings: Settings) -> Iterator[list[str]]:
    """Pass the caller's proxies, package indexes and certificates to a build as secrets, which no layer keeps."""
    with tempfile.TemporaryDirectory() as scratch:
        lines = [f"export {name}={shlex.quote(value)}" for name, value in build_environment().items()]
        arguments = ["--secret", f"id=environment,src={scratch}/environment"]
        if settings.images.ca_bundle:
            lines.append("export SSL_CERT_FILE=/run/secrets/ca_bundle PIP_CERT=/run/secrets/ca_bundle")
            arguments += ["--secret", f"id=ca_bundle,src={settings.images.ca_bundle}"]
        Path(scratch, "environment").write_text("\n".join(lines) + "\n", encoding="utf-8")
        yield arguments
