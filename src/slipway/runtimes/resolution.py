"""Resolving with uv: from what a model asks for, and what our server needs, to complete, hashed requirements."""

from __future__ import annotations

import re
import shutil
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from slipway import model_folder, shell
from slipway.errors import SlipwayError
from slipway.runtimes import pythons, requirements
from slipway.settings import BUILD

if TYPE_CHECKING:
    from slipway.runtimes.requirements import Asked

OFFLINE = re.compile(r"offline|connect|dns|failed to fetch|timed out|certificate", re.IGNORECASE)
FILE = re.compile(r"(-c|--constraint|-r|--requirement|-f|--find-links)[ =]\s*(?!\w+:)(\S+)")  # pip's, that lie beside
WIDE = 100_000  # columns: uv breaks no line of its reasons


def resolve(asked: Asked, near: tuple[str, str]) -> tuple[str, str]:
    """Return requirements that serve a model, and those that its folder's scripts run with.

    `near` are two files of the same kind, whose versions are kept where they fit; what only the second has is what the
    scripts need. Resolved once; the result holds for every platform. Raises SlipwayError with what cannot be resolved.
    """
    asked = replace(
        asked, lines=[FILE.sub(lambda found: f"{found[1]} {asked.files / found[2]}", line) for line in asked.lines]
    )
    named = [Path(found[2]) for line in asked.lines if (found := FILE.match(line)) and Path(found[2]).is_file()]
    pinned = [requirements.pins(text) for text in near]
    extra = sorted({*requirements.store_ranges(), *(pinned[1].keys() - pinned[0].keys())})
    served = [*asked.lines, *(f"{name}{each}" for name, each in requirements.server_ranges().items())]
    known = model_folder.digest(named, *served, "", *extra, asked.python, *map(_name, near))
    kept = BUILD / "locks" / "resolved" / known[:32]
    serving, training = kept.with_suffix(".serving.txt"), kept.with_suffix(".training.txt")
    if not (serving.exists() and training.exists()):
        kept.parent.mkdir(parents=True, exist_ok=True)
        print(f"note: no lock has what {asked.uri} asks for: resolving its libraries", file=sys.stderr, flush=True)
        with tempfile.TemporaryDirectory(dir=kept.parent) as scratch:
            first, second = Path(scratch, "serving.txt"), Path(scratch, "training.txt")
            if words := _compile(first, served, asked, near[0]):
                raise _explain(words, asked)
            _refuse_unhashed(first.read_text(encoding="utf-8"), asked)
            if words := _compile(second, [*asked.lines, *extra], asked, near[1], first):
                print(f"warning: scripts may not run on {asked.uri}: {_shorten(words)}", file=sys.stderr, flush=True)
                shutil.copy(first, second)
            second.rename(training)
            first.rename(serving)
    return serving.read_text(encoding="utf-8"), training.read_text(encoding="utf-8")


def _compile(target: Path, lines: list[str], asked: Asked, near: str, bound: Path | None = None) -> str:
    """Have uv write hashed requirements, which keep the versions of `bound`; return its words if there are none."""
    wanted = target.with_suffix(".in")
    wanted.write_text("\n".join(lines) + "\n", encoding="utf-8")
    target.write_text(near, encoding="utf-8")  # uv prefers the versions that are there
    given = ["--universal", "--generate-hashes", "--no-header", "--no-annotate", "--quiet", "--no-progress"]
    given += ["--python-version", asked.python, "--output-file", str(target)]
    given += ["--constraints", str(bound)] if bound else []
    command, variables = pythons.uv("pip", "compile", *given, str(wanted))
    answer = shell.ask(command, env={**variables, "COLUMNS": str(WIDE)}, cwd=asked.files)
    return answer.words or f"uv ended with exit code {answer.code}" if answer.code != 0 else ""


def _refuse_unhashed(text: str, asked: Asked) -> None:
    """Raise SlipwayError for a library that comes from a folder or a repository: what is there may change."""
    lines = [line for line in text.replace("\\\n", " ").splitlines() if line.strip() and line[0] != "#"]
    if wrong := [line for line in lines if "--hash=" not in line]:
        words = "its code can lie beside the script, and go into the model by log_model's code_paths"
        raise SlipwayError(
            f"{asked.uri} names {wrong[0]}, which no hash can stand for in a lock; {words}",
            "a release in a package index",
        )


def _explain(words: str, asked: Asked) -> SlipwayError:
    is_offline = OFFLINE.search(words) and "No solution found" not in words
    cure = f"the same command with a package index{asked.cure[1]}" if is_offline else "".join(asked.cure)
    ours = [f"{name}{each}" for name, each in requirements.server_ranges().items()]
    told = ", ".join(
        line for line in ours if re.search(rf"{re.escape(line)}(?!\.?\d)", words) and line not in asked.lines
    )
    needs = f" (our server requires {told})" if told else ""
    return SlipwayError(f"the libraries of {asked.uri} cannot be resolved: {_shorten(words).rstrip('.')}{needs}", cure)


def _shorten(words: str) -> str:
    """Return uv's reason in one line."""
    lines = [re.sub(r"^(?:[\s×╰─▶│├]|error:|cause:)+", "", line).strip() for line in words.splitlines()]
    told = [line for line in lines if line and not line.startswith(("warning", "No solution found", "hint"))]
    return shell.cut(" ".join(told), 600) or "uv gave no reason"


def _name(near: str) -> str:
    """Return what identifies a preferred lock by what it pins, whatever its hashes."""
    return model_folder.digest([], *(f"{name}{sorted(found)}" for name, found in requirements.pins(near).items()))
