"""Serve a model folder: python -m scoring FOLDER --port 8080. Exit code 3 when the model does not load."""

import argparse
import signal
import sys
import warnings
from pathlib import Path

MODEL_DID_NOT_LOAD = 3
SECONDS_TO_DRAIN = 3  # Ctrl-C ends the server within 5 s


def main() -> None:
    """Load the model, then answer until SIGTERM or Ctrl-C."""
    parser = argparse.ArgumentParser(prog="python -m scoring", description=__doc__)
    parser.add_argument("model", type=Path, help="an MLflow model folder")
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on")
    parser.add_argument("--port", type=int, default=8001, help="the port to listen on")
    args = parser.parse_args()
    if not (args.model / "MLmodel").is_file():
        parser.exit(MODEL_DID_NOT_LOAD, f"error: no MLflow model at {args.model}: it has no MLmodel file\n")
    for name in (signal.SIGTERM, signal.SIGINT):  # while the model loads, too: a container's process 1 has no handlers of its own
        signal.signal(name, lambda *_: sys.exit())  # uvicorn drains first, then raises the signal again
    warnings.simplefilter("ignore")
    import uvicorn  # noqa: PLC0415 -- these take seconds, which a wrong call need not wait for

    from scoring import app  # noqa: PLC0415

    try:
        loaded = app.load(args.model)
    except Exception as error:  # noqa: BLE001 -- a model's loader is anyone's code
        words = " ".join(str(error).split())  # a parser's are several lines
        sys.stderr.write(f"error: the model at {args.model} did not load: {type(error).__name__}: {words}\n")
        sys.exit(MODEL_DID_NOT_LOAD)
    uvicorn.run(loaded, host=args.host, port=args.port, timeout_graceful_shutdown=SECONDS_TO_DRAIN)


if __name__ == "__main__":
    main()
