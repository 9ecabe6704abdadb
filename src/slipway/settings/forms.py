"""The forms that a setting's value may have; each raises SlipwayError (exit code 2) for another."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from slipway import hints, ports
from slipway.errors import USAGE, SlipwayError
from slipway.settings import places
from slipway.settings.places import LOG, ROOT, sqlite_uri


def command(value: str) -> list[str]:
    """Return the words of a command, as a shell splits them."""
    try:
        return shlex.split(value)
    except ValueError as error:
        raise SlipwayError(f"IMAGE_LOAD is {value!r}: {error}", "IMAGE_LOAD='kind load docker-image'", USAGE) from None


def seconds(env: dict[str, str], name: str) -> int:
    """Return a whole number of seconds above 0."""
    value = env[name]
    if not value.isdigit() or value == "0":
        raise SlipwayError(f"{name} is {value!r}: must be a number of seconds", default(name), USAGE)
    return int(value)


def days(env: dict[str, str], name: str) -> int:
    """Return a whole number of days above 0."""
    value = env[name]
    if not value.isdigit() or value == "0":
        raise SlipwayError(f"{name} is {value!r}: must be a number of days", default(name), USAGE)
    return int(value)


def default(name: str) -> str:
    """Return the line that sets the default again."""
    return f"{name}={hints.read_defaults()[name]}"


def tracking_uri(value: str) -> str:
    """Return the tracking server's address; that of a sqlite file is from the checkout on, wherever a script runs."""
    if not value.startswith("sqlite:"):
        return value
    found = re.fullmatch(r"sqlite:///([^?]+)(\?.*)?", value)
    if not found or found[1].startswith((":", "file:")):
        cure = "MLFLOW_TRACKING_URI=sqlite:////a/folder/mlflow.db, or unset it"
        raise SlipwayError(f"MLFLOW_TRACKING_URI is {value!r}: it must name a file", cure, USAGE)
    return value if found[1].startswith("/") else f"{sqlite_uri(ROOT)}/{found[1]}{found[2] or ''}"


def limit(env: dict[str, str], name: str, form: str) -> str:
    """Return a limit of a container that matches `form`; 0: none."""
    value = env[name]
    if not re.fullmatch(form, value):
        words = f"{name} is {value!r}: must be a container limit such as {name}=2"
        raise SlipwayError(words, f"{name}=0 for none", USAGE)
    return value


def gateway(value: str) -> str:
    """Return the name of a Gateway, or namespace/name, or nothing."""
    name = "[a-z0-9]([a-z0-9.-]*[a-z0-9])?"
    if value and not re.fullmatch(f"({name}/)?{name}", value):
        raise SlipwayError(
            f"GATEWAY is {value!r}: must be the name of a Gateway, or namespace/name", "GATEWAY=infra/public", USAGE
        )
    return value


def log(env: dict[str, str]) -> dict[str, str]:
    """Return the model server's settings of its prediction log; none when it is off."""
    try:
        share = float(env["PREDICTION_LOG"] or 0)
    except ValueError:
        share = -1
    if not 0 <= share <= 1:
        words = f"PREDICTION_LOG is {env['PREDICTION_LOG']!r}: must be a share of the requests, 0 to 1"
        raise SlipwayError(words, "PREDICTION_LOG=0.01", USAGE)
    if share == 0:
        return {}
    if not env["PREDICTION_LOG_DAYS"].isdigit():
        words = f"PREDICTION_LOG_DAYS is {env['PREDICTION_LOG_DAYS']!r}: must be a number of days"
        raise SlipwayError(words, default("PREDICTION_LOG_DAYS"), USAGE)
    return {LOG: f"{share:g}", f"{LOG}_DIR": log_dir(env), f"{LOG}_DAYS": env["PREDICTION_LOG_DAYS"]}


def log_dir(env: dict[str, str]) -> str:
    """Return where the prediction log is: the path of a folder, or s3://bucket/prefix."""
    place = env["PREDICTION_LOG_DIR"] or str(places.STATE / "predictions")
    if "://" not in place:
        return str((ROOT / Path(place).expanduser()).resolve())
    if not re.fullmatch(r"s3://[^/\s]+(/\S*)?", place):
        words = f"PREDICTION_LOG_DIR is {place!r}: must be a folder, or s3://bucket/prefix"
        raise SlipwayError(words, "PREDICTION_LOG_DIR=s3://bucket/predictions", USAGE)
    return place.rstrip("/")


def port(env: dict[str, str], name: str) -> int:
    """Return a port's number."""
    value = env[name]
    if not value.isdigit() or not 0 < int(value) <= ports.LAST:
        raise SlipwayError(f"{name} is {value!r}: must be a port number", default(name), USAGE)
    return int(value)
