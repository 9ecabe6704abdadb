"""Agents and chat models behind mlflow.pyfunc: which of them stream, and what they answer."""

from __future__ import annotations

import json
import warnings
from typing import TYPE_CHECKING, Any

import mlflow.pyfunc
import mlflow.sklearn
import pandas as pd
import pytest
from mlflow.exceptions import MlflowException
from mlflow.pyfunc.model import ChatAgent, ChatModel, PythonModel, ResponsesAgent
from mlflow.types.agent import ChatAgentMessage, ChatAgentResponse
from mlflow.types.llm import ChatCompletionChunk, ChatCompletionResponse
from mlflow.types.responses import ResponsesAgentResponse
from sklearn.preprocessing import StandardScaler

from scoring import loading, pyfunc
from scoring.bounds import Bounds
from scoring.errors import Refusal
from scoring.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from scoring.models.base import Model
    from tests.aliases import Json

CHAT = {"messages": [{"role": "user", "content": "so be it"}]}
USAGE = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}


class Chatter(ChatModel):
    """Chats, in pieces, too."""

    def predict(self, context: object, messages: Json, params: object) -> Json:  # type: ignore[override] # noqa: ARG002 -- MLflow's names
        """Return what was said."""
        message = {"role": "assistant", "content": messages[-1].content}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        whole: Json = {"id": "1", "model": "m", "choices": [choice], "usage": USAGE}
        return ChatCompletionResponse.from_dict(whole)  # type: ignore[no-untyped-call]

    def predict_stream(self, context: object, messages: Json, params: object) -> Iterator[Json]:  # type: ignore[override] # noqa: ARG002 -- the same
        """Yield the words."""
        for word in messages[-1].content.split():
            piece: Json = {"id": "1", "model": "m", "choices": [{"index": 0, "delta": {"content": word}}]}
            yield ChatCompletionChunk.from_dict(piece)  # type: ignore[no-untyped-call]


class Listener(ChatAgent):
    """Chats, and cannot stream."""

    def predict(self, messages: Json, context: object = None, custom_inputs: Json = None) -> ChatAgentResponse:  # type: ignore[override] # noqa: ARG002 -- MLflow's names
        """Return what was said."""
        return ChatAgentResponse(messages=[ChatAgentMessage(role="assistant", content=messages[-1].content, id="1")])


class Mute(ResponsesAgent):
    """Answers, and cannot stream."""

    def predict(self, request: Json) -> ResponsesAgentResponse:  # type: ignore[override]
        """Return nothing."""
        return ResponsesAgentResponse(output=[], custom_outputs=request.custom_inputs)


class Speller(PythonModel):
    """Any Python model may stream."""

    def predict(self, context: object, model_input, params: object = None) -> str:  # type: ignore[no-untyped-def] # noqa: ANN001, ARG002 -- a type here would be taken for a signature
        """Return the prompt."""
        return str(model_input["prompt"])

    def predict_stream(self, context: object, model_input, params: object = None) -> Iterator[str]:  # type: ignore[no-untyped-def] # noqa: ANN001, ARG002 -- the same
        """Yield its letters."""
        yield from str(model_input["prompt"])


def save(folder: Path, python_model: PythonModel) -> None:
    """Save a model."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mlflow.tracing.disable()
        mlflow.pyfunc.save_model(str(folder / "m"), python_model=python_model, pip_requirements=[])


def load(folder: Path, python_model: PythonModel) -> Model:
    """Save a model, and load it as the server does."""
    save(folder, python_model)
    return loading.load(Settings(folder / "m", check_libraries="off"))


def ask(model: Model, body: Json) -> tuple[Any, bool]:
    """Return the data of a body, and whether the answer is bare."""
    data, _, bare = model.parse(json.dumps(body).encode(), "application/json", Bounds())
    return data, bare


def test_a_chat_model_streams(tmp_path: Path) -> None:
    """Its chunks are MLflow's, and so is its answer."""
    model = load(tmp_path, Chatter())
    data, bare = ask(model, {**CHAT, "stream": True})
    chunks = list(model.predict_stream(data, None))
    answer = model.predict_data(ask(model, CHAT)[0], "predict", None)

    assert (model.task, model.streams, bare) == ("agent/v1/chat", True, True)
    assert [chunk["choices"][0]["delta"]["content"] for chunk in chunks] == ["so", "be", "it"]
    assert answer["choices"][0]["message"]["content"] == "so be it"


