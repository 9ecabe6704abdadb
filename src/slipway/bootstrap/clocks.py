"""The doctor's checks of clocks: this machine's, and the Docker engine's.

Standard library only, and Python 3.8 will do.
"""

from __future__ import annotations

import re
import time
from datetime import datetime
from typing import TYPE_CHECKING

from slipway.bootstrap.checks import FAIL, OK, WARN, Check

if TYPE_CHECKING:
    from slipway.bootstrap.machine import Answer

SKEW = 5.0  # s between this machine's clock and the engine's
CHECKOUT_SKEW = 300.0  # s; the clock of whoever committed may be ahead by as much


def check_clock(now: float, newest: float) -> Check:
    """Judge this machine's clock against the newest commit or file of the checkout (s since 1970)."""
    if now < newest - CHECKOUT_SKEW:
        words = f"it is {_day(now)} here, but the checkout is from {_day(newest)}"
        return Check(
            FAIL, "clock", words, "set the clock (timedatectl set-ntp true; macOS: System Settings > Date & Time)"
        )
    return Check(OK, "clock", _day(now))


def check_engine_clock(engine: str, answer: Answer, runtime: str) -> Check:
    """Judge the engine's clock (RFC 3339) against when it was asked and answered."""
    told = datetime.strptime(re.sub(r"\.\d+", "", engine).replace("Z", "+00:00"), "%Y-%m-%dT%H:%M:%S%z").timestamp()
    apart = max(answer.asked - told, told - answer.answered, 0.0)
    if apart > SKEW:
        words = f"{apart:.0f} s away from this machine's: logins, certificates and run times will be wrong"
        return Check(FAIL if runtime == "docker" else WARN, "clock", f"Docker's is {words}", "restart Docker Desktop")
    return Check(OK, "clock", "Docker's agrees")


def _day(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))
