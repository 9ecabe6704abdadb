"""What the gate says of a version beside the champion: what is on record of both, or measured now."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from slipway import gate, interruption, registry, validation
from slipway.errors import SlipwayError, TimedOutError

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from slipway.folder import ModelFolder
    from slipway.settings import Settings
    from slipway.validation import Measured


@dataclass(frozen=True)
class Weighed:
    """A verdict, and what it rests on: what was measured of the version, then of the champion."""

    verdict: gate.Verdict
    measured: dict[int, Measured]


def weigh(settings: Settings, client: MlflowClient, model: ModelFolder, version: int, champion: int | None) -> Weighed:
    """Measure both versions on the held-out data, unless that is on record, and ask the gate.

    Raises SlipwayError when the version cannot be measured.
    """
    measured = {version: _measure(settings, client, model, version)}
    if champion is not None:
        try:
            measured[champion] = _measure(settings, client, model, champion)
        except (TimedOutError, registry.UnreachableError):
            raise  # no word against either
        except SlipwayError as error:  # its files are gone, say
            interruption.check()
            return Weighed(gate.Verdict("not comparable", f"the champion cannot be measured: {error.message}"), measured)
    return Weighed(judge(model, measured, version, champion), measured)


def recall(client: MlflowClient, model: ModelFolder, version: int, champion: int | None) -> Weighed:
    """Ask the gate with what is on record, and measure nothing."""
    versions = [version, *([champion] if champion else [])]
    measured = {each: validation.measure(client, client.get_model_version(model.name, str(each))) for each in versions}
    return Weighed(judge(model, measured, version, champion), measured)


def judge(model: ModelFolder, measured: dict[int, Measured], version: int, champion: int | None) -> gate.Verdict:
    """Return the gate's verdict on measurements."""
    evidence = {each: gate.Evidence(each, found.metrics, found.data) for each, found in measured.items()}
    return gate.judge(model.rules, evidence[version], None if champion is None else evidence[champion])


def _measure(settings: Settings, client: MlflowClient, model: ModelFolder, version: int) -> Measured:
    validation.ensure(settings, client, client.get_model_version(model.name, str(version)))
    return validation.measure(client, client.get_model_version(model.name, str(version)))
