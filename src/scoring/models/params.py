"""The params of a request, checked by the model's params schema in MLflow's way."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from scoring.errors import bad

if TYPE_CHECKING:
    from collections.abc import Callable

    from scoring.models.signature import Signature


def checker(signature: Signature) -> Callable[[Any], object] | None:
    """Return a check that raises Refusal for params outside the signature; None if the signature has none."""
    if not signature.params:
        return None
    from mlflow.types import ParamSchema  # noqa: PLC0415 -- brings all of mlflow

    schema = ParamSchema.from_json(json.dumps(signature.params))
    return lambda given: enforce(given, schema)


def enforce(given: Any, schema: Any) -> dict[str, Any] | None:  # noqa: ANN401 -- any JSON, and MLflow's schema or None
    """Return what the model gets of a request's params; raise Refusal for those of a wrong type."""
    from mlflow.exceptions import MlflowException  # noqa: PLC0415 -- as above
    from mlflow.models.utils import _enforce_params_schema  # noqa: PLC0415 -- as above

    try:
        return _enforce_params_schema(given, schema)  # type: ignore[no-any-return]
    except MlflowException:
        raise bad("params are not what the model's signature says") from None
