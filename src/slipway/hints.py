"""Suggested commands, with the settings that the caller gave.

So that they act on the same things as the command before, in any shell.

Standard library only, Python 3.8 or later: set-up prints cures, too.
"""

from __future__ import annotations

import os
import re
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).parents[2]
SETTING = re.compile(r'^export ([A-Z][A-Z0-9_]*)="\$\{\1:-(.*)\}"', re.MULTILINE)  # a line of mlflow_env.sh
TARGET = re.compile(r"^([a-z][a-z0-9_]*):", re.MULTILINE)  # a line of the Makefile
GIVEN = r"""(?:[A-Z][A-Z0-9_]*=(?:'[^']*'|"[^"]*"|[^\s'"])* )*"""
COMMAND = re.compile(  # the settings before it, and all that stands after it
    rf"(?<![\w=/-]){GIVEN}make (?:[A-Z][A-Z0-9_]*=\S* )*(?P<target>[a-z][a-z0-9_]*)(?![\w=])(?:(?! make )[^;,()])*"
)
KUBECTL = re.compile(
    r"(?<![\w/.-])kubectl (?=[a-z])(?!config |kustomize |version)"
)  # of a cluster, which it does not name yet
TYPED_AGAIN = {  # say which model, server, services or cluster is meant; images and limits say how, and are a machine's
    "RUNTIME", "MODEL_DIR", "PORT", "WORKERS", "PARQUET", "MLFLOW_PORT", "DEPLOYER_PORT", "REGISTRY_PORT",
    "MLFLOW_TRACKING_URI", "MLFLOW_ARTIFACT_ROOT", "COMPOSE_PROJECT_NAME", "BACKUP_DIR", "CONTEXT", "NAMESPACE",
    "REGISTRY", "IMAGE_LOAD", "TRACKING_IN_CLUSTER",
}  # fmt: skip
SERVER = "SCORING_"  # begins the names of the model server's own settings
_caller: dict[str, str] = {}  # the environment as the caller gave it, once the settings were read from it


def remember(**variables: str) -> None:
    """Take the environment for the caller's, since libraries set variables of their own later.

    Or change some `variables` of it.
    """
    if not variables:
        _caller.clear()
    _caller.update(variables or os.environ)


def say_next(words: str) -> None:
    """Print what is to be typed next."""
    print(f"next  {complete(words)}", flush=True)


def say_cure(words: str, cure: str) -> None:
    """Say on stderr what is wrong and what to do about it, where the command goes on."""
    print(f"{words}\n  try: {complete(cure)}", file=sys.stderr, flush=True)


def complete(words: str) -> str:
    """Return a text with each command in it as it has to be typed after the caller's.

    Before `make <target>` come the settings that the caller gave, and that stand not there already; kubectl is told
    cluster and namespace.
    """
    words = KUBECTL.sub(lambda _: f"{name_kubectl(os.environ)} ", words)
    if "make " not in words:
        return words
    targets, given = set(TARGET.findall(_read("Makefile"))), find_given(_caller or os.environ)

    def put_before(found: re.Match[str]) -> str:
        if found["target"] not in targets:
            return found[0]
        text = re.sub(r"\b([A-Z][A-Z0-9_]*)=…", lambda gap: f"{gap[1]}={given.get(gap[1], '…')}", found[0])
        missing = [
            f"{name}={value} " for name, value in given.items() if not re.search(rf"(?<![A-Z0-9_]){name}=", text)
        ]
        return "".join(missing) + text

    return COMMAND.sub(put_before, words)


def name_kubectl(variables: Mapping[str, str]) -> str:
    """Return kubectl for the cluster and the namespace that the caller named; as it is, where none was, or in a pod."""
    context, namespace = (variables.get(name, "").strip() for name in ("CONTEXT", "NAMESPACE"))
    if not context or (context == "in-cluster" and variables.get("KUBERNETES_SERVICE_HOST")):
        return "kubectl"
    namespace = namespace or read_defaults()["NAMESPACE"]
    return f"kubectl --context {shlex.quote(context)} --namespace {shlex.quote(namespace)}"


def find_given(variables: Mapping[str, str]) -> dict[str, str]:
    """Return the settings to type again, where not the defaults.

    Quoted for a shell, one with a password by its name alone.
    """
    defaults = read_defaults()
    given = {}
    named = [name for name in defaults if name in TYPED_AGAIN]
    for name in (*named, *sorted(name for name in variables if name.startswith(SERVER))):
        value = variables.get(name, "").strip()
        if value and value != defaults.get(name):
            given[name] = f'"${name}"' if re.search(r"//[^/]*@", value) else shlex.quote(value)
    return given


def read_defaults() -> dict[str, str]:
    """Return the default of every setting, as mlflow_env.sh has it."""
    home = os.path.expanduser("~")  # noqa: PTH111 -- as a shell does
    return {found[1]: found[2].replace("${HOME}", home) for found in SETTING.finditer(_read("mlflow_env.sh"))}


def _read(name: str) -> str:
    try:
        return (ROOT / name).read_text(encoding="utf-8")
    except OSError:
        return ""
