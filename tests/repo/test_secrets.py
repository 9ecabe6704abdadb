"""What must not be in the repository: secrets, places of one machine, and what is generated."""

import re
import subprocess
from pathlib import Path

import pytest

from slipway.settings import ROOT
from tests.repo import tree

TEXTS = {
    path: (ROOT / path).read_bytes().decode("utf-8", errors="replace")
    for path in tree.find()
    if path != Path("poetry.lock")
}
SECRETS = {
    "private key": "-----BEGIN [A-Z ]*PRIVATE" + " KEY",
    "cloud key": r"\b(AKIA|ASIA)[0-9A-Z]{16}\b",
    "token": r"\b(gh[pousr]_\w{36}|github_pat_\w{22}|glpat-[\w-]{20}|xox[abpr]-[\w-]{10}|pypi-AgE\w{20})",
    "password in an address": r"\w+://(?!me:)[\w.-]*:[^\s/@${}\"'<>*…]+@[\w.-]",  # tests pretend to be `me`
    "password": (
        r"(?i)\b\w*(password|passwd|secret_key|api_key|auth_token)\b[\"']?\s*[:=]\s*"
        r"[\"'][^\"'${}<>\s/]{6,}[\"']"
    ),
}
MACHINE = {
    "home folder": "(?<![\\w.$}~/-])/(" + "root|home/(?!someone)\\w+|Users/\\w+)/",
    "checkout": "(?<![\\w.$}~/-])/(" + "work|workspace|builds)/",
    "package index": "https?://[^\\s\"'`…]+/" + "simple\\b",
}
IN_CONTAINERS = "target=/root/.cache"  # a build's own cache, at home in the image
GENERATED = [
    ".venv/host",
    ".slipway/postgres_password",
    "build/poetry",
    "backups/a.tar.gz",
    "src/slipway/__pycache__/a.pyc",
    "mlruns/0",
    ".mypy_cache/a",
]


def search(pattern: str) -> list[str]:
    """Return where a pattern occurs: file and line, not the words themselves."""
    found = []
    for path, text in TEXTS.items():
        lines = enumerate(text.replace(IN_CONTAINERS, "").splitlines(), start=1)
        found += [f"{path}:{number}" for number, line in lines if re.search(pattern, line)]
    return found


@pytest.mark.parametrize("pattern", SECRETS.values(), ids=SECRETS)
def test_nothing_secret_is_committed(pattern: str) -> None:
    """No file holds what looks like a key, a token or a password."""
    assert search(pattern) == []


@pytest.mark.parametrize("pattern", MACHINE.values(), ids=MACHINE)
def test_no_machine_is_named(pattern: str) -> None:
    """No file names a place that only its author's machine has."""
    assert search(pattern) == []


@pytest.mark.parametrize("name", GENERATED)
def test_what_is_generated_is_ignored(name: str) -> None:
    """Git ignores what is generated, and what the embedded mode keeps."""
    assert subprocess.run(["git", "check-ignore", "--quiet", name], cwd=ROOT, check=False).returncode == 0


def test_files_are_small() -> None:
    """No file is over 1 MB: data and models have their own places."""
    assert [str(path) for path in tree.find() if (ROOT / path).stat().st_size > 1_000_000] == []
