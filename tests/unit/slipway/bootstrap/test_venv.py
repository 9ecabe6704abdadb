"""Set-up's environment: what the caller set for Python, pip and uv elsewhere does not reach it."""

import pytest

from slipway.bootstrap import venv

FROM = {  # where packages come from
    "PIP_INDEX_URL": "https://index.example/all", "UV_INDEX_CORP_PASSWORD": "s", "UV_SYSTEM_CERTS": "1",
    "PIP_CERT": "/ca.pem", "UV_CACHE_DIR": "/cache", "HTTPS_PROXY": "http://proxy", "PATH": "/bin", "HOME": "/home/me",
}  # fmt: skip


@pytest.mark.parametrize(
    "name",
    [
        "PIP_TARGET", "PIP_PREFIX", "PIP_REQUIRE_VIRTUALENV", "PIP_NO_BINARY", "PIP_CONSTRAINT", "PYTHONPATH",
        "PYTHONHOME", "PYTHONUSERBASE", "PYTHONSTARTUP", "UV_TARGET", "UV_SYSTEM_PYTHON", "UV_PYTHON",
        "UV_EXCLUDE_NEWER", "UV_NO_BUILD", "UV_CONSTRAINT", "VIRTUAL_ENV",
    ],
)  # fmt: skip
def test_what_is_for_other_projects_is_left_out(name: str) -> None:
    """A setting that says what to install, where to, or with which Python, is not set-up's."""
    assert venv.clean({**FROM, name: "1", "PIP_USER": "1"}) == {**FROM, "PIP_USER": "0"}


def test_a_slow_machine_compiles_to_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """By itself uv gives up compiling after 60 s unless it is told otherwise; a caller's own limit stays."""
    monkeypatch.delenv("UV_COMPILE_BYTECODE_TIMEOUT", raising=False)
    unlimited = venv.environment()["UV_COMPILE_BYTECODE_TIMEOUT"]
    monkeypatch.setenv("UV_COMPILE_BYTECODE_TIMEOUT", "90")

    assert unlimited == "0"
    assert venv.environment()["UV_COMPILE_BYTECODE_TIMEOUT"] == "90"
