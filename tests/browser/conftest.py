"""A real browser, and real models served by `python -m scoring`."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mlflow.pyfunc
import mlflow.sklearn
import numpy as np
import pandas as pd
import pytest
import requests
from mlflow.models import ModelSignature, infer_signature
from mlflow.types import ColSpec, Schema, TensorSpec
from playwright.sync_api import Browser, Page, expect, sync_playwright
from sklearn.datasets import load_iris
from sklearn.linear_model import LinearRegression, LogisticRegression

from slipway import ports
from tests import beside
from tests.conftest import need
from tests.polling import stretch, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.aliases import Data, Estimator, Json, Option

DEADLINE = 90  # s for a server to answer on a busy machine
WAIT = 10  # s for what a page shows, stretched
NETWORK_CHANGED = "net::ERR_NETWORK_CHANGED"  # what Chromium was loading when the machine's interfaces changed
KEY = "a key's value"
TYPES = ["double", "float", "long", "integer", "boolean", "string", "datetime"]
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@dataclass
class Served:
    """A served model: where, and the model itself, loaded directly."""

    url: str
    folder: Path
    process: subprocess.Popen[bytes]

    def predict(self, rows: list[dict[str, Any]], method: str = "predict") -> list[Any]:
        """Return what the model itself predicts."""
        model = mlflow.sklearn.load_model(str(self.folder))
        return list(getattr(model, method)(pd.DataFrame(rows)).tolist())


@dataclass
class Visit:
    """A page in a browser context of its own, and what went on in it."""

    page: Page
    origin: str
    requests: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def watch(self) -> None:
        """Begin to collect requests, console errors and exceptions."""
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on(
            "console",
            lambda message: self.errors.append(message.text) if message.type in {"error", "warning"} else None,
        )
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Start the system's Chromium."""
    need("chromium", CHROMIUM is not None, "apt install chromium")
    expect.set_options(timeout=1000 * stretch(WAIT))
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        try:
            yield started
        finally:
            started.close()


@pytest.fixture
def visit(browser: Browser) -> Iterator[Callable[..., Page]]:
    """Return a function that opens a page; in the end, none has asked anyone but its server, and none complains.

    `refused=True` is for pages whose requests are answered with an error on purpose: browsers log that.
    """
    visits: list[tuple[Visit, bool]] = []

    def open_page(url: str, width: int = 1280, *, refused: bool = False, **options: Option) -> Page:
        context = browser.new_context(
            viewport={"width": width, "height": 900}, service_workers="block", accept_downloads=True, **options
        )
        context.set_default_timeout(2 * 1000 * stretch(WAIT))
        new = Visit(context.new_page(), "/".join(url.split("/")[:3]))
        new.watch()
        visits.append((new, refused))
        new.page.goto(url, wait_until="networkidle")
        if any(NETWORK_CHANGED in words for words in new.errors):  # by another job's containers
            new.errors.clear()
            new.page.reload(wait_until="networkidle")
        return new.page

    yield open_page
    for each, _ in visits:
        each.page.context.close()
    abroad = [
        url
        for each, _ in visits
        for url in each.requests
        if not url.startswith((f"{each.origin}/", f"blob:{each.origin}/"))
    ]
    complaints = [
        words
        for each, refused in visits
        for words in each.errors
        if not (refused and "Failed to load resource" in words)
    ]

    assert abroad == []
    assert complaints == []


@contextlib.contextmanager
def serve(
    folder: Path,
    log: Path,
    keys: Path | None = None,
    known: Path | None = None,
    port: int = 0,
    **identity: Json,
) -> Iterator[Served]:
    """Serve a model folder; fail at once with the log when the server ends, and always stop it.

    `known` is a file with its identity; a `port` of 0 is any.
    """
    port = port or ports.find_free()
    options = ["--identity", str(known) if known else json.dumps({"name": folder.name, "version": "1", **identity})]
    if keys:
        options += ["--api-keys-file", str(keys)]
    command = [sys.executable, "-m", "scoring", str(folder), "--port", str(port), *options]
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, env={**os.environ, "SCORING_ACCESS_LOG": "off"})
    url = f"http://127.0.0.1:{port}"
    try:
        wait(url, process, log)
        yield Served(url, folder, process)
    finally:
        beside.end(process)


