"""Descriptors, of which a process has a limited number: without one, no connection is accepted, silently."""

from __future__ import annotations

import logging
import os
import resource
import time

AGAIN_S = 60.0  # between two lines about it
logger = logging.getLogger("scoring")


class Descriptors:
    """Looks now and then whether there are any left."""

    def __init__(self) -> None:
        self._said = -float("inf")
        self._is_out = False

    def look(self) -> None:
        """Say in the log that there are none, once in AGAIN_S, and that there are some again."""
        try:
            os.close(os.open(os.devnull, os.O_RDONLY))
        except OSError as error:
            if time.monotonic() - self._said > AGAIN_S:
                limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
                words = (
                    "%s: new connections are cut off until others end; this process may have %d files open (ulimit -n)"
                )
                logger.error(words, error.strerror, limit)  # noqa: TRY400 -- its words say all
                self._said, self._is_out = time.monotonic(), True
        else:
            if self._is_out:
                logger.info("new connections are accepted again")
            self._is_out = False
