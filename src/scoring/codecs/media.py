"""What bodies and answers are: their media types, and an answer that is ready to be sent."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from scoring.errors import Refusal

if TYPE_CHECKING:
    from types import ModuleType

JSON, CSV, PARQUET = b"application/json", b"text/csv", b"application/vnd.apache.parquet"
BINARY = b"application/octet-stream"  # of an answer with binary tensors
Encoded = tuple[bytes, bytes, tuple[tuple[bytes, bytes], ...]]  # body, content type, further headers


def parquet() -> ModuleType:
    """Return the codec of Parquet; raise Refusal (415) where pyarrow is not installed."""
    try:
        from scoring.codecs import parquet_body
    except ModuleNotFoundError as error:
        if error.name != "pyarrow":
            raise
        words = "this server does not read Parquet: send JSON or CSV, or have the model served with PARQUET=1"
        raise Refusal(415, words) from None
    return parquet_body


def is_table(content_type: bytes) -> bool:
    """Whether a body has a type that `media_type` knows, whatever its parameters."""
    return content_type.partition(b";")[0].strip() in {JSON, CSV, PARQUET}


@lru_cache(64)
def media_type(content_type: bytes) -> bytes:
    """Return the media type of a request: JSON, CSV or PARQUET; raise Refusal (415) for others, as MLflow does."""
    kind, *parameters = [part.strip() for part in content_type.split(b";")]
    given = {name: value for name, _, value in (each.partition(b"=") for each in parameters)}
    if given.pop(b"charset", b"utf-8").lower() != b"utf-8":
        raise Refusal(415, "the server accepts only UTF-8")
    if given:
        raise Refusal(415, "the content type has an unknown parameter; only charset is allowed")
    for known in (JSON, CSV, PARQUET):
        if kind == known:
            return known
    raise Refusal(415, "the content type must be application/json, text/csv or application/vnd.apache.parquet")
