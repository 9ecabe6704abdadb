"""Files that are sent as they are: each is a row of a model that takes one binary column.

As a form (multipart/form-data, RFC 7578), whose field `input` has one or several files, or as the whole body. All is
kept in memory; the body's bounds hold before a form is read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from multipart import MultipartSegment, ParserLimitReached, PushMultipartParser, parse_options_header

from scoring.errors import Refusal, bad

if TYPE_CHECKING:
    from scoring.bounds import Bounds

FIELD = "input"
PLAIN = ("binary", "8bit", "7bit")  # encodings that encode nothing: RFC 7578 has no others
FORM = b"multipart/form-data"
NO_FILES = (b"", b"application/x-www-form-urlencoded")  # what is sent by clients that were told of no type
WANTED = (
    f"send a file as form field {FIELD} (multipart/form-data), or as the body with its own content type, such as "
    "image/png or application/octet-stream; application/json takes base64"
)


def kind_of(content_type: bytes) -> bytes:
    """Return a content type without its parameters."""
    return content_type.partition(b";")[0].strip().lower()


def read(body: bytes, content_type: bytes, bounds: Bounds) -> list[bytes]:
    """Return the files of a body; raise Refusal for one that has none, or other things, or too many."""
    kind = kind_of(content_type)
    if kind == FORM:
        return _read_form(body, content_type, bounds)
    if kind in NO_FILES or kind.startswith(b"multipart/") or b"/" not in kind:
        raise Refusal(415, WANTED)
    if not body:
        raise bad("the body is empty: it must be a file")
    return [body]


def count_most(body: bytes, content_type: bytes) -> int:
    """Return how many files a body may have, at most: as often as the boundary's text is in it."""
    return body.count(_boundary(content_type)) if kind_of(content_type) == FORM else 1


def _boundary(content_type: bytes) -> bytes:
    boundary: str = parse_options_header(content_type.decode("latin-1"))[1].get("boundary", "")
    if not boundary:
        raise Refusal(415, "the content type multipart/form-data needs a boundary, which curl -F and browsers add")
    return boundary.encode("latin-1")


def _read_form(body: bytes, content_type: bytes, bounds: Bounds) -> list[bytes]:
    files: list[bytes] = []
    file = b""
    try:
        with PushMultipartParser(_boundary(content_type), max_segment_count=bounds.max_rows) as parser:
            for found in parser.parse(body):  # a part, then its content in one piece if it has any, then None
                if isinstance(found, MultipartSegment):
                    if found.name != FIELD:
                        raise bad(f"the form has a field other than {FIELD}, in which its files must be")
                    if found.header("Content-Transfer-Encoding", "binary").lower() not in PLAIN:
                        raise bad("a file of the form has a Content-Transfer-Encoding: its bytes must come as they are")
                    file = b""
                elif found is not None:
                    file = bytes(found)
                elif file:
                    files.append(file)
                else:
                    raise bad(f"the form's field {FIELD} has an empty file, or none was chosen")
    except ValueError as error:  # MultipartError is one, UnicodeDecodeError another
        error.__traceback__ = None  # its frames hold it, and the body, until garbage is collected
        if isinstance(error, ParserLimitReached):
            words = f"the form has more than {bounds.max_rows} files, or headers that are too large"
            raise Refusal(413, words) from None
        raise bad(
            "the body is not a complete multipart/form-data with the boundary that the content type names"
        ) from None
    if not files:
        raise bad(f"the form has no file: it must be in the field {FIELD}")
    return files
