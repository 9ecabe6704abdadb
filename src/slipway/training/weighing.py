"""What the gate says of a version beside the champion, with both measured as they are now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slipway import interruption
from slipway.errors import SlipwayError, TimedOutError
from slipway.registry import client as registry
from slipway.training import gate, measurements, validate
from slipway.training.measurements import Weighed

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from slipway.model_folder import ModelFolder
    from slipway.settings import Settings


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
            return Weighed(
                gate.Verdict("not comparable", f"the champion could not be measured: {error.message}"), measured
            )
    return Weighed(measurements.judge(model, measured, version, champion), measured)


def _measure(settings: Settings, client: MlflowClient, model: ModelFolder, version: int) -> measurements.Measured:
    validate.ensure(settings, client, client.get_model_version(model.name, str(version)))
    return measurements.measure(client, client.get_model_version(model.name, str(version)))
