"""Predictions for a file's rows, without a server: by the version's own libraries, as its server makes them."""

from __future__ import annotations

import json
import os
import re
import tempfile
from dataclasses import replace
from typing import IO, TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from slipway import runtimes, shell
from slipway.errors import MODEL_DID_NOT_LOAD, USAGE, SlipwayError
from slipway.registry import model_uri
from slipway.serving import server
from slipway.settings import BUILD, ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from slipway.runtimes.base import Prepared
    from slipway.settings import Settings

PARQUET = ".parquet"
FORMS = {".csv": "csv", PARQUET: "parquet", ".json": "json"}
SHOWN = 10  # rows, where no file is written
CURE = "make predict MODEL=… FILE=rows.csv OUT=predictions.csv"


def predict(settings: Settings, uri: str, file: str, out: str = "", params: str = "") -> None:
    """Predict the rows of a file into the file `out`, which is there whole or not at all, or print the first ones.

    All columns of the file are kept, the predictions follow. Raises SlipwayError for a file, an `out` or `params`
    that cannot be used, and for rows that the model does not take.
    """
    rows, target = _find_rows(file), _find_target(out)
    if target == rows:
        raise SlipwayError(f"OUT names the same file as FILE: {file}", CURE, USAGE)
    options = ["--params", _check_params(params)] if params.strip() else []
    if PARQUET in {rows.suffix.lower(), target.suffix.lower() if target else ""}:
        settings = replace(settings, serving=replace(settings.serving, parquet=True))
    prepared = server.prepare(settings, uri)
    if target is None:
        _show(settings, prepared, rows, options)
        return
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        with part.open("xb") as output:
            count = _run(settings, prepared, rows, [*options, "--form", FORMS[target.suffix.lower()]], output)
        part.replace(target)
    except OSError as error:
        raise SlipwayError(f"cannot write {target}: {error.strerror}", "OUT=…, in a folder of yours") from None
    finally:
        part.unlink(missing_ok=True)
    print(f"wrote {target}: {count} rows of {rows.name}, and last the predictions of {prepared.model.uri}")


def _show(settings: Settings, prepared: Prepared, rows: Path, options: list[str]) -> None:
    """Print the first rows, with the last columns, where the predictions are, and as many of the others as fit."""
    BUILD.mkdir(exist_ok=True)
    with tempfile.TemporaryFile(dir=BUILD) as output:
        _run(settings, prepared, rows, [*options, "--form", "json", "--limit", str(SHOWN)], output)
        output.seek(0)
        found = json.load(output)
    if not isinstance(found, list) or not all(isinstance(row, dict) for row in found):
        print(json.dumps(found, indent=2, ensure_ascii=False))
        return
    predicted = [name for name in found[0] if re.match(r"prediction(_|$)", name)]
    shown = [*[name for name in found[0] if name not in predicted][:4], *predicted[:6]]
    table = Table(box=None, header_style="bold")
    for name in shown:
        table.add_column(name, justify="right")
    for row in found[:SHOWN]:
        table.add_row(*(_short(row[name]) for name in shown))
    Console(markup=False, emoji=False).print(table)
    print(f"the first rows of {rows.name}, by {prepared.model.uri}; OUT=predictions.csv, .parquet or .json has all")


def _run(settings: Settings, prepared: Prepared, rows: Path, options: list[str], output: IO[bytes]) -> str:
    """Predict into a file and return how many rows there were."""
    code, last = runtimes.of(settings).predict_file(prepared, rows, options, output)
    if code == MODEL_DID_NOT_LOAD:
        words = shell.quote(last)
        raise SlipwayError(f"{prepared.model.uri} did not load: {words}", model_uri.choose_cure(words), code)
    if code != 0:
        raise SlipwayError(f"{prepared.model.uri} does not predict {rows.name}: see the error above")
    found = re.findall(r"^rows: (\d+)$", last, re.MULTILINE)
    return f"{int(found[-1]):,}" if found else "the"


def _find_rows(file: str) -> Path:
    if not file.strip():
        raise SlipwayError("FILE is empty: which rows?", CURE, USAGE)
    rows = (ROOT / shell.expand(file)).resolve()
    if not rows.is_file():
        raise SlipwayError(f"FILE does not name a file: {file}", CURE)
    _check_form("FILE", rows)
    return rows


def _find_target(out: str) -> Path | None:
    if not out.strip():
        return None
    target = (ROOT / shell.expand(out)).resolve()
    _check_form("OUT", target)
    if not target.parent.is_dir():
        raise SlipwayError(f"OUT is in no folder that exists: {target.parent}", f"mkdir -p {target.parent}")
    return target


def _check_form(name: str, file: Path) -> None:
    if file.suffix.lower() not in FORMS:
        raise SlipwayError(f"{name} is {file.name}: must end in {', '.join(FORMS)}", CURE, USAGE)


def _check_params(params: str) -> str:
    try:
        value = json.loads(params)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise SlipwayError(f"PARAMS is {params}: must be a JSON object", """PARAMS='{"horizon": 3}'""", USAGE)
    return params


def _short(value: object) -> str:
    text = f"{value:.5g}" if isinstance(value, float) else str(value)
    return text if len(text) <= 40 else f"{text[:39]}…"  # noqa: PLR2004 -- signs that fit