@pytest.mark.parametrize(
    ("python_model", "task", "body"),
    [(Listener(), "agent/v2/chat", CHAT), (Mute(), "agent/v1/responses", {"input": CHAT["messages"]})],
    ids=["ChatAgent", "ResponsesAgent"],
)
def test_an_agent_without_predict_stream_refuses_streams(
    python_model: PythonModel, task: str, body: Json, tmp_path: Path
) -> None:
    """MLflow marks all agents as streamable; one that only has MLflow's own method, which raises, is not."""
    model = load(tmp_path, python_model)
    with pytest.raises(Refusal) as refusal:
        ask(model, {**body, "stream": True})

    assert (model.task, model.streams) == (task, False)
    assert (refusal.value.status, "no predict_stream" in refusal.value.message) == (400, True)
    assert model.predict_data(ask(model, {**body, "stream": False})[0], "predict", None) is not None


def test_any_python_model_may_stream(tmp_path: Path) -> None:
    """One without a task or a signature gets the body as it is."""
    model = load(tmp_path, Speller())
    data, bare = ask(model, {"prompt": "abc", "stream": True})

    assert (model.task, model.streams, bare) == ("", True, True)
    assert list(model.predict_stream(data, None)) == ["a", "b", "c"]


class Picky(PythonModel):
    """Takes any text but one."""

    def predict(self, model_input: pd.DataFrame) -> pd.Series[str]:  # type: ignore[override]
        """Raise for "no"."""
        if "no" in model_input["a"].tolist():
            raise MlflowException("not that one")
        return model_input["a"]


@pytest.mark.parametrize(
    ("value", "words"),
    [("no", "the model cannot predict these rows"), (5, "the body does not match the model's signature")],
)
def test_who_refuses_a_body_is_told(
    value: object, words: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The model's own code, with the place in the log, or MLflow's checks of the signature; neither in its words."""
    rows = pd.DataFrame({"a": ["yes"]})
    mlflow.pyfunc.save_model(str(tmp_path / "m"), python_model=Picky(), input_example=rows, pip_requirements=[])
    model = loading.load(Settings(tmp_path / "m", check_libraries="off"))
    with pytest.raises(Refusal) as refusal:
        model.predict_data(pd.DataFrame({"a": [value]}), "predict", None)

    assert refusal.value.message == words
    assert ("the model raised MlflowException at " in caplog.text) is (value == "no")
    assert "not that one" not in caplog.text


def test_a_transformer_is_loaded(tmp_path: Path) -> None:
    """MLflow saves a model whose `pyfunc_predict_fn` is transform, and does not load it."""
    options = {"pyfunc_predict_fn": "transform", "pip_requirements": []}
    rows = pd.DataFrame({"a": [1.0, 3.0]})
    mlflow.sklearn.save_model(StandardScaler().fit(rows), str(tmp_path / "m"), **options)

    assert pyfunc.load(str(tmp_path / "m")).predict(rows).tolist() == [[-1.0], [1.0]]


@pytest.mark.parametrize("is_set", [False, True], ids=["no store", "a store"])
def test_traces_need_a_store(*, is_set: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without MLFLOW_TRACKING_URI no trace is recorded: MLflow would make a database in the server's folder."""
    save(tmp_path, Mute())
    disabled: list[bool] = []
    monkeypatch.setattr(mlflow.tracing, "disable", lambda: disabled.append(True))
    monkeypatch.setattr(mlflow.tracking, "is_tracking_uri_set", lambda: is_set)
    loading.load(Settings(tmp_path / "m", check_libraries="off"))

    assert disabled == ([] if is_set else [True])
