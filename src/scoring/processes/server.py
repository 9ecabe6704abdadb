"""The process that answers, or the one above several that do. uvicorn runs and supervises them."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import gc
import logging
import os
import sys
import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import uvicorn

from scoring import loading
from scoring.errors import ModelError
from scoring.http.app import Application
from scoring.http.fast_protocol import DirectProtocol
from scoring.http.state import ServerState
from scoring.metrics import Metrics
from scoring.processes import deferral
from scoring.processes.supervisor import MODEL_DID_NOT_LOAD, SECONDS_TO_ANSWER, Supervisor, bind
from scoring.processes.worker import Server

if TYPE_CHECKING:
    from scoring.settings import Settings

BACKLOG = 2048
SHARED = "/dev/shm"  # noqa: S108 -- memory, and there where the file system cannot be written to
CANNOT_LISTEN = 1
MALLOC = {"arena_max": -8, "trim_threshold": -1, "mmap_threshold": -3}  # of glibc's malloc.h
KEEP = 16 * 1024 * 1024  # bytes that one request leaves for the next


def run(settings: Settings) -> int:
    """Serve until SIGTERM or Ctrl-C; return the exit code."""
    try:
        sockets = bind(settings.host, settings.port, settings.workers)
    except OSError as error:
        sys.stderr.write(f"error: cannot listen on {settings.host}:{settings.port}: {error.strerror}\n")
        return CANNOT_LISTEN
    if settings.workers == 1:
        config = _config(settings, None)
        config.load()  # the model too: before the port is open, and while a signal still ends the process at once
        Server(config).run(sockets)
        return 0
    with tempfile.NamedTemporaryFile(prefix="scoring-", dir=SHARED if Path(SHARED).is_dir() else None) as shared:
        supervisor = Supervisor(_config(settings, Path(shared.name)), sockets, settings.start_timeout)
        supervisor.run()
    return supervisor.exit_code


def _config(settings: Settings, shared: Path | None) -> uvicorn.Config:
    return uvicorn.Config(
        functools.partial(_make, settings, shared),
        factory=True,
        workers=settings.workers,
        http=DirectProtocol,
        loop="uvloop",
        ws="none",
        lifespan="on",
        interface="asgi3",
        access_log=False,
        log_level="warning",
        proxy_headers=False,
        server_header=False,
        backlog=BACKLOG,
        timeout_graceful_shutdown=max(1, round(settings.drain)),
        timeout_worker_healthcheck=SECONDS_TO_ANSWER,
        ssl_certfile=settings.tls_cert or None,
        ssl_keyfile=settings.tls_key or None,
    )


def _make(settings: Settings, shared: Path | None) -> Application:
    """Load the model and make the application of one process.

    End it with one line and code 3 when the model does not load.
    """
    _set_malloc(arena_max=1)  # for all threads: malloc_trim does not shorten the others
    warnings.simplefilter("ignore")  # libraries' advice is for those who train models
    logging.basicConfig(level=logging.INFO, format="%(levelname)s: %(message)s", stream=sys.stderr)
    try:
        application = Application(ServerState.of(settings, loading.load(settings), Metrics(shared)))
    except ModelError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(MODEL_DID_NOT_LOAD)
    deferral.end()
    _set_malloc(trim_threshold=KEEP, mmap_threshold=KEEP // 2)
    gc.freeze()  # what is there now stays, and need not be looked at again
    gc.enable()
    model = application.state.scorer.model
    identity, seconds = model.identity, model.load_seconds
    logging.getLogger("scoring").info(
        "loaded %s %s in %.1f s, process %d", identity.name, identity.version, seconds, os.getpid()
    )
    return application


def _set_malloc(**values: int) -> None:
    """Set parameters of glibc's malloc, without effect in another C library."""
    with contextlib.suppress(OSError, AttributeError):
        library = ctypes.CDLL(None)
        for name, value in values.items():
            library.mallopt(MALLOC[name], value)
