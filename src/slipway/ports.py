"""Ports of 127.0.0.1: whether one is free, and one that is."""

from __future__ import annotations

import socket
import sys

from slipway.errors import SlipwayError

LOCAL = "127.0.0.1"
LAST = 65535  # the highest port
AIRPLAY = 5000  # the port that macOS takes for itself


def is_free(port: int) -> bool:
    """Whether nothing listens on a port.

    macOS lets one bind a port whose wildcard address is taken, so it is asked first.
    """
    with socket.socket() as probe:
        if probe.connect_ex((LOCAL, port)) == 0:
            return False
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOCAL, port))
        except OSError:
            return False
    return True


def find_free() -> int:
    """Return a port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind((LOCAL, 0))
        return int(probe.getsockname()[1])


def find_next(port: int) -> int:
    """Return the first free port above one, to be proposed in its place."""
    return next((each for each in range(port + 1, LAST + 1) if is_free(each)), port + 1)


def check(port: int, setting: str) -> None:
    """Raise SlipwayError, which names the setting to change, when a port is taken."""
    if not is_free(port):
        airplay = ""
        if sys.platform == "darwin" and port == AIRPLAY:
            airplay = " (on macOS by AirPlay Receiver: System Settings, General)"
        raise SlipwayError(
            f"port {port} is taken by another program{airplay}", f"{setting}={find_next(port)} with the same command"
        )
