"""The agent, as code: answers questions about a library, whole or word by word, around a fake model of a language."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import mlflow
from mlflow.pyfunc import PythonModelContext, ResponsesAgent
from mlflow.types.responses import ResponsesAgentRequest, ResponsesAgentResponse, ResponsesAgentStreamEvent

UNKNOWN = "I do not know that. Please ask at the desk."


class FakeLanguageModel:
    """Stands where a language model would: it picks the fact that shares most words with the question. Offline."""

    def __init__(self, facts: dict[str, str]) -> None:
        self._facts = facts

    def generate(self, question: str) -> Iterator[str]:
        """Yield the answer in pieces, as a language model does."""
        asked = _find_words(question)
        shared = {key: len(asked & _find_words(f"{key} {fact}")) for key, fact in self._facts.items()}
        best = max(shared, key=lambda key: shared[key])
        yield from re.findall(r"\S+\s*", self._facts[best] if shared[best] else UNKNOWN)


class LibraryAgent(ResponsesAgent):
    """Answers the last message of a conversation."""

    def load_context(self, context: PythonModelContext) -> None:
        """Read the facts."""
        facts = json.loads(Path(context.artifacts["facts"]).read_text(encoding="utf-8"))
        self._model = FakeLanguageModel(facts)

    def predict(self, request: ResponsesAgentRequest) -> ResponsesAgentResponse:
        """Return the whole answer."""
        events = self.predict_stream(request)
        items = [event.item for event in events if event.type == "response.output_item.done"]
        return ResponsesAgentResponse(output=items, custom_outputs=request.custom_inputs)

    def predict_stream(self, request: ResponsesAgentRequest) -> Iterator[ResponsesAgentStreamEvent]:
        """Yield the answer word by word, then as a whole."""
        text, number = "", "msg_1"
        for piece in self._model.generate(_read_question(request)):
            text += piece
            yield ResponsesAgentStreamEvent(**self.create_text_delta(delta=piece, item_id=number))
        item = self.create_text_output_item(text=text, id=number)
        yield ResponsesAgentStreamEvent(type="response.output_item.done", item=item)


def _read_question(request: ResponsesAgentRequest) -> str:
    """Return the text of the user's last message, which is a string or a list of parts."""
    for message in reversed([item.model_dump() for item in request.input]):
        if message.get("role") == "user":
            content = message.get("content") or ""
            return content if isinstance(content, str) else " ".join(part.get("text", "") for part in content)
    return ""


def _find_words(text: str) -> set[str]:
    """Return the words of a text of at least four letters, without endings."""
    return {word.rstrip("s")[:6] for word in re.findall(r"[a-z]{4,}", text.lower())}


mlflow.models.set_model(LibraryAgent())
