"""The floor and the constant.

One ASGI function on uvicorn that predicts from dataframe_split or from v2 tensors, or reads the body and answers a
constant.

Start it with floor.py MODEL PORT, or with floor.py constant PORT.
"""

import sys
from collections.abc import Awaitable, Callable
from typing import Any

import uvicorn

CONSTANT = b'{"predictions":[152.13348416289594]}'
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


def make_predict(path: str) -> Callable[[bytes], bytes]:
    """Load an estimator and return what answers a body; texts need a DataFrame, numbers do not."""
    import joblib  # the constant needs none of these
    import numpy as np
    import orjson

    estimator = joblib.load(path)

    def read_split(split: dict[str, Any]) -> Any:
        if any(isinstance(value, str) for value in split["data"][0]):
            import pandas as pd

            return pd.DataFrame(split["data"], columns=split["columns"])
        return np.array(split["data"], dtype=np.float64)

    def read_tensors(inputs: list[dict[str, Any]]) -> Any:
        if any(each["datatype"] == "BYTES" for each in inputs):
            import pandas as pd

            return pd.DataFrame({each["name"]: each["data"] for each in inputs})
        return np.hstack([np.array(each["data"], dtype=np.float64).reshape(each["shape"]) for each in inputs])

    def predict(body: bytes) -> bytes:
        given = orjson.loads(body)
        if "inputs" not in given:
            return orjson.dumps({"predictions": estimator.predict(read_split(given["dataframe_split"])).tolist()})
        found = estimator.predict(read_tensors(given["inputs"]))
        kind = "FP64" if found.dtype.kind == "f" else "INT64"
        output = {"name": "predict", "datatype": kind, "shape": list(found.shape), "data": found.tolist()}
        return orjson.dumps({"model_name": "bench", "outputs": [output]})

    return predict


def make_app(predict: Callable[[bytes], bytes]) -> Callable[[dict[str, Any], Receive, Send], Awaitable[None]]:
    """Return the ASGI function."""

    async def app(scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        parts, more = [], True
        while more:
            message = await receive()
            parts.append(message.get("body", b""))
            more = message.get("more_body", False)
        body = predict(b"".join(parts))
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return app


if __name__ == "__main__":
    model, port = sys.argv[1:]
    answer = (lambda _: CONSTANT) if model == "constant" else make_predict(model)
    uvicorn.run(
        make_app(answer),
        port=int(port),
        loop="uvloop",
        http="httptools",
        lifespan="off",
        access_log=False,
        log_level="warning",
    )
