"""Serve a model folder: python -m scoring FOLDER --port 8001."""

import gc
import os
import signal
import sys

from scoring.processes import deferral

gc.disable()  # until the model is loaded: searching the imports for garbage takes a sixth of a start
deferral.defer()  # here, and not in main(), as each worker begins with these lines, too


def leave(*_: object) -> None:
    """End at once, well.

    Uvicorn has drained before it raises a signal again, and a predict that hangs must not hold the process.
    """
    sys.stdout.flush()
    os._exit(0)


def main() -> None:
    """Read the settings, then answer until SIGTERM or Ctrl-C."""
    for name in (signal.SIGTERM, signal.SIGINT):  # a container's process 1 has no handlers of its own
        signal.signal(name, leave)
    from scoring import settings  # a signal may come meanwhile

    given = settings.load()
    from scoring.processes import server  # takes a second, which a wrong call need not wait for

    sys.exit(server.run(given))


if __name__ == "__main__":
    main()
