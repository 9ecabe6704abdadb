"""Who may call, and what is seen from outside: keys, CORS, TLS, metrics, the access log."""

from __future__ import annotations

import json
import re
import subprocess
from typing import TYPE_CHECKING

import pytest
import requests

from tests.conftest import need
from tests.scoring.conftest import body, end, start, until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.aliases import Json
    from tests.scoring.test_start import Serve

ORIGIN = "https://a.example"


@pytest.mark.parametrize("flags", [[], ["--cors-origins", ORIGIN]], ids=["direct", "plain ASGI"])
def test_keys(flags: list[str], serve: Serve, folders: dict[str, Path], tmp_path: Path) -> None:
    """Only who has one of the keys may predict, read the model or the metrics; health and the page are open."""
    (tmp_path / "keys").write_text("# ours\nkey-1\n\n  key-2  \n")
    with serve(folders["one"], "--api-keys-file", str(tmp_path / "keys"), *flags) as server:
        right = [server.predict(1.0, Authorization=f"Bearer {key}") for key in ("key-1", "key-2")]
        right += [server.predict(1.0, X_API_Key="key-2")]
        wrong = [
            server.predict(1.0, **headers)
            for headers in ({}, {"X_API_Key": ""}, {"X_API_Key": "# ours"}, {"X_API_Key": "key-"})
        ]
        wrong += [server.predict(1.0, Authorization="Basic key-1")]
        wrong += [
            server.ask("GET", path)
            for path in ("/model.json", "/metrics", "/v2/models/model", "/openapi.json", "/none")
        ]
        opened = [
            server.ask("GET", path)
            for path in ("/", "/ping", "/health", "/livez", "/readyz", "/v2/health/ready", "/docs")
        ]
        model = server.ask("GET", "/model.json", X_API_Key="key-1")

    assert [answer.status for answer in right] == [200] * 3
    assert [(answer.status, answer.headers.get("www-authenticate")) for answer in wrong] == [(401, "Bearer")] * 10
    assert [answer.status for answer in opened] == [200] * 7
    assert model.json()["api_keys"] is True


@pytest.mark.parametrize("flags", [[], ["--cors-origins", ORIGIN]], ids=["direct", "plain ASGI"])
def test_hosts(flags: list[str], serve: Serve, folders: dict[str, Path]) -> None:
    """A page whose own host name points here (DNS rebinding) can read nothing of the server."""
    with serve(folders["one"], "--allowed-hosts", "api.example.com", *flags) as server:
        ours = [
            server.predict(1.0, Host=host).status
            for host in ("localhost", "api.example.com:8001", "host.docker.internal")
        ]
        paths = ("/", "/model.json", "/readyz", "/metrics", "/v2/models/model", "/none")
        strangers = [
            server.predict(1.0, Host="evil.example"),
            *(server.ask("GET", path, Host="evil.example:8001") for path in paths),
        ]
    with serve(folders["one"], *flags, KUBERNETES_SERVICE_HOST="10.0.0.1") as pod:
        in_pod = pod.predict(1.0, Host="any.example")

    assert ours == [200] * 3
    assert [answer.status for answer in strangers] == [403] * 7
    assert in_pod.json() == {"predictions": [1.0]}


def test_cors(serve: Serve, folders: dict[str, Path]) -> None:
    """Only pages of the given origins may read answers; without the setting, none."""
    preflight = {"Access_Control_Request_Method": "POST", "Access_Control_Request_Headers": "content-type,x-api-key"}
    with serve(folders["one"]) as server:
        closed = [server.predict(1.0, Origin=ORIGIN), server.ask("OPTIONS", "/invocations", Origin=ORIGIN, **preflight)]
    with serve(folders["one"], "--cors-origins", f"{ORIGIN}, https://b.example") as server:
        opened = [
            server.predict(1.0, Origin=ORIGIN), server.ask("OPTIONS", "/invocations", Origin=ORIGIN, **preflight),
            server.ask("GET", "/model.json", Origin=ORIGIN), server.ask("POST", "/invocations", b"{", Origin=ORIGIN),
        ]  # fmt: skip
        other = server.predict(1.0, Origin="https://c.example")

    assert not any(name == "access-control-allow-origin" for answer in [*closed, other] for name in answer.headers)
    assert [answer.status for answer in opened] == [200, 200, 200, 400]
    assert {answer.headers.get("access-control-allow-origin") for answer in opened} == {ORIGIN}


