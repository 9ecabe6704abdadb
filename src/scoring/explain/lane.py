"""Where explanations are computed: one thread of their own, before which few may wait, and none longer than its time.

They are of the same rows that a prediction takes, and hold up none.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from scoring import rehearsal
from scoring.codecs.media import JSON, is_table, media_type
from scoring.errors import Refusal, bad
from scoring.explain import methods
from scoring.explain.methods import BACKGROUND, Explained, Unexplained
from scoring.models import rows as of_rows

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd

    from scoring.batching import Request
    from scoring.inference import Scorer
    from scoring.models.base import Model
    from scoring.models.rows import Table
    from scoring.settings import Settings

WAITING = 8  # requests; one more is answered with 503
BUSY = "the server is busy with other explanations"
logger = logging.getLogger("scoring")


class Lane:
    """The explanations of one model."""

    def __init__(self, scorer: Scorer, settings: Settings) -> None:
        self._scorer = scorer
        self._model: Model = scorer.model
        self._most, self._seconds = settings.explain_max_rows, settings.explain_timeout
        self._pool: ThreadPoolExecutor | None = None
        self._waiting = 0
        self._background: pd.DataFrame | None = None
        self._lock = threading.Lock()

    def explain(self, request: Request) -> None:
        """Take a request in any form of /invocations that has rows; raise Refusal for what is none."""
        self._submit(request, self._read, _encode)

    def explain_v2(self, request: Request) -> None:
        """Take a request of the Open Inference Protocol."""
        self._submit(request, self._read_v2, self._encode_v2)

    def close(self) -> None:
        """Let the thread end."""
        if self._pool:
            self._pool.shutdown(wait=False, cancel_futures=True)

    def _submit(
        self, request: Request, read: Callable[[Request], Table], encode: Callable[[Explained, list[str]], bytes]
    ) -> None:
        if self._waiting >= WAITING:
            raise Refusal(503, BUSY, (("Retry-After", str(max(1, round(self._seconds)))),))
        if self._pool is None:
            self._pool = ThreadPoolExecutor(1, "explain")
        self._waiting += 1
        loop = asyncio.get_running_loop()

        def work() -> bytes | Refusal:
            try:
                if request.is_over:
                    return Refusal(504, "the request took too long")
                table = read(request)
                request.rows = table.n
                if table.n > self._most:
                    return Refusal(413, f"an explanation takes at most {self._most} rows")
                return encode(self._explain(table), self._names())
            except Refusal as refusal:
                return refusal.with_traceback(None)
            except Exception as error:  # noqa: BLE001 -- a model may raise anything
                logger.warning("an explanation failed: %s", type(error).__name__)
                return Unexplained("its way of predicting these rows failed")

        def done(answer: bytes | Refusal) -> None:
            self._waiting -= 1
            if isinstance(answer, Refusal):
                request.refuse(answer)
            else:
                request.answer(200, answer, JSON, ())

        self._pool.submit(work).add_done_callback(lambda future: loop.call_soon_threadsafe(done, future.result()))

    def _names(self) -> list[str]:
        signature = self._model.signature
        return signature.names or [str(at) for at in range(signature.tensor[1] if signature.tensor else 0)]

    def _read(self, request: Request) -> Table:
        given = request.header(b"content-type") or JSON
        mime = JSON if given == JSON else media_type(given)
        if not self._names() or (mime != JSON and not is_table(given)):
            raise Unexplained("its input has no columns")
        table = self._scorer.decode(request.body) if mime is JSON or mime == JSON else None
        if table is None and not self._model.signature.columns:
            raise bad("send the rows as JSON, as dataframe_split, instances or inputs")
        return table or self._scorer.read(request.body, mime, self._scorer.bounds)[0]

    def _read_v2(self, request: Request) -> Table:
        if not self._names():
            raise Unexplained("its input has no columns")
        table, _ = self._scorer.read_tensors(request, self._scorer.parse_tensors(request))
        if table is None:
            raise bad("the tensors are not the model's columns")
        return table

    def _explain(self, table: Table) -> Explained:
        frame = self._frame([table])
        background = self._find_background(frame)
        model = self._model
        try:
            with np.errstate(all="ignore"):
                found = model.raw and methods.explain_estimator(model.raw, *self._as_taken(frame, background))
        except Exception as error:  # noqa: BLE001 -- a library that does not know this estimator after all
            logger.info("not explained exactly: %s", type(error).__name__)
            found = None
        return found or self._permute(frame, background)

    def _as_taken(self, frame: pd.DataFrame, background: pd.DataFrame) -> tuple[Any, list[str], Any]:
        """Return rows, names and background as the estimator takes them: a DataFrame, or a matrix."""
        if self._model.signature.tensor:
            return frame.to_numpy(), self._names(), background.to_numpy()
        return frame, self._names(), background

    def _frame(self, tables: list[Table]) -> pd.DataFrame:
        import pandas as pd  # noqa: PLC0415 -- a numeric model may do without

        signature = self._model.signature
        if signature.columns:
            frame = of_rows.frame(tables, signature.columns)
            missing = [name for name in signature.names if name not in frame]
            return frame.assign(**dict.fromkeys(missing))[signature.names] if missing else frame
        return pd.DataFrame(of_rows.matrix(tables, np.dtype(signature.tensor[0] if signature.tensor else float)))

    def _find_background(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return the rows that stand for what is not known: the model's example, or the first rows that were asked."""
        with self._lock:
            if self._background is None:
                example = rehearsal.read(self._model)
                self._background = (self._frame([example]) if example else frame)[:BACKGROUND]
            return self._background

    def _permute(self, frame: pd.DataFrame, background: pd.DataFrame) -> Explained:
        model, until = self._model, time.monotonic() + self._seconds
        method = "predict_proba" if "predict_proba" in model.methods else model.default[0]

        def check() -> None:
            if time.monotonic() > until:
                raise Refusal(504, f"the explanation took longer than {self._seconds:g} s: send fewer rows")

        def predict(rows: pd.DataFrame) -> np.ndarray:
            check()
            if model.signature.tensor:
                table = of_rows.Table(len(rows), block=rows.to_numpy(np.dtype(model.signature.tensor[0])))
            else:
                table = of_rows.Table(len(rows), frame=rows)
            found = np.asarray(model.predict([table], method, None))
            if found.dtype.kind not in "biuf" or found.ndim > 2 or len(found) != len(rows):  # noqa: PLR2004 -- a matrix
                raise Unexplained("it answers neither numbers nor probabilities")
            if model.classes and method != "predict_proba":
                raise Unexplained("it answers classes without probabilities")
            return np.asarray(found.reshape(len(rows), -1), float)

        classes = model.classes or []

        def of(at: int) -> str:
            return f"probability of class {classes[at]}" if method == "predict_proba" and at < len(classes) else "value"

        return methods.explain_by_permutations(predict, frame, background, of, check)

    def _encode_v2(self, found: Explained, names: list[str]) -> bytes:
        identity, rows = self._model.identity, len(found.base)

        def tensor(name: str, values: np.ndarray) -> dict[str, Any]:
            return {"name": name, "datatype": "FP64", "shape": list(values.shape), "data": values.ravel().tolist()}

        outputs = [
            tensor("contributions", found.contributions), tensor("base", found.base),
            tensor("prediction", found.prediction),
            {"name": "of", "datatype": "BYTES", "shape": [rows], "data": found.of},
        ]  # fmt: skip
        answer = {"model_name": identity.name, "model_version": identity.version, "outputs": outputs}
        return msgspec.json.encode(answer | {"parameters": {"method": found.method, "columns": ",".join(names)}})


def _encode(found: Explained, names: list[str]) -> bytes:
    listed = [
        {
            "of": of, "base": base, "prediction": prediction,
            "contributions": dict(zip(names, values, strict=True)),
        }
        for of, base, prediction, values in zip(
            found.of, found.base.tolist(), found.prediction.tolist(), found.contributions.tolist(), strict=True
        )
    ]  # fmt: skip
    return msgspec.json.encode({"method": found.method, "explanations": listed})
