"""Cases about HTTP: content types, methods, paths, bodies in chunks."""

from __future__ import annotations

import gzip
import json

from tests.contract.case import CSV, JSON, PARQUET, Case

BODY = json.dumps({"dataframe_split": {"columns": ["a", "b", "s"], "data": [[0.5, 2, "x"]]}}).encode()
TYPES = {
    "json": JSON,
    "json, charset": f"{JSON}; charset=utf-8",
    "json, charset in capitals": f"{JSON}; charset=UTF-8",
    "json, no space": f"{JSON};charset=utf-8",
    "json, spaces": f"  {JSON} ;  charset=utf-8 ",
    "json, quoted charset": f'{JSON}; charset="utf-8"',
    "json, utf8": f"{JSON}; charset=utf8",
    "json, latin-1": f"{JSON}; charset=latin-1",
    "json, charset empty": f"{JSON}; charset=",
    "json, charset twice": f"{JSON}; charset=latin-1; charset=utf-8",
    "json, CHARSET": f"{JSON}; CHARSET=utf-8",
    "json, spaces around =": f"{JSON}; charset = utf-8",
    "json, space after =": f"{JSON}; charset= utf-8",
    "json, semicolon": f"{JSON};",
    "json, format": f"{JSON}; format=pandas-split",
    "json, hemlock": f"{JSON}; hemlock=31337",
    "json, capitals": "Application/JSON",
    "json, problem": "application/problem+json",
    "json, vendor": "application/vnd.api+json",
    "json and csv": f"{JSON}, {CSV}",
    "text/json": "text/json",
    "text/plain": "text/plain",
    "text/hemlock": "text/hemlock",
    "form": "application/x-www-form-urlencoded",
    "multipart": "multipart/form-data; boundary=hemlock",
    "octet-stream": "application/octet-stream",
    "any": "*/*",
    "empty": "",
    "only charset": "; charset=utf-8",
    "umlaut": "application/jsön",
    "none": None,
}
METHODS = ("GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW")
PATHS = {
    "ping": ("GET", "/ping"),
    "health": ("GET", "/health"),
    "version": ("GET", "/version"),
    "ping with a query": ("GET", "/ping?hemlock=1"),
    "HEAD ping": ("HEAD", "/ping"),
    "POST ping": ("POST", "/ping"),
    "POST health": ("POST", "/health"),
    "POST version": ("POST", "/version"),
    "OPTIONS ping": ("OPTIONS", "/ping"),
    "unknown path": ("GET", "/hemlock"),
    "POST unknown path": ("POST", "/hemlock"),
    "POST root": ("POST", "/"),
    "PING": ("GET", "/PING"),
    "two slashes": ("POST", "//invocations"),
    "trailing slash": ("POST", "/invocations/"),
    "trailing slash, ping": ("GET", "/ping/"),
    "below": ("POST", "/invocations/hemlock"),
    "escaped path": ("POST", "/invoc%61tions"),
    "query": ("POST", "/invocations?hemlock=31337"),
    "dots": ("GET", "/../ping"),
    "absolute": ("POST", "http://hemlock.example/invocations"),
}
HEADERS = {
    "accept csv": {"Accept": "text/csv"},
    "accept nothing known": {"Accept": "hemlock/31337"},
    "many headers": {f"X-Hemlock-{at}": "31337" for at in range(50)},
    "says gzip, is none": {"Content-Encoding": "gzip"},
    "expect": {"Expect": "100-continue"},
    "close": {"Connection": "close"},
    "origin": {"Origin": "http://hemlock.example"},
}
CASES = [
    *(Case("A", f"type {name}", BODY, kind) for name, kind in TYPES.items()),
    *(Case("A", f"type none, {name}", body, None) for name, body in {"empty": b"", "csv": b"a,b,s\n0.5,2,x\n"}.items()),
    *(Case("A", f"{kind}, empty body", b"", kind) for kind in (JSON, CSV, PARQUET)),
    *(
        Case("A", f"{method} invocations", BODY if method in {"PUT", "PATCH"} else b"", method=method)
        for method in METHODS
    ),
    *(
        Case("A", name, BODY if method == "POST" else b"", method=method, path=path)
        for name, (method, path) in PATHS.items()
    ),
    *(Case("A", name, BODY, headers=headers) for name, headers in HEADERS.items()),
    Case("A", "gzip", gzip.compress(BODY)),
    Case("A", "gzip, said", gzip.compress(BODY), headers={"Content-Encoding": "gzip"}),
    Case("A", "csv, charset", b"a,b,s\n0.5,2,x\n", "text/csv; charset=utf-8"),
    Case("A", "csv, latin-1", b"a,b,s\n0.5,2,\xe9\n", "text/csv; charset=iso-8859-1"),
    Case("A", "csv, header parameter", b"a,b,s\n0.5,2,x\n", "text/csv; header=present"),
    Case("A", "in chunks", [BODY[:10], BODY[10:]]),
    Case("A", "in chunks of a byte", [BODY[at : at + 1] for at in range(len(BODY))]),
    Case("A", "in chunks, wrong", [BODY[:10], b"hemlock"]),
    Case("A", "in no chunk", []),
]  # fmt: skip