def test_keys_and_cors(serve: Serve, folders: dict[str, Path], tmp_path: Path) -> None:
    """A browser's preflight, which cannot carry a key, is answered without one; its request is not."""
    (tmp_path / "keys").write_text("key-1\n")
    with serve(folders["one"], "--cors-origins", ORIGIN, "--api-keys-file", str(tmp_path / "keys")) as server:
        preflight = server.ask("OPTIONS", "/invocations", Origin=ORIGIN, Access_Control_Request_Method="POST")
        refused = server.predict(1.0, Origin=ORIGIN)

    assert preflight.status == 200
    assert (refused.status, refused.headers.get("access-control-allow-origin")) == (401, ORIGIN)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_tls(workers: str, folders: dict[str, Path], tmp_path: Path) -> None:
    """With a certificate the server speaks https, and nothing else."""
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "key.pem", "-out", "cert.pem"]
    try:
        subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    except FileNotFoundError:
        need("openssl", present=False, cure="install openssl")
    flags = ["--tls-cert", str(tmp_path / "cert.pem"), "--tls-key", str(tmp_path / "key.pem"), "--workers", workers]
    server = start(folders["one"], tmp_path, *flags)

    def ask() -> Json:
        url = f"https://127.0.0.1:{server.port}/invocations"
        try:
            return requests.post(
                url,
                body(5.0),
                headers={"Content-Type": "application/json"},
                verify=str(tmp_path / "cert.pem"),
                timeout=30,
            ).json()
        except requests.ConnectionError:
            return None

    try:
        assert until(ask, "https") == {"predictions": [5.0]}
        assert not server.is_ready()
        assert ask()
    finally:
        end(server)


def test_docs_off(serve: Serve, folders: dict[str, Path]) -> None:
    """--docs off closes the page, the documentation and the description of the API; nothing else."""
    with serve(folders["one"], "--docs", "off") as server:
        closed = [server.ask("GET", path).status for path in ("/", "/docs", "/openapi.json", "/model.json")]

        assert closed == [404] * 4
        assert server.predict(1.0).status == 200


@pytest.mark.parametrize("flags", [[], ["--cors-origins", ORIGIN]], ids=["direct", "plain ASGI"])
def test_metrics_and_log(flags: list[str], serve: Serve, folders: dict[str, Path]) -> None:
    """Counters are exact, histograms add up; each prediction has one line in the access log, and each answer an id."""
    identity = json.dumps({"name": 'wine "x"', "version": "3", "run": "r"})
    with serve(folders["one"], "--identity", identity, *flags) as server:
        before = server.metrics()
        answers = [
            server.predict(1.0, X_Request_Id="mine-1"), server.predict(2.0, X_Request_Id='"\\ not plain'),
            server.predict(3.0),
            server.ask("POST", "/invocations", b"{", X_Request_Id="bad-1"),
            server.ask("POST", "/invocations", b"", Content_Type="text/html"),
            server.ask("POST", "/invocations", b"a,b,c\n1.0,2.0,3.0\n4.0,5.0,6.0\n", Content_Type="text/csv"),
            server.ask("GET", "/none", X_Request_Id="g/1"),
        ]  # fmt: skip
        after = server.metrics()
        until(lambda: len(server.lines()) == 6, "the log")
        lines = server.lines()
    change = {name: value - before.get(name, 0) for name, value in after.items()}
    ids = [answer.headers["x-request-id"] for answer in answers]

    assert {name: change[f"scoring_requests_total[{name}]"] for name in ("200", "400", "415", "500")} == {
        "200": 4, "400": 1, "415": 1, "500": 0,
    }  # fmt: skip
    assert (change["scoring_rows_total"], change["scoring_in_flight"], change["scoring_waiting"]) == (5, 0, 0)
    assert (
        change["scoring_request_duration_seconds_bucket[+Inf]"],
        change["scoring_request_duration_seconds_count"],
    ) == (6, 6)
    assert (
        change["scoring_batch_rows_count"],
        change["scoring_batch_rows_sum"],
        change["scoring_batch_rows_bucket[1.0]"],
    ) == (4, 5, 3)
    assert [after[name] for name in after if name.startswith("scoring_model_info") and 'wine "x"' in name] == [1]
    for name in ("scoring_request_duration_seconds", "scoring_batch_rows", "scoring_predict_duration_seconds"):
        buckets = [value for key, value in after.items() if key.startswith(f"{name}_bucket")]
        assert buckets == sorted(buckets)
    assert (ids[0], ids[3], ids[6]) == ("mine-1", "bad-1", "g/1")
    assert len(set(ids)) == 7
    assert all(re.fullmatch(r"[\w.:/+=@-]{1,128}", given) for given in ids)
    assert [line["request_id"] for line in lines] == ids[:6]
    assert [(line["code"], line["rows"]) for line in lines] == [
        (200, 1),
        (200, 1),
        (200, 1),
        (400, 0),
        (415, 0),
        (200, 2),
    ]
    assert all(
        (line["model"], line["version"], line["path"]) == ('wine "x"', "3", "/invocations") and line["ms"] >= 0
        for line in lines
    )
    assert {(answer.headers["x-model-name"], answer.headers["x-model-version"]) for answer in answers} == {
        ('wine "x"', "3")
    }


def test_quiet(serve: Serve, folders: dict[str, Path]) -> None:
    """--access-log off writes nothing, SIGTERM included."""
    with serve(folders["one"], "--access-log", "off") as server:
        server.predict(1.0)
        server.stop()

        assert server.out.read_text() == ""
