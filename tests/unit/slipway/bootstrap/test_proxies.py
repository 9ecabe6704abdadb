"""What builds are given of the caller's environment."""

import pytest

from slipway.bootstrap import proxies


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*proxies.PROXIES, *proxies.PACKAGE_INDEXES):
        monkeypatch.delenv(name, raising=False)


def test_builds_get_the_callers_proxies_and_indexes(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is set of the proxies and package indexes goes to builds, in uv's names too, and nothing else does."""
    monkeypatch.setenv("https_proxy", "http://proxy:3128")
    monkeypatch.setenv("PIP_INDEX_URL", "https://me:secret@index.example/pypi")
    monkeypatch.setenv("NO_PROXY", "")

    assert proxies.build_environment() == {
        "https_proxy": "http://proxy:3128",
        "PIP_INDEX_URL": "https://me:secret@index.example/pypi",
        "UV_DEFAULT_INDEX": "https://me:secret@index.example/pypi",
    }
