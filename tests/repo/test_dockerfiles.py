"""The Dockerfiles as data: no root, no secret kept, every version named, nothing fetched to read the file itself."""

import re
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from slipway.settings import VERSION
from tests.repo import tree

FILES = tree.find("*Dockerfile")
BASE = Path("base_container/Dockerfile")
every_file = pytest.mark.parametrize("path", FILES, ids=str)


@dataclass
class Stage:
    """One FROM and what follows it."""

    parent: str
    name: str
    steps: list[tuple[str, str]] = field(default_factory=list)


def steps(path: Path) -> list[tuple[str, str]]:
    """Return a Dockerfile's instructions with their words, comments dropped and continued lines joined."""
    text = re.sub(r"^\s*#.*\n", "", tree.read(path), flags=re.MULTILINE)
    lines = re.sub(r"\\\n\s*", "", text).splitlines()
    return [(line.split()[0].upper(), line.split(maxsplit=1)[1]) for line in lines if line.strip()]


def defaults(path: Path) -> dict[str, str]:
    """Return the build arguments that have a default."""
    return dict(words.split("=", 1) for name, words in steps(path) if name == "ARG" and "=" in words)


def stages(path: Path) -> dict[str, Stage]:
    """Return a Dockerfile's stages by name, with build arguments in FROM replaced by their defaults."""
    found: dict[str, Stage] = {}
    for name, words in steps(path):
        if name == "FROM":
            parent, _, alias = re.sub(r"\$\{(\w+)\}", lambda match: defaults(path)[match[1]], words).partition(" AS ")
            stage = found[alias or str(len(found))] = Stage(parent, alias)
        elif found:
            stage.steps.append((name, words))
    return found


def user(path: Path, name: str) -> str:
    """Return who a stage runs as: its last USER, or else its parent's, or else root."""
    stage = stages(path)[name]
    own = [words for step, words in stage.steps if step == "USER"]
    if own:
        return own[-1]
    if stage.parent in stages(path):
        return user(path, stage.parent)
    if stage.parent.startswith("slipway/base:"):
        return user(BASE, "build" if stage.parent.endswith("-build") else "run")
    return "root"


def only_builds(path: Path, name: str) -> bool:
    """Whether a stage is there to be copied from, or to compile for other images: it never runs."""
    copied = {match[1] for _, words in steps(path) if (match := re.match(r"--from=(\S+)", words))}
    return name in copied or (path, name) == (BASE, "build")


FINAL = [
    pytest.param(path, name, id=f"{path}:{name}")
    for path in FILES
    for name in stages(path)
    if not only_builds(path, name)
]


@pytest.mark.parametrize(("path", "name"), FINAL)
def test_what_runs_is_not_root(path: Path, name: str) -> None:
    """An image that runs has a user with a number that is not 0 (a cluster checks the number)."""
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user(path, name))
    assert not only_builds(path, stages(path)[name].parent), "it is made from a stage with compilers"


@every_file
def test_every_version_is_named(path: Path) -> None:
    """An image to start from is a stage or has a tag that starts with a version; our own base has this repository's."""
    found = stages(path)
    outside = {stage.parent for stage in found.values()} - found.keys()

    assert [parent for parent in outside if not re.search(r":\d[\w.-]*$", parent)] == []
    assert {parent for parent in outside if parent.startswith("slipway/")} <= {
        f"slipway/base:{VERSION}",
        f"slipway/base:{VERSION}-build",
    }
    assert "latest" not in tree.read(path)


def test_the_base_is_the_settings() -> None:
    """The base image's default is the one in mlflow_env.sh."""
    assert f'"${{PYTHON_IMAGE:-{defaults(BASE)["PYTHON_IMAGE"]}}}"' in tree.read("mlflow_env.sh")


@every_file
def test_no_secret_is_kept(path: Path) -> None:
    """Nothing secret, nor a proxy or an index, is a build argument or a variable of the image.

    `docker history` shows those.
    """
    kept = [words for name, words in steps(path) if name in {"ARG", "ENV", "LABEL"}]

    assert [
        words
        for words in kept
        if re.search("TOKEN|PASSWORD|SECRET|CREDENTIAL|PROXY|INDEX|CERT|CA_BUNDLE", words, re.IGNORECASE)
    ] == []


@every_file
def test_secrets_are_only_mounted(path: Path) -> None:
    """A step that reads a secret mounts it, and copies it nowhere."""
    reading = [(name, words) for name, words in steps(path) if "/run/secrets" in words]
    unmounted = [
        words
        for name, words in reading
        if name != "RUN" or not _read_secrets(words) <= set(re.findall(r"type=secret,id=(\w+)", words))
    ]

    assert unmounted == []
    assert [words for _, words in reading if re.search(r"\b(cp|cat|tee|install -m)\b[^&|;]*/run/secrets", words)] == []


def _read_secrets(words: str) -> set[str]:
    """Return the secrets that a step reads; `environment` may name the certificates in `ca_bundle`."""
    found = set(re.findall(r"/run/secrets/(\w+)", words))
    return found | {"ca_bundle"} if "environment" in found else found


@every_file
def test_the_file_needs_no_registry_to_be_read(path: Path) -> None:
    """No `# syntax=` line: it would fetch an image before anything else, which fails offline."""
    assert not re.search(r"^#\s*(syntax|check)\s*=", tree.read(path), re.MULTILINE)


@every_file
def test_nothing_is_fetched_past_the_lock(path: Path) -> None:
    """Python packages come from hashed requirements only."""
    installs = [
        part for _, words in steps(path) for part in re.split(r"&&|;", words) if re.search(r"\bpip install\b", part)
    ]
    extra = [
        part
        for part in installs
        if "--require-hashes" not in part and "--no-deps --requirement /requirements/extra.txt" not in part
    ]

    assert extra == []


def test_the_build_context_is_what_images_copy() -> None:
    """The build context starts empty and lets in what the images copy: no data, no environment, no secret."""
    lines = [line for line in tree.read(".dockerignore").splitlines() if line and not line.startswith("#")]

    assert lines[0] == "*"
    assert [line for line in lines if line.startswith("!") and re.match(r"!(\.|build|backups|\*)", line)] == []
