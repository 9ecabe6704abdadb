"""Processes that end with the one that started them, however that ends."""

from __future__ import annotations

import os
import threading
import time

LOOK_S = 0.2  # between two looks at the parent


def end_with_parent() -> None:
    """Have this process end soon after its parent, which SIGKILL ends without a word."""
    parent = os.getppid()
    threading.Thread(target=_watch, args=(parent,), daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(LOOK_S)
    os._exit(1)
