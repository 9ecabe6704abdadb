"""The gate's verdict on a version and the champion, both measured now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slipway import interruption
from slipway.errors import SlipwayError, TimedOutError
from slipway.registry import model_uri
from slipway.registry.connection import UnreachableError
from slipway.training import gate, measurements, validate
from slipway.training.measurements import Weighed

if TYPE_CHECKING:
    from slipway.model_folder import ModelFolder
    from slipway.registry.client import Registry
    from slipway.registry.model_uri import ModelRef
    from slipway.settings import Settings


def weigh(
    settings: Settings, registry: Registry, model: ModelFolder, candidate: ModelRef, champion: int | None
) -> Weighed:
    """Measure both versions on the held-out data, unless recorded already, and apply the gate.

    Raises SlipwayError when the candidate cannot be measured.
    """
    version = int(candidate.version or 0)
    measured = {version: _measure(settings, registry, model, candidate)}
    if champion is not None:
        try:
            found = model_uri.resolve(registry, f"models:/{model.name}/{champion}")
            measured[champion] = _measure(settings, registry, model, found)
        except (TimedOutError, UnreachableError):
            raise  # no word against either
        except SlipwayError as error:  # its files are gone, say
            interruption.check()
            return Weighed(
                gate.Verdict("not comparable", f"the champion could not be measured: {error.message}"), measured
            )
    return Weighed(measurements.judge(model, measured, version, champion), measured)


def _measure(settings: Settings, registry: Registry, model: ModelFolder, version: ModelRef) -> measurements.Measured:
    return measurements.measure(registry, validate.ensure(settings, registry, model, version))
