"""A training that was begun again in a cluster, in a real registry: one version is left of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slipway.training import sessions

if TYPE_CHECKING:
    from pathlib import Path

    from mlflow import MlflowClient

    from slipway.registry.client import Registry
    from slipway.settings import Settings

NAME = "begun-again"


def attempt(client: MlflowClient, folder: Path, session: str, *, ended: bool) -> tuple[str, str]:
    """Log a run that registered a version, as an attempt does; return the run's id and the version's number."""
    run = client.create_run("0", tags={sessions.TAG: session})
    client.log_artifact(run.info.run_id, str(folder / "model.txt"), "model")
    version = client.create_model_version(NAME, f"runs:/{run.info.run_id}/model", run.info.run_id)
    if ended:
        client.set_terminated(run.info.run_id)
    return run.info.run_id, str(version.version)


def test_what_lost_attempts_registered_goes(
    served_settings: Settings, registry: Registry, client: MlflowClient, tmp_path: Path
) -> None:
    """Of a training's versions the newest run's is left, and one with an alias; another training's are not touched."""
    (tmp_path / "model.txt").write_text("a model")
    client.create_registered_model(NAME)
    _, other = attempt(client, tmp_path, "another", ended=True)
    lost, gone = attempt(client, tmp_path, "mine", ended=False)
    _, named = attempt(client, tmp_path, "mine", ended=True)
    last, kept = attempt(client, tmp_path, "mine", ended=True)
    client.set_registered_model_alias(NAME, "champion", named)
    sessions.forget_lost(served_settings, "mine")
    left = {str(number) for number in registry.find_versions(NAME)}

    assert left == {other, named, kept}
    assert gone not in left
    assert client.get_run(lost).info.status == "KILLED"
    assert client.get_run(last).info.status == "FINISHED"
