"""Which names the server answers to: a page must not reach it by a name of its own (DNS rebinding)."""

from __future__ import annotations

import ipaddress
import re
import socket
from typing import TYPE_CHECKING

from scoring.errors import Refusal

if TYPE_CHECKING:
    from collections.abc import Iterable

REFUSAL = Refusal(
    403, "this server does not answer to the name in the Host header; SCORING_ALLOWED_HOSTS lists those that it does"
)
HOST = re.compile(r"(\[[0-9a-f:.]+\]|[^\s:/@\[\]]+)\.?(?::\d*)?", re.IGNORECASE)
# Nobody can own these in the DNS: RFC 6761 and 8375, ICANN's .internal (Docker's and Podman's host), Kubernetes'
# Services.
LOCAL = ("localhost", "*.localhost", "*.internal", "*.svc", "*.svc.cluster.local")
KNOWN = 1024  # names that are remembered


class Hosts:
    """Names that no stranger can own, and those of a setting, parted by commas.

    `*.example.com` is whatever ends so, `*` is any.
    """

    def __init__(self, setting: str) -> None:
        names = [
            *LOCAL,
            socket.gethostname().lower(),
            *(name.strip().lower() for name in setting.split(",") if name.strip()),
        ]
        self.any = "*" in names
        self._names = {name for name in names if not name.startswith("*.")}
        self._ends = tuple(name[1:] for name in names if name.startswith("*."))
        self._good: set[bytes] = set()

    def check(self, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """Raise Refusal (403) for a request to a name that is not ours; browsers always name one."""
        if self.any:
            return
        for name, value in headers:
            if name == b"host" and value not in self._good and value:
                if not self.allows(value.decode("latin-1")):
                    raise REFUSAL
                if len(self._good) < KNOWN:
                    self._good.add(value)

    def allows(self, value: str) -> bool:
        """Whether the server answers to a Host header.

        Always to an address, which is nobody's name, and to a name without a dot: a container's, a Service's, a
        machine's beside this one.
        """
        found = HOST.fullmatch(value)
        if not found:
            return False
        host = found[1].lower().rstrip(".")
        if host in self._names or host.endswith(self._ends):
            return True
        try:
            ipaddress.ip_address(host.strip("[]"))
        except ValueError:
            return "." not in host
        return True
