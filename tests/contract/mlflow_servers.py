"""MLflow's own scoring app for several models in one process, each on its port.

NAME=FOLDER:PORT… (`mlflow models serve` has one).
"""

from __future__ import annotations

import os
import sys
import threading
from typing import TYPE_CHECKING

import uvicorn
from mlflow.pyfunc import scoring_server

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlflow.pyfunc import PyFuncModel

TIME_LIMIT = "MLFLOW_SCORING_SERVER_REQUEST_TIMEOUT"


def main() -> None:
    """Serve until the process is killed."""
    servers = []
    for argument in sys.argv[1:]:
        name, _, place = argument.partition("=")
        folder, _, port = place.rpartition(":")
        os.environ[TIME_LIMIT] = "1" if name == "slow" else "60"  # read when the app is made
        load: Callable[[str], PyFuncModel] = scoring_server.load_model_with_mlflow_config
        app = scoring_server.init(load(folder))
        servers.append(uvicorn.Server(uvicorn.Config(app, port=int(port), log_level="warning")))
    threads = [threading.Thread(target=server.run) for server in servers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main()
