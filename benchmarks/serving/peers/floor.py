"""The floor and the constant.

One ASGI function on uvicorn that predicts from /invocations, or reads the body and answers a constant.

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
    """Load an estimator and return what answers a dataframe_split body; texts need a DataFrame, numbers do not."""
    import joblib  # the constant needs none of these
    import numpy as np
    import orjson

    estimator = joblib.load(path)

    def predict(body: bytes) -> bytes:
        split = orjson.loads(body)["dataframe_split"]
        if any(isinstance(value, str) for value in split["data"][0]):
            import pandas as pd

            rows = pd.DataFrame(split["data"], columns=split["columns"])
        else:
            rows = np.array(split["data"], dtype=np.float64)
        return orjson.dumps({"predictions": estimator.predict(rows).tolist()})

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