def wait(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until the server is ready."""

    def is_ready() -> bool:
        return requests.get(f"{url}/readyz", timeout=5).ok

    wait_until(
        is_ready,
        DEADLINE,
        lambda: f"the server is not ready:\n{log.read_text()[-3000:]}",
        process=process,
        ignored=(requests.RequestException,),
    )


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder for models and logs."""
    return tmp_path_factory.mktemp("browser")


def save(folder: Path, estimator: Estimator, rows: pd.DataFrame, target: Data, **options: Option) -> Path:
    """Fit an estimator and save it as MLflow does."""
    mlflow.sklearn.save_model(
        estimator.fit(rows, target),
        str(folder),
        signature=infer_signature(rows),
        input_example=rows.head(3),
        pip_requirements=[],
        **options,
    )
    return folder


@pytest.fixture(scope="session")
def numbers(folder: Path) -> Iterator[Served]:
    """Serve a regression."""
    rows = pd.DataFrame(np.arange(40.0).reshape(10, 4) % 7, columns=["age", "bmi", "blood pressure", "s1"])
    saved = save(folder / "numbers", LinearRegression(), rows, rows.sum(axis=1) * 1.1 + 3)
    with serve(saved, folder / "numbers.log", version="3", run="8c1f0a7b", metrics={"rmse": 53.123456789}) as served:
        yield served


@pytest.fixture(scope="session")
def classifier_folder(folder: Path) -> Path:
    """Save a classifier of three kinds of iris."""
    iris = load_iris(as_frame=True)
    return save(folder / "iris", LogisticRegression(max_iter=500), iris.data, iris.target_names[iris.target])


@pytest.fixture(scope="session")
def classifier(folder: Path, classifier_folder: Path) -> Iterator[Served]:
    """Serve the classifier."""
    with serve(classifier_folder, folder / "iris.log") as served:
        yield served


@pytest.fixture(scope="session")
def shares(folder: Path) -> Iterator[Served]:
    """Serve a classifier that was logged to give probabilities, of classes that are numbers."""
    iris = load_iris(as_frame=True)
    saved = save(
        folder / "shares", LogisticRegression(max_iter=500), iris.data, iris.target, pyfunc_predict_fn="predict_proba"
    )
    with serve(saved, folder / "shares.log") as served:
        yield served


@pytest.fixture(scope="session")
def closed(folder: Path, classifier_folder: Path) -> Iterator[Served]:
    """Serve the classifier to those with a key."""
    keys = folder / "keys"
    keys.write_text(f"{KEY}\n")
    with serve(classifier_folder, folder / "closed.log", keys=keys) as served:
        yield served


@pytest.fixture(scope="session")
def every_type(folder: Path) -> Iterator[Served]:
    """Serve a model that has a column of every type, and optional ones, and says what it got."""
    row = {
        "double": 1.5,
        "float": 2.5,
        "long": 3,
        "integer": 4,
        "boolean": True,
        "string": "it's",
        "datetime": "2024-01-31 12:30:00",
    }
    columns: list[ColSpec | TensorSpec] = [
        *(ColSpec(kind, kind) for kind in TYPES),
        *(ColSpec(kind, f"maybe {kind}", required=False) for kind in TYPES),
    ]
    example = pd.DataFrame([row]).astype({"float": "float32", "integer": "int32", "datetime": "datetime64[ns]"})
    model, saved = Path(__file__).parent / "every_type.py", folder / "every type"
    mlflow.pyfunc.save_model(
        str(saved),
        python_model=str(model),
        signature=ModelSignature(Schema(columns)),
        input_example=example,
        pip_requirements=[],
    )
    with serve(saved, folder / "every.log", name="every type") as served:
        yield served


@pytest.fixture(scope="session")
def tensor(folder: Path) -> Iterator[Served]:
    """Serve a model that takes a matrix without names."""
    rows = np.arange(12.0).reshape(6, 2)
    mlflow.sklearn.save_model(
        LinearRegression().fit(rows, rows.sum(axis=1)), str(folder / "tensor"), signature=infer_signature(rows),
        input_example=rows[:2],
        pip_requirements=[],
    )  # fmt: skip
    with serve(folder / "tensor", folder / "tensor.log") as served:
        yield served
