"""Files that are sent as they are: as a form, or as the whole body."""

from __future__ import annotations

import pytest

from scoring.bounds import Bounds
from scoring.errors import Refusal
from scoring.transfer import uploads

TYPE = b"multipart/form-data; boundary=cut"
PNG = b"\x89PNG\r\n\x1a\n\x00--cu\r\n--cu\r\n\xff"  # with what almost is a boundary


def part(content: bytes, name: bytes = b'name="input"; filename="a.png"', more: bytes = b"") -> bytes:
    """Return a part of a form."""
    return b"--cut\r\nContent-Disposition: form-data; %s\r\n%s\r\n%s\r\n" % (name, more, content)


def form(*parts: bytes) -> bytes:
    """Return a form of parts."""
    return b"".join(parts) + b"--cut--\r\n"


@pytest.mark.parametrize(
    ("body", "kind", "files"),
    [
        (PNG, b"image/png", [PNG]),
        (b"\x00", b"application/octet-stream", [b"\x00"]),
        (b"text", b"Text/Plain; charset=latin-1", [b"text"]),
        (form(part(PNG)), TYPE, [PNG]),
        (form(part(b"a"), part(PNG), part(b"a")), b'Multipart/Form-Data;boundary="cut"', [b"a", PNG, b"a"]),
        (form(part(b"a", b'name="input"')), TYPE, [b"a"]),
        (form(part(b"a", b"filename*=UTF-8''%C3%A9; name=input", b"Content-Type: image/png\r\n")), TYPE, [b"a"]),
        (b"preamble\r\n" + form(part(b"\r\n")) + b"epilogue", TYPE, [b"\r\n"]),
    ],
    ids=["a body", "a byte", "a text", "a form", "several", "without a file name", "more headers", "around it"],
)
def test_files_are_read_as_they_are(body: bytes, kind: bytes, files: list[bytes]) -> None:
    """A file comes out to the byte."""
    assert uploads.read(body, kind, Bounds()) == files
    assert uploads.count_most(body, kind) >= len(files)


@pytest.mark.parametrize(
    ("body", "kind", "status", "words"),
    [
        (b"a", b"", 415, "with its own content type"),
        (b"a", b"application/x-www-form-urlencoded", 415, "as form field input"),
        (b"a", b"multipart/mixed; boundary=cut", 415, "multipart/form-data"),
        (b"a", b"png", 415, "image/png"),
        (b"", b"image/png", 400, "the body is empty"),
        (form(part(b"a")), b"multipart/form-data", 415, "needs a boundary"),
        (form(part(b"a")), b"multipart/form-data; boundary=", 415, "needs a boundary"),
        (form(part(b"a")), b"multipart/form-data; boundary=other", 400, "not a complete"),
        (form(part(b"a"))[:-6], TYPE, 400, "not a complete"),
        (b"--cut\r\n\r\na\r\n--cut--\r\n", TYPE, 400, "not a complete"),
        (b"--cut\nContent-Disposition: form-data; name=input\n\na\n--cut--", TYPE, 400, "not a complete"),
        (form(part(b"a", b'name="\xff\xfe"')), TYPE, 400, "not a complete"),
        (b"\xff" * 100, TYPE, 400, "not a complete"),
        (b"", TYPE, 400, "not a complete"),
        (form(), TYPE, 400, "the form has no file"),
        (form(part(b"", b'name="input"; filename=""')), TYPE, 400, "or none was chosen"),
        (form(part(b"a"), part(b"")), TYPE, 400, "or none was chosen"),
        (form(part(b"a", b'name="file"; filename="a"')), TYPE, 400, "a field other than input"),
        (form(part(b"a"), part(b"a", b'name="secret"')), TYPE, 400, "a field other than input"),
        (form(part(b"YQ==", more=b"Content-Transfer-Encoding: base64\r\n")), TYPE, 400, "must come as they are"),
        (form(*[part(b"a")] * 4), TYPE, 413, "more than 3 files"),
        (form(part(b"a", more=b"X: " + b"x" * 5000 + b"\r\n")), TYPE, 413, "headers that are too large"),
        (form(part(b"a", more=b"X: x\r\n" * 50)), TYPE, 413, "headers that are too large"),
    ],
    ids=lambda value: value.decode("latin-1")[:30] if isinstance(value, bytes) else str(value),
)
def test_what_is_no_file_is_refused(body: bytes, kind: bytes, status: int, words: str) -> None:
    """It is refused in words that never hold the caller's."""
    with pytest.raises(Refusal) as refusal:
        uploads.read(body, kind, Bounds(max_rows=3))

    assert (refusal.value.status, words in refusal.value.message) == (status, True), refusal.value.message
    assert "secret" not in refusal.value.message
