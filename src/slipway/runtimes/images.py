"""The images: layer 1 (base), layer 2 (the model's libraries and code), layer 3 (one model version), and MLflow's.

A tag is derived from the content: it always names the same image, and any change gives another tag.
"""

from __future__ import annotations

import re
import shlex
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from slipway import model_folder, shell
from slipway.bootstrap import docker_cli
from slipway.bootstrap.proxies import build_environment
from slipway.errors import SlipwayError
from slipway.settings import ROOT, VERSION

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from slipway.registry.model_uri import ModelRef
    from slipway.settings import Settings

BASE = f"slipway/base:{VERSION}"
LABEL = "io.slipway.content"
COPIED = (
    "src",
    "scripts",
    "requirements",
    "deploy/kubernetes",
    "pyproject.toml",
    "mlflow_env.sh",
)  # into the deployer's image for a cluster
SERVER = ("src/scoring", "src/page_kit")  # the model server's code, and what its page has in common with another
DIGITS = 12  # of a content digest in a tag


def build_base(settings: Settings) -> None:
    """Build layer 1 if missing: `slipway/base:<version>` to run on, and `…-build` with the compilers."""
    check_engine()
    content = model_folder.digest(
        [ROOT / "base_container", ROOT / "requirements" / "setup.txt"], settings.images.python
    )
    options = docker_cli.flags("--build-arg", {"PYTHON_IMAGE": settings.images.python}) + docker_cli.flags(
        "--label", {LABEL: content}
    )
    for target, tag in (("build", f"{BASE}-build"), ("run", BASE)):
        if read_label(tag, LABEL) != content:
            _build(settings, ROOT / "base_container" / "Dockerfile", target, tag, options)
    print(f"ready {BASE}, {size(BASE)}")


def build_runtime(settings: Settings, model: model_folder.ModelFolder) -> str:
    """Build the serving image of layer 2, still without a model, if missing; return its tag."""
    held = _look(f"{_repository(model.name)}:runtime-*")
    return _build_layer(settings, model, "runtime", runtime_tag(model, held[BASE]), held)


def build_training(settings: Settings, model: model_folder.ModelFolder) -> str:
    """Build the training image of layer 2 if missing; return its tag."""
    held = _look(f"{_repository(model.name)}:train-*")
    return _build_layer(settings, model, "train", training_tag(model, held[BASE]), held)


def build_model(settings: Settings, model: model_folder.ModelFolder) -> None:
    """Build all of layer 2 if missing."""
    build_runtime(settings, model)
    build_training(settings, model)


def _build_layer(
    settings: Settings, model: model_folder.ModelFolder, target: str, tag: str, held: Mapping[str, str]
) -> str:
    place = _check_context(model)
    if tag not in held:
        options = docker_cli.flags("--build-arg", {"BASE_IMAGE": BASE, "MODEL_DIR": place})
        _build(settings, model.path / "Dockerfile", target, tag, options)
    return tag


def build_served(
    settings: Settings, model: model_folder.ModelFolder, served: ModelRef, files: Path, identity: str = ""
) -> str:
    """Build layer 3, the image of one model version, if missing; return its tag."""
    name = served.name or model.name
    begin = f"{_repository(name)}:{f'v{served.version}-' if served.version else ''}"
    held = _look(f"{_repository(model.name)}:runtime-*", f"{begin}*")
    runtime = _build_layer(settings, model, "runtime", runtime_tag(model, held[BASE]), held)
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
    options = docker_cli.flags("--build-arg", {"RUNTIME_IMAGE": runtime, "IDENTITY": identity}) + docker_cli.flags(
        "--label", labels
    )
    _build(settings, model.path / "Dockerfile", "serve", tag, [*options, "--build-context", f"version={files}"])
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


def build_deployer(settings: Settings, model: model_folder.ModelFolder) -> str:
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


def runtime_tag(model: model_folder.ModelFolder, base: str = "") -> str:
    """Return the tag of the image that serves, without a model, on a base image (its id; default: the engine's)."""
    parts = [model.path / "Dockerfile", ROOT / "requirements" / "serving.txt", *(ROOT / path for path in SERVER)]
    return f"{_repository(model.name)}:runtime-{model_folder.digest(parts, base or _look()[BASE])[:DIGITS]}"


def training_tag(model: model_folder.ModelFolder, base: str = "") -> str:
    """Return the tag of the image that trains, on a base image (its id; default: the engine's)."""
    parts = [model.path, ROOT / "requirements" / "training.txt"]
    return f"{_repository(model.name)}:train-{model_folder.digest(parts, runtime_tag(model, base))[:DIGITS]}"


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


def check_libraries(settings: Settings, files: Path, served: ModelRef) -> None:
    """Raise SlipwayError if libraries differ from the locked ones, unless SCORING_CHECK_LIBRARIES is off.

    Warn about libraries that only training has.
    """
    requirements = files / "requirements.txt"
    if settings.serving.scoring.get("SCORING_CHECK_LIBRARIES") == "off" or not requirements.exists():
        return
    wanted = _pins(requirements.read_text(encoding="utf-8"))
    locked, training = (
        _pins((ROOT / "requirements" / f"{group}.txt").read_text(encoding="utf-8")) for group in ("serving", "dev")
    )
    if beside := [f"{name} {wanted.pop(name)}" for name in list(wanted) if name in training and name not in locked]:
        print(
            f"warning: not installed where {served.uri} is served, because only training needs it: {', '.join(beside)}",
            file=sys.stderr,
        )
    differing = [
        f"{name} {version} (here {locked.get(name, 'none')})"
        for name, version in wanted.items()
        if locked.get(name) != version
    ]
    if differing:
        raise SlipwayError(
            f"{served.uri} was trained with libraries other than the locked ones: {', '.join(differing)}",
            "make train_model, to train it with these; or check out the commit it came from and serve it there",
        )


def _pins(text: str) -> dict[str, str]:
    pins = re.findall(r"^([\w.-]+)(?:\[[^]]*\])?==([^\s;\\]+)", text, re.MULTILINE)
    return {re.sub(r"[-_.]+", "-", name).lower().replace("mlflow-skinny", "mlflow"): version for name, version in pins}


def _check_context(model: model_folder.ModelFolder) -> str:
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
    answer = shell.ask(docker_cli.list_all("image", ["Repository", "Tag", "ID"], filters))
    if answer.code != 0:
        check_engine()
        raise SlipwayError(f"Docker does not list its images: {answer.last}", "make doctor, then this again")
    rows = [line.split(docker_cli.SEPARATOR) for line in answer.out.splitlines()]
    held = {f"{repository}:{tag}": image for repository, tag, image in rows}
    if BASE not in held:
        raise SlipwayError(f"no image {BASE}", "make build_base_container")
    return held


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
