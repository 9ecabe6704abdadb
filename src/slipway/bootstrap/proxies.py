"""The caller's proxies and package indexes: which of them builds receive, and which calls bypass them."""

from __future__ import annotations

import os

from slipway.bootstrap import venv

PAST_THE_PROXY = ("localhost", "127.0.0.1", "mlflow")  # names of our own, which a proxy does not know
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy")
PACKAGE_INDEXES = (
    "UV_DEFAULT_INDEX",
    "UV_INDEX",
    "UV_FIND_LINKS",
    "PIP_INDEX_URL",
    "PIP_EXTRA_INDEX_URL",
    "PIP_FIND_LINKS",
)


def no_proxy() -> dict[str, str]:
    """Return NO_PROXY in both spellings, with the caller's names and ours: calls of our own services need no proxy."""
    given = os.environ.get("NO_PROXY") or os.environ.get("no_proxy") or ""
    names = dict.fromkeys([*filter(None, given.split(",")), *PAST_THE_PROXY])
    return dict.fromkeys(("NO_PROXY", "no_proxy"), ",".join(names))


def reach_directly(name: str) -> None:
    """Have this process call a container of ours, by its name, past the proxy."""
    names = dict.fromkeys([*no_proxy()["NO_PROXY"].split(","), name])
    os.environ.update(dict.fromkeys(("NO_PROXY", "no_proxy"), ",".join(names)))


def build_environment() -> dict[str, str]:
    """Return the caller's proxies and package indexes, which builds use and images never keep."""
    given = {name: os.environ[name] for name in (*PROXIES, *PACKAGE_INDEXES) if os.environ.get(name)}
    return venv.index_for_uv(given) | given
