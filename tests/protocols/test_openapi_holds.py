"""What the OpenAPI document promises, tried with right and wrong requests that schemathesis makes from it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest
import schemathesis
from hypothesis import HealthCheck
from schemathesis import CheckContext, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.protocols.conftest import tensor

if TYPE_CHECKING:
    from tests.aliases import Json
    from tests.protocols.conftest import Client

NOT_IMPLEMENTED = 501  # what a model that cannot be explained is answered with, as promised


def no_failure(context: CheckContext, response: schemathesis.Response, case: schemathesis.Case[Any]) -> bool | None:
    """Take no answer of a failure."""
    return None if response.status_code == NOT_IMPLEMENTED else not_a_server_error(context, response, case)


CHECKS = [no_failure, status_code_conformance, content_type_conformance, response_schema_conformance]
EXAMPLES = 25  # an operation
KINDS = ["numbers", "types", "classes", "untyped"]


def _read(client: Client) -> schemathesis.BaseSchema:
    return schemathesis.openapi.from_dict(json.loads(client.get("/openapi.json").body))


def _send(case: schemathesis.Case[Any], client: Client) -> schemathesis.Response:
    return case.call_and_validate(base_url=f"http://127.0.0.1:{client.port}", checks=CHECKS, timeout=30)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mode", GenerationMode)
def test_every_answer_is_promised(served: dict[str, Client], kind: str, mode: GenerationMode) -> None:
    """Whatever is sent, the answer is one that the document names, and no failure of the server."""
    client = served[kind]
    for result in _read(client).get_all_operations():
        assert isinstance(result, Ok), result
        operation = result.ok()
        if (
            mode is GenerationMode.POSITIVE or operation.path_parameters or operation.body
        ):  # else there is nothing to send wrongly
            _try(operation, mode, client)


def _try(operation: schemathesis.APIOperation[Any, Any, Any, Any], mode: GenerationMode, client: Client) -> None:
    @hypothesis.seed(1)
    @hypothesis.settings(max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @hypothesis.given(operation.as_strategy(generation_mode=mode))
    def send(case: schemathesis.Case[Any]) -> None:
        _send(case, client)

    send()


@pytest.mark.parametrize("kind", ["numbers", "classes"])
def test_the_examples_are_right(served: dict[str, Client], kind: str) -> None:
    """Every example in the document is answered with predictions, in the form that is promised."""
    client, schema = served[kind], _read(served[kind])
    operation = schema["/invocations"]["POST"]
    given = schema.raw_schema["paths"]["/invocations"]["post"]["requestBody"]["content"]
    cases = [
        operation.Case(body=each["value"], media_type="application/json")
        for each in given["application/json"]["examples"].values()
    ]

    assert len(cases) == 4
    assert {_send(case, client).status_code for case in cases} == {200}


@pytest.mark.parametrize("method", [None, "predict_proba"])
def test_inference_is_answered_as_promised(served: dict[str, Client], method: str | None) -> None:
    """Tensors are answered in the form that is promised."""
    operation = _read(served["classes"])["/v2/models/{name}/infer"]["POST"]
    body: Json = {"inputs": [tensor("rows", "FP64", [[1.0, 2.0]])], "parameters": {"method": method} if method else {}}
    case = operation.Case(body=body, media_type="application/json", path_parameters={"name": "classes"})

    assert _send(case, served["classes"]).status_code == 200
