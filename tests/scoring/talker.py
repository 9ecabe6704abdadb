"""An agent, saved as code, that streams the words it was sent; some words tell it what else to do."""

import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

from mlflow.models import set_model
from mlflow.pyfunc.model import ResponsesAgent
from mlflow.types.responses import ResponsesAgentRequest, ResponsesAgentResponse, ResponsesAgentStreamEvent

Json = Any  # an event
PIECE = 32 * 1024  # bytes of a chunk of a flood


class Talker(ResponsesAgent):
    """Answers `sleep=2` by waiting so many seconds, `flood=9` by so many large chunks, and `fail` by an error."""

    def predict(self, request: ResponsesAgentRequest) -> ResponsesAgentResponse:  # type: ignore[override]
        """Return what the stream ends with."""
        events = [event.model_dump() for event in self.predict_stream(request)]
        done = [event["item"] for event in events if event["type"] == "response.output_item.done"]
        return ResponsesAgentResponse(output=done, custom_outputs=request.custom_inputs)

    def predict_stream(  # type: ignore[override]
        self, request: ResponsesAgentRequest
    ) -> Generator[ResponsesAgentStreamEvent, None, None]:
        """Yield the words; note how many chunks were made in the file that custom_inputs names, at the end."""
        text, made = str(request.input[-1].model_dump()["content"]), 0
        try:
            for word in text.split():
                verb, _, number = word.partition("=")
                if verb == "fail":
                    raise ValueError("a secret of the model")
                if verb == "sleep":
                    time.sleep(float(number))
                for _ in range(int(number) if verb == "flood" else 1):
                    made += 1
                    delta = "x" * PIECE if verb == "flood" else word
                    yield ResponsesAgentStreamEvent(**self.create_text_delta(delta=delta, item_id="m1"))
            done: Json = {"type": "response.output_item.done", "item": self.create_text_output_item(text=text, id="m1")}
            yield ResponsesAgentStreamEvent(**done)
        finally:
            if witness := (request.custom_inputs or {}).get("witness"):
                Path(witness).write_text(str(made), encoding="utf-8")


set_model(Talker())
