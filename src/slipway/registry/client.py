"""The one way to MLflow: what the registry and its runs have, and what is written there."""

from __future__ import annotations

import json
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal, ParamSpec, Self, TypeVar

from slipway.errors import SlipwayError
from slipway.model_folder import LOCK
from slipway.registry import connection

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from mlflow.entities import Experiment, LoggedModel, Run
    from mlflow.entities.model_registry import ModelVersion, RegisteredModel
    from mlflow.store.artifact.artifact_repo import ArtifactRepository
    from mlflow.store.entities.paged_list import PagedList

    from slipway.settings import Settings

Given = ParamSpec("Given")
Answer = TypeVar("Answer")

AliasEvent = Literal["model_version_alias.created"]

CHAMPION = "champion"
VERSIONS_TAG = "mlflow.modelVersions"  # of a logged model: JSON, a list of name and version
SAMPLE = "sample.csv"  # of a run: rows of the data with the target as last column
HIGHEST = 2**31 - 1  # of the versions that a registry can have
MISSING = {"RESOURCE_DOES_NOT_EXIST", "NOT_FOUND", "INVALID_PARAMETER_VALUE"}
GONE = {"RESOURCE_DOES_NOT_EXIST"}
THERE_OR_GONE = {"RESOURCE_ALREADY_EXISTS", "RESOURCE_DOES_NOT_EXIST"}  # gone: while MLflow looked which one exists


