"""The params of a request, checked by the model's params schema in MLflow's way."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from scoring.errors import bad

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlflow.types import ParamSchema

    from scoring.models.aliases import Json
    from scoring.models.signature import Signature


def checker(signature: Signature) -> Callable[[Any], object] | None:
    """Return a check that raises Refusal for params outside the signature; None if the signature has none."""
    if not signature.params:
        return None
    from mlflow.types import ParamSchema  # brings all of mlflow

    schema = ParamSchema.from_json(json.dumps(signature.params))
    return lambda given: enforce(given, schema)


def enforce(given: Json, schema: ParamSchema | None) -> dict[str, Any] | None:
    """Return what the model gets of a request's params; raise Refusal for those of a wrong type."""
    from mlflow.exceptions import MlflowException
    from mlflow.models.utils import _enforce_params_schema

    try:
        params: dict[str, Any] | None = _enforce_params_schema(given, schema)
    except MlflowException:
        raise bad("params do not match the model's signature") from None
    return params
