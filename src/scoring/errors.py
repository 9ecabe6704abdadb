"""Why a request cannot be answered, for its caller, and why a model cannot be served, for the operator."""

from __future__ import annotations

import logging
import traceback

import msgspec

CODES = {
    400: "BAD_REQUEST",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    405: "METHOD_NOT_ALLOWED",
    408: "REQUEST_TIMEOUT",
    413: "REQUEST_TOO_LARGE",
    415: "UNSUPPORTED_MEDIA_TYPE",
    500: "INTERNAL_ERROR",
    501: "NOT_IMPLEMENTED",
    503: "TEMPORARILY_UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}

logger = logging.getLogger("scoring")
DATES = "datetime; send text such as 2024-01-31T12:00:00Z, not a number"


class Refusal(Exception):  # it is an answer, not an error of ours
    """A request that is not answered with predictions: the HTTP status and words for the caller.

    The words never hold the caller's values, nor anything of the server's inside: both would end in logs and replies.
    """

    def __init__(self, status: int, message: str, headers: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = headers

    def body(self) -> bytes:
        """Return the JSON body, in the form that MLflow's clients know."""
        return msgspec.json.encode({"error_code": CODES.get(self.status, "BAD_REQUEST"), "message": self.message})


class ColumnsRefusal(Refusal):
    """A refusal for the columns of a table, whatever its rows are."""


class ValueRefusal(Refusal):
    """A refusal for one value: `row` counts from 1, and `value` is for the caller's own screen, not for a server's."""

    def __init__(self, column: str, kind: str, row: int, value: str) -> None:
        super().__init__(400, f"column {column} contains a value that is not a valid {kind}, in row {row}")
        self.column, self.kind, self.row, self.value = column, kind, row, value


class ModelError(Exception):
    """A model folder that cannot be served; the words are one line for the operator."""


def bad(message: str) -> Refusal:
    """Return a refusal with status 400."""
    return Refusal(400, message)


def lacking(names: list[str]) -> Refusal:
    """Return the refusal of a table that lacks columns."""
    return ColumnsRefusal(400, f"columns that the model needs are missing: {', '.join(names)}")


def not_predicted(error: BaseException, where: str = "") -> Refusal:
    """Log what a model raised, and where, without its words, and return the refusal for the caller."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    logger.warning("the model raised %s at %s:%s%s", type(error).__name__, last.filename, last.lineno, where)
    return bad("the model cannot predict these rows")


def full() -> Refusal:
    """Return the refusal of a server that holds as many bytes of requests as it may."""
    return Refusal(503, "the server has no memory left for this body", (("Retry-After", "1"),))
