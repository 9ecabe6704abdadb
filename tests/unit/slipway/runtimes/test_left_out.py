"""What is removed from an environment that serves, and what is kept because somebody asks for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from slipway.runtimes import left_out

if TYPE_CHECKING:
    from pathlib import Path

SKINNY = ["databricks-sdk<1", "GitPython<4", "requests", "sqlparse", "uvicorn; extra == 'genai'"]
PLAIN = {
    "mlflow-skinny": SKINNY,
    "databricks-sdk": ["google-auth~=2.0", "requests"],
    "google_auth": ["cryptography>=38", "pyasn1_modules"],
    "cryptography": ["cffi>=2; platform_python_implementation != 'PyPy'"],
    "cffi": [],
    "pyasn1-modules": [],
    "GitPython": [],
    "requests": ["pyOpenSSL; extra == 'security'"],
    "sqlparse": [],
}
GONE = ["cffi", "cryptography", "databricks-sdk", "gitpython", "google-auth", "pyasn1-modules"]
UNASKED = ["databricks-sdk", "gitpython", "google-auth", "pyasn1-modules"]
FETCHER: dict[str, list[str]] = {"fetcher": ["cryptography", "google-auth"]}
TOKENS: dict[str, list[str]] = {"pyjwt": ["cryptography; extra == 'crypto'"]}


def _install(packages: Path, libraries: dict[str, list[str]]) -> Path:
    """Write what an installer notes of libraries."""
    for name, asks in libraries.items():
        (folder := packages / f"{name.replace('-', '_')}-1.0.dist-info").mkdir(parents=True)
        lines = [f"Name: {name}", "Version: 1.0", *(f"Requires-Dist: {line}" for line in asks)]
        (folder / "METADATA").write_text("\n".join(["Metadata-Version: 2.4", *lines, ""]))
    return packages


@pytest.mark.parametrize(
    ("more", "kept", "gone"),
    [
        pytest.param({}, set(), GONE, id="nobody asks"),
        pytest.param({}, {"databricks-sdk"}, ["gitpython"], id="the model asks for the first"),
        pytest.param({}, {"cffi"}, [name for name in GONE if name != "cffi"], id="the model asks for the last"),
        pytest.param(FETCHER, set(), ["databricks-sdk", "gitpython"], id="a library asks"),
        pytest.param(TOKENS, set(), GONE, id="nobody asks for an extra"),
        pytest.param(TOKENS, {"pyjwt"}, UNASKED, id="the model asks for an extra"),
        pytest.param(TOKENS | {"login": ["PyJWT[crypto]>=2"]}, set(), UNASKED, id="a library asks for an extra"),
    ],
)
def test_only_what_nobody_else_asks_for_goes(
    tmp_path: Path, more: dict[str, list[str]], kept: set[str], gone: list[str]
) -> None:
    """MLflow's own asking does not count; a model's and another library's do."""
    assert left_out.find(_install(tmp_path, PLAIN | more), kept) == gone
