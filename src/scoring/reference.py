"""Answer as MLflow's own loader and encoder do, without the server: python -m scoring.reference FOLDER < request.json.

What `make test_api` compares the server's answers with; a process of its own, since a model is code and may end or hang
it.
"""

from __future__ import annotations

import io
import json
import logging
import sys
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from scoring.codecs.mlflow_forms import is_message
from scoring.models import bytecode

if TYPE_CHECKING:
    from mlflow.pyfunc import PyFuncModel

    from scoring.models.aliases import Json, Predictions

MARK = "answers: "  # begins the line: a model may print what it likes
SLOW_S = 5.0  # a model that takes longer is asked once
SECOND = 1.1  # s between two answers of a chat: longer than the unit of the time that they hold


def main() -> None:
    """Read a request to /invocations; print a JSON list of one or two answers to it last, after the mark.

    The second shows what a model answers differently each time.
    """
    import mlflow  # the messages of a wrong call need it not

    from scoring import pyfunc

    # A container's Python may be another, of which MLflow warns: its answers are compared, that says more
    logging.getLogger("mlflow").setLevel(logging.ERROR)
    warnings.simplefilter("ignore")
    bytecode.keep_out(Path(sys.argv[1]))
    mlflow.tracing.disable()  # an agent's traces would go to the store, or to a database in this folder
    model = pyfunc.load(sys.argv[1])
    body = sys.stdin.read()
    started = time.monotonic()
    answers = [_answer(model, body)]
    if time.monotonic() - started < SLOW_S:
        time.sleep(SECOND if is_message(json.loads(body)) else 0)
        answers.append(_answer(model, body))
    print(f"\n{MARK}{json.dumps(answers)}")


def _answer(model: PyFuncModel, body: str) -> Json:
    from mlflow.pyfunc import scoring_server

    parsed = scoring_server._parse_json_data(body, model.metadata, model.metadata.get_input_schema())  # type: ignore[no-untyped-call] # noqa: SLF001 -- no public way
    predictions: Predictions = model.predict(parsed.data, params=parsed.params)
    if hasattr(predictions, "toarray"):  # a sparse matrix, which MLflow does not write
        predictions = predictions.toarray()
    text = io.StringIO()
    if parsed.is_unified_llm_input:
        scoring_server.unwrapped_predictions_to_json(predictions, text)  # type: ignore[no-untyped-call]
    else:
        scoring_server.predictions_to_json(predictions, text)  # type: ignore[no-untyped-call]
    return json.loads(text.getvalue())


if __name__ == "__main__":
    main()
