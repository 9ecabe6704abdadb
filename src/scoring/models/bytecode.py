"""Python's compiled files stay out of a model's folder."""

from __future__ import annotations

import os
from importlib.machinery import SourceFileLoader
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def keep_out(folder: Path) -> None:
    """Have Python keep no bytecode of a model's own code: a file more in its folder would change the checksum."""
    write, inside = SourceFileLoader.set_data, str(folder.resolve()) + os.sep

    def set_data(self: SourceFileLoader, path: str, data: bytes, **mode: int) -> None:
        if not os.path.realpath(path).startswith(inside):
            write(self, path, data, **mode)

    SourceFileLoader.set_data = set_data  # type: ignore[method-assign, assignment] # libraries' bytecode is kept
