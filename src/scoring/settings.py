"""The server's settings: each is a flag and an environment variable, SCORING_ and its name; the flag wins."""

from __future__ import annotations

import argparse
import os
import ssl
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TypeVar

SWITCH = ("on", "off")
MIB = 1024 * 1024
LAST_PORT = 65535
T = TypeVar("T")


def _setting(default: T, text: str, choices: tuple[str, ...] | None = None) -> T:
    return field(default=default, metadata={"help": text, "choices": choices})


@dataclass(frozen=True)
class Settings:
    """How one server runs; the help of `python -m scoring` is made from this table."""

    model: Path
    host: str = _setting("127.0.0.1", "the address to listen on")
    port: int = _setting(8001, "the port to listen on")
    keeper: str = _setting("", "the unix socket of a keeper, which hands this server a port besides its own")
    keeper_name: str = _setting("", "the name under which this server asks the keeper")
    workers: int = _setting(1, "processes that share the port, each with the model in its memory")
    start_timeout: float = _setting(600.0, "seconds that one of several workers may take to load the model")
    identity: str = _setting(
        "", "which model it is, as JSON or the path of a JSON file: name, version, run, metrics, checksum"
    )
    check_libraries: str = _setting(
        "on", "refuse a model that was trained with other versions of its libraries", SWITCH
    )
    batching: str = _setting(
        "auto", "let waiting requests share a predict; auto: if the model's rows prove independent", ("auto", *SWITCH)
    )
    shortcuts: str = _setting(
        "on", "predict by the shortest way that is proven equal; off: as the model's library does", SWITCH
    )
    max_batch: int = _setting(1024, "rows in one shared predict")
    threads: int = _setting(0, "predicts at a time for a model without batching, and streams at a time; 0: eight")
    max_body: int = _setting(64 * MIB, "bytes of one request; more is answered with 413")
    max_rows: int = _setting(1_000_000, "rows of one request; more is answered with 413")
    max_cells: int = _setting(20_000_000, "rows times columns of one request; more is answered with 413")
    max_depth: int = _setting(32, "levels of nested JSON; more is answered with 400")
    max_waiting: int = _setting(1024, "requests that may wait; one more is answered with 503")
    max_wait: float = _setting(2.0, "seconds; a request that would have to wait longer is answered with 503 at once")
    request_timeout: float = _setting(60.0, "seconds for one request, body and all; more is answered with 504")
    keep_alive: float = _setting(
        75.0, "seconds that a connection waits for its next request: longer than the proxy before this server"
    )
    min_body_rate: int = _setting(
        1024, "bytes a second in which a body must arrive, over 5 seconds; a slower one is answered with 408"
    )
    grace: float = _setting(0.0, "seconds between SIGTERM, when readiness fails, and the end of accepting requests")
    drain: float = _setting(30.0, "seconds that requests under way get to finish after that")
    api_keys_file: str = _setting("", "a file with one API key per line; without it anyone may call")
    allowed_hosts: str = _setting(
        "", "additional names that callers may use, separated by commas: api.example.com, *.example.com; *: any"
    )
    root_path: str = _setting(
        "", "prefixes, separated by commas, under which a proxy passes requests on, such as /diabetes"
    )
    cors_origins: str = _setting("", "origins, separated by commas, whose pages may call this API; empty: none")
    tls_cert: str = _setting("", "PEM file of the certificate chain; with it the server speaks https")
    tls_key: str = _setting("", "PEM file of the certificate's key")
    explain_max_rows: int = _setting(100, "rows that one explanation may ask for; more is answered with 413")
    explain_timeout: float = _setting(30.0, "seconds for one explanation; more is answered with 504")
    prediction_log: float = _setting(0.0, "share of requests whose rows and predictions are logged, 0 to 1; 0: no log")
    prediction_log_dir: str = _setting("", "where the log is kept: a folder, or s3://bucket/prefix")
    prediction_log_seconds: float = _setting(10.0, "seconds after which a logged row is in a file")
    prediction_log_days: int = _setting(30, "days that the log is kept; 0: for ever")
    prediction_log_rules: str = _setting(
        "", "which columns are logged, as JSON or the path of a JSON file: only, drop, hash, and the key for hash"
    )
    clock_offset_s: float = _setting(0.0, "seconds that the log's clock is ahead, for tests of several days")
    docs: str = _setting("on", "the try-it page, /docs and /openapi.json", SWITCH)
    access_log: str = _setting("on", "a JSON line on stdout for each request", SWITCH)


def load(arguments: list[str] | None = None) -> Settings:
    """Read the settings from the command line and the environment.

    A value that cannot be used ends the program with code 2.
    """
    parser = argparse.ArgumentParser(
        prog="python -m scoring",
        description="Serve a model folder. Exit code 3 when the model does not load.",
        epilog="Each option is an environment variable too: --max-rows is SCORING_MAX_ROWS.",
    )
    parser.add_argument("model", type=Path, help="an MLflow model folder")
    for setting in fields(Settings)[1:]:
        kind = type(setting.default)
        given = os.environ.get(f"SCORING_{setting.name.upper()}", "").strip()
        flag = f"--{setting.name.replace('_', '-')}"
        text = f"{setting.metadata['help']} (default: {str(setting.default).replace('%', '%%') or 'none'})"
        # A default that is text goes through `type` like a flag, so that a wrong variable is refused in the same words.
        parser.add_argument(
            flag, type=kind, default=given or setting.default, choices=setting.metadata["choices"], help=text
        )
    settings = Settings(**vars(parser.parse_args(arguments)))
    if (
        not settings.allowed_hosts and "KUBERNETES_SERVICE_HOST" in os.environ
    ):  # the cluster alone knows by which names a pod is reached
        settings = replace(settings, allowed_hosts="*")
    _check_values(settings, parser)
    _check_files(settings, parser)
    return settings


def _check_values(settings: Settings, parser: argparse.ArgumentParser) -> None:
    for setting in fields(Settings)[1:]:
        value, choices = getattr(settings, setting.name), setting.metadata["choices"]
        if isinstance(value, int | float) and not 0 <= value < float("inf"):
            parser.error(f"--{setting.name.replace('_', '-')} is {value}: must not be negative")
        if choices and value not in choices:
            parser.error(f"SCORING_{setting.name.upper()} is {value!r}: must be {' or '.join(choices)}")
    if settings.prediction_log > 1:
        parser.error(f"--prediction-log is {settings.prediction_log}: must be a share, 0 to 1")
    if settings.port > LAST_PORT:
        parser.error(f"--port is {settings.port}: must be at most {LAST_PORT}")


def _check_files(settings: Settings, parser: argparse.ArgumentParser) -> None:
    if bool(settings.tls_cert) != bool(settings.tls_key):
        parser.error("--tls-cert and --tls-key go together")
    for name in ("api_keys_file", "tls_cert", "tls_key"):
        if (path := getattr(settings, name)) and not Path(path).is_file():
            parser.error(f"--{name.replace('_', '-')} does not name a file: {path}")
    try:
        if settings.api_keys_file:
            Path(settings.api_keys_file).read_text(encoding="utf-8")
        if settings.tls_cert:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(settings.tls_cert, settings.tls_key)
    except (OSError, UnicodeDecodeError) as error:  # SSLError is an OSError
        parser.error(f"--api-keys-file, or --tls-cert with --tls-key, cannot be used: {error}")
