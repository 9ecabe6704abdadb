"""Serve a model folder: python -m scoring FOLDER --port 8001."""

import sys
import warnings

from scoring import settings


def main() -> None:
    """Read the settings, then answer until SIGTERM or Ctrl-C."""
    given = settings.load()
    warnings.simplefilter("ignore")  # libraries' advice is for those who train models
    from scoring import server  # noqa: PLC0415 -- takes a second, which a wrong call need not wait for

    sys.exit(server.run(given))


if __name__ == "__main__":
    main()
