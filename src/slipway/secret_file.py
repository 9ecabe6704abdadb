"""Secrets in files: made once, of mode 600."""

from __future__ import annotations

import os
import secrets
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def read_or_make(file: Path, make: Callable[[], str] = lambda: secrets.token_urlsafe(32)) -> str:
    """Return the secret in a file of mode 600, made when there is none."""
    if not file.exists() or not file.read_text(encoding="utf-8").strip():  # empty: a power cut, or a hand
        file.parent.mkdir(parents=True, exist_ok=True)
        unfinished = file.with_suffix(".unfinished")
        unfinished.unlink(missing_ok=True)
        unfinished.touch(mode=0o600)
        with unfinished.open("w", encoding="utf-8") as written:
            written.write(make())
            written.flush()
            os.fsync(written.fileno())
        unfinished.replace(file)
    return file.read_text(encoding="utf-8").strip()
