"""What the deployer's container is told."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slipway import settings
from slipway.bootstrap import proxies
from slipway.deployer import start
from tests.conftest import changed

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_the_container_reaches_package_indexes_as_we_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It gets proxies, indexes and a copy of CA_BUNDLE in a file that its owner alone reads."""
    for name in (*proxies.PROXIES, *proxies.PACKAGE_INDEXES):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTPS_PROXY", "http://me:pa$$word@proxy.example:3128")
    monkeypatch.setenv("NO_PROXY", "intern.example")
    monkeypatch.setenv("PIP_INDEX_URL", "https://packages.example/pypi")
    monkeypatch.setenv("UV_FIND_LINKS", "/home/someone/wheels")
    (tmp_path / "ca.pem").write_text("certificates")
    (home := tmp_path / "home").mkdir()
    ours = changed(settings.load(), serving={"scoring": {"SCORING_WORKERS": "2"}})
    start.write_environment(changed(ours, images={"ca_bundle": tmp_path / "ca.pem"}), home)

    assert (home / "environment").stat().st_mode & 0o777 == 0o600
    assert set((home / "environment").read_text().splitlines()) == {
        "SCORING_WORKERS=2",
        "HTTPS_PROXY='http://me:pa$$word@proxy.example:3128'",
        "NO_PROXY='intern.example'",
        "PIP_INDEX_URL='https://packages.example/pypi'",
        "UV_DEFAULT_INDEX='https://packages.example/pypi'",
        f"CA_BUNDLE='{home}/certificates.pem'",
    }
    assert (home / "certificates.pem").read_text() == "certificates"
    start.write_environment(changed(ours, images={"ca_bundle": None}), home)
    assert not (home / "certificates.pem").exists()