class Registry:
    """MLflow's registry, and the runs that its versions come from, at one tracking URI.

    It has a client of its own, so registries of two settings can be used at once. Every method raises UnreachableError
    when the server does not answer, and SlipwayError in MLflow's words when that refuses.
    """

    def __init__(self, uri: str) -> None:
        import mlflow  # takes seconds, which a wrong call need not wait for; never a part of it first: see the test

        self.uri = uri
        self._client = mlflow.MlflowClient(tracking_uri=uri)

    @classmethod
    def connect(cls, settings: Settings) -> Self:
        """Return the registry; raise UnreachableError if none answers: MLflow's own client would try for minutes."""
        connection.check_reachable(settings)
        connection.make_embedded_store(settings)
        return cls(settings.tracking_uri)

    # Registered models and their aliases

    def find_model(self, name: str) -> RegisteredModel | None:
        """Return a registered model (or a release lock) with its aliases; one cheap call."""
        return self._find(self._client.get_registered_model, name)

    def create_model(self, name: str, tags: dict[str, str] | None = None, text: str | None = None) -> bool:
        """Register a name; return False if somebody else has it, or had it a moment ago."""
        return self._ask_unless(THERE_OR_GONE, self._client.create_registered_model, name, tags, text)

    def describe_model(self, name: str, text: str) -> None:
        """Describe a registered model, which sets the time of its last update by the registry's clock."""
        self._ask(self._client.update_registered_model, name, text)

    def delete_model(self, name: str) -> None:
        """Delete a registered model, unless it is gone already."""
        self._ask_unless(GONE, self._client.delete_registered_model, name)

    def find_aliases(self) -> dict[str, dict[str, int]]:
        """Return the aliases of every registered model, each with its version; a search for versions omits them."""
        return {
            model.name: {alias: int(version) for alias, version in model.aliases.items()}
            for model in self._pages(partial(self._client.search_registered_models))
            if not model.name.endswith(LOCK)
        }

    def find_champion(self, name: str, alias: str = CHAMPION) -> int | None:
        """Return the version that @champion (or another alias) names, or None; one cheap call."""
        model = self.find_model(name)
        return int(number) if model and (number := model.aliases.get(alias)) else None

    def move_champion(self, name: str, version: int) -> None:
        """Point @champion at a version."""
        self._ask(self._client.set_registered_model_alias, name, CHAMPION, str(version))

    def delete_champion(self, name: str) -> None:
        """Delete the alias @champion."""
        self._ask(self._client.delete_registered_model_alias, name, CHAMPION)

    # Versions

    def find_version(self, name: str, number: int | str) -> ModelVersion | None:
        """Return a version of a model with its tags and aliases; one cheap call."""
        if not 0 < int(number) <= HIGHEST:
            return None
        return self._find(self._client.get_model_version, name, str(number))

    def find_versions(self, name: str = "", condition: str = "") -> dict[int, ModelVersion]:
        """Return a model's versions by number: all, or those that meet a condition."""
        wanted = " and ".join(filter(None, [f"name = {quote(name)}", condition]))
        return {int(version.version): version for version in self._search_versions(wanted)}

    def find_newest(self, name: str) -> int:
        """Return the number of a model's newest version, or 0 if it has none; one cheap call."""
        newest = partial(self._client.search_model_versions, f"name = {quote(name)}", 1, ["version_number DESC"])
        return max((int(version.version) for version in self._ask(newest)), default=0)

    def list_versions(self) -> list[ModelVersion]:
        """Return all versions of all models."""
        return self._search_versions("")

    def find_versions_of_run(self, run_id: str) -> list[ModelVersion]:
        """Return the registered versions that a run made, newest first."""
        return sorted(self._search_versions(f"run_id = '{run_id}'"), key=lambda version: -int(version.version))

    def find_by_tag(self, name: str, tag: str, value: str) -> ModelVersion | None:
        """Return the newest version of a model that has a tag with a value, or None."""
        return max(self.find_versions(name, f"tag.`{tag}` = '{value}'").items(), default=(0, None))[1]

    def create_version(self, name: str, model_id: str) -> ModelVersion:
        """Make a logged model the next version of a registered model, and note that in the logged model's tags."""
        with connection.as_default(self.uri):
            version = self._ask(self._client.create_model_version, name, f"models:/{model_id}", model_id=model_id)
        logged = self.find_logged_model(model_id)
        if logged:  # as mlflow.register_model does
            noted = json.loads(logged.tags.get(VERSIONS_TAG) or "[]")
            tag = {VERSIONS_TAG: json.dumps([*noted, {"name": version.name, "version": version.version}])}
            self._ask(self._client.set_logged_model_tags, model_id, tag)
        return version

    def tag_version(self, name: str, number: int | str, tag: str, value: str) -> None:
        """Set a tag of a version."""
        self._ask(self._client.set_model_version_tag, name, str(number), tag, value)

    def describe_version(self, name: str, number: int | str, text: str) -> ModelVersion:
        """Describe a version; return it."""
        return self._ask(self._client.update_model_version, name, str(number), text)

    def delete_version(self, name: str, number: int | str) -> None:
        """Delete a version; the files stay with the run."""
        self._ask(self._client.delete_model_version, name, str(number))

    # Logged models and files

    def find_logged_model(self, model_id: str) -> LoggedModel | None:
        """Return a logged model with its metrics and parameters."""
        return self._find(self._client.get_logged_model, model_id)

    def find_location(self, version: ModelVersion) -> str:
        """Return the artifact URI of a version whose source is not a logged model."""
        return str(self._ask(self._client.get_model_version_download_uri, version.name, str(version.version)))

    def download(self, location: str, target: Path) -> None:
        """Download the files at an artifact URI into a new folder. Raises OSError if files cannot be read."""
        import mlflow

        fetch = mlflow.artifacts.download_artifacts
        self._ask(fetch, artifact_uri=location, dst_path=str(target), tracking_uri=self.uri)

    def add_files(self, location: str, folder: Path, names: Iterable[str]) -> None:
        """Upload files of a folder, one after another, to a folder of its name at an artifact URI of a model."""
        for name in names:
            self._ask(self._open(location).log_artifact, str(folder / name), folder.name)

    def list_files(self, location: str, folder: str) -> set[str]:
        """Return the names of the files in a folder at an artifact URI of a model."""
        return {Path(file.path).name for file in self._ask(self._open(location).list_artifacts, folder)}

    def _open(self, location: str) -> ArtifactRepository:
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        return self._ask(get_artifact_repository, location, tracking_uri=self.uri)

    def has_file(self, run_id: str, path: str) -> bool:
        """Whether a run has an artifact at a path, such as model/MLmodel."""
        folder = path.rpartition("/")[0]
        return any(file.path == path for file in self._ask(self._client.list_artifacts, run_id, folder or None))

    def read_sample(self, run_id: str) -> str | None:
        """Return the run's `sample.csv` (rows of the data, the target as last column), or None if it has none."""
        return self.read_file(run_id, SAMPLE)

    def read_file(self, run_id: str, path: str) -> str | None:
        """Return a text among a run's artifacts; None if it is not there."""
        if not self.has_file(run_id, path):
            return None
        with tempfile.TemporaryDirectory() as scratch:
            file = self._ask(self._client.download_artifacts, run_id, path, scratch)
            return Path(file).read_text(encoding="utf-8")

    # Runs and experiments

    def find_run(self, run_id: str) -> Run | None:
        """Return a run, even one that was deleted."""
        return self._find(self._client.get_run, run_id)

    def find_runs(self, condition: str) -> list[Run]:
        """Return the runs, of any experiment, that meet a condition; newest first."""
        experiments = [found.experiment_id for found in self._pages(partial(self._client.search_experiments))]
        return list(self._pages(partial(self._client.search_runs, experiments, condition)))

    def read_metrics(self, run_id: str) -> dict[str, float]:
        """Return the metrics of a run, except those of single folds."""
        run = self.find_run(run_id)
        return {name: value for name, value in run.data.metrics.items() if not name.startswith("fold_")} if run else {}

    def end_run(self, run_id: str, status: str = "KILLED") -> None:
        """Mark a run as killed, or as FINISHED or FAILED."""
        self._ask(self._client.set_terminated, run_id, status)

    def find_experiment(self, name: str) -> Experiment | None:
        """Return the experiment with a name."""
        return self._ask(self._client.get_experiment_by_name, name)

    def create_experiment(self, name: str, location: str) -> None:
        """Create an experiment whose artifacts go to a URI."""
        self._ask(self._client.create_experiment, name, artifact_location=location)

    # Webhooks

    def register_webhook(self, name: str, url: str, event: AliasEvent, secret: str) -> None:
        """Make MLflow send events to `url`, signed with `secret`; update an existing registration of that name."""
        if found := self._find_webhook(name):
            self._ask(self._client.update_webhook, found, url=url, events=[event], secret=secret, status="ACTIVE")
        else:
            self._ask(self._client.create_webhook, name, url, [event], "Slipway's deployer", secret, "ACTIVE")

    def unregister_webhook(self, name: str) -> None:
        """Delete the webhook registration of that name, if there is one."""
        if found := self._find_webhook(name):
            self._ask(self._client.delete_webhook, found)

    def _find_webhook(self, name: str) -> str | None:
        webhooks = self._pages(partial(self._client.list_webhooks))
        return next((str(webhook.webhook_id) for webhook in webhooks if webhook.name == name), None)

    # How it is asked

    def _ask(self, call: Callable[Given, Answer], *arguments: Given.args, **named: Given.kwargs) -> Answer:
        with connection.translated():
            return call(*arguments, **named)

    def _find(self, call: Callable[..., Answer], *key: str) -> Answer | None:
        """Return what one of the client's `get_…` functions finds, or None if nothing is found."""
        with connection.translated(MISSING):
            return call(*key)
        return None

    def _ask_unless(self, codes: set[str], call: Callable[..., object], *arguments: object) -> bool:
        """Make a call; return False when it fails with one of MLflow's error codes."""
        with connection.translated(codes):
            call(*arguments)
            return True
        return False

    def _search_versions(self, condition: str) -> list[ModelVersion]:
        return list(self._pages(partial(self._client.search_model_versions, filter_string=condition)))

    def _pages(self, search: Callable[..., PagedList[Answer]]) -> Iterator[Answer]:
        page = self._ask(search, page_token=None)
        yield from page
        while page.token:
            page = self._ask(search, page_token=page.token)
            yield from page


def quote(name: str) -> str:
    """Quote a name for MLflow's filters, with the kind of quotes that it does not contain.

    Raises SlipwayError for a name with both kinds of quotes, which no filter can contain.
    """
    mark = "'" if "'" not in name else '"'
    if mark in name:
        raise SlipwayError(
            f"MLflow cannot search for {name}, which has both kinds of quotes", "MODEL=models:/m-<id>, or rename it"
        )
    return f"{mark}{name}{mark}"
