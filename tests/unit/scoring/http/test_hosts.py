"""Names that the model server answers to."""

from __future__ import annotations

import pytest

from scoring.errors import Refusal
from scoring.http.hosts import Hosts

OURS = [
    "localhost", "LOCALHOST:8001", "localhost.:8001", "a.localhost", "127.0.0.1:8001", "10.1.2.3", "[::1]:8001",
    "[fe80::1]", "x", "slipway-live-8001:8080", "my_container", "host.docker.internal:8001", "model.slipway.svc",
    "model.slipway.svc.cluster.local:80",
]  # fmt: skip
STRANGERS = [
    "evil.example", "evil.example:8001", "localhost.evil.example", "127.0.0.1.evil.example", "127.0.0.1.nip.io",
    "model.dev", "evil.example.", "notlocalhost.example", "xinternal.example", "a@b.example", "[::1].evil.example",
    "evil.example/x",
    "api.example.com",
]  # fmt: skip


@pytest.mark.parametrize("host", OURS)
def test_local_names(host: str) -> None:
    """Addresses and names that no stranger can own are ours, whatever is listed besides."""
    assert Hosts("").allows(host)
    assert Hosts("api.example.com").allows(host)


@pytest.mark.parametrize("host", STRANGERS)
def test_other_names(host: str) -> None:
    """Other names are not ours, also when they look like ours."""
    assert not Hosts("").allows(host)


def test_listed_names() -> None:
    """Listed names are ours, with a star all that end so; a star alone is all."""
    hosts = Hosts("api.example.com, *.example.org")

    assert all(hosts.allows(name) for name in ("API.example.com:443", "a.b.example.org"))
    assert not any(hosts.allows(name) for name in ("example.org", "api.example.com.evil.example"))
    Hosts("*").check([(b"host", b"evil.example")])


def test_each_request_is_looked_at() -> None:
    """A header with a stranger's name is refused, also after one with ours; without the header there is no browser."""
    hosts = Hosts("")
    hosts.check([])
    for _ in range(2):
        hosts.check([(b"host", b"localhost")])
        with pytest.raises(Refusal) as refused:
            hosts.check([(b"accept", b"*/*"), (b"host", b"localhost"), (b"host", b"evil.example")])

    assert refused.value.status == 403
