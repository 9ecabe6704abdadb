"""Promotion and rollback: from a candidate to the alias @champion, with evidence. The deployer takes the same steps."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from slipway import hints, interruption, model_folder
from slipway.errors import USAGE, SlipwayError, TimedOutError
from slipway.interruption import Interruption
from slipway.polling import poll
from slipway.registry import client as registry
from slipway.registry import models
from slipway.release import history, lock
from slipway.release.candidate import Candidacy
from slipway.release.history import Release
from slipway.services import deployer_client

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mlflow import MlflowClient

    from slipway.model_folder import ModelFolder
    from slipway.release.candidate import Outcome
    from slipway.settings import Settings

OUTAGE_S = 15.0  # that a tracking server is looked for, to note its outage
PATIENCE_S = 60.0  # for another rollback, or another's move of the alias, to end


class MovedMeanwhileError(SlipwayError):
    """@champion stands for another version than the one that a candidate was measured by."""


def promote(settings: Settings, uri: str, *, force: bool, why: str) -> None:
    """Have a version (the newest, when `uri` is empty) pass the gate and the smoke test, then move @champion to it.

    With `force`, against the gate's verdict, which is recorded with who and why. Raises SlipwayError when it is
    refused, or when somebody rolls back meanwhile, which goes first: @champion is untouched.
    """
    started = time.monotonic()
    model = model_folder.load(settings.model_dir)
    registry.limit_retries()
    client = registry.connect(settings)
    version = find_version(client, model, uri or f"models:/{model.name}/latest")
    holder = lock.identify_caller()
    again = f"make promote MODEL=models:/{model.name}/{version}"
    with registry.translated_errors(), lock.held(client, model.name, holder):
        champion = registry.find_champion(client, model.name)
        if version == champion:
            print(f"{model.name} version {version} is @{registry.CHAMPION} already")
            return
        print(f"{model.name} version {version}, to follow {f'version {champion}' if champion else 'no champion'}")
        try:
            with lock.giving_way(Interruption(), client, model.name, holder):
                outcome = Candidacy(settings, client, model, version, champion).examine(print_step, force=force)
        except lock.GiveWayError as error:
            raise SlipwayError(f"version {version} was not promoted: {error.message}", again) from None
        except registry.UnreachableError as error:  # no word against the version
            _note_outage(
                settings, client, model, Release(history.INTERRUPTED, version, champion, holder.by, error.message)
            )
            raise registry.UnreachableError(
                f"version {version} was neither promoted nor refused: {error.message}", error.cure
            ) from None
        except TimedOutError as error:
            raise error.within(f"version {version} was neither promoted nor refused: ") from None
        except SlipwayError as error:
            history.record(client, model.name, Release(history.REFUSED, version, champion, holder.by, error.message))
            raise SlipwayError(
                f"version {version} was not promoted: {error.message}", error.cure or models.OTHERS, error.code
            ) from None
        move(
            client,
            model,
            Release(history.PROMOTED, version, champion, holder.by, outcome.verdict, outcome.forced, why),
            holder,
            again,
        )
    print(
        f"{model.name} version {version} is @{registry.CHAMPION}, after {time.monotonic() - started:.1f} s", flush=True
    )
    command = "test_api" if _follow_up(settings, client, model, version) else "serve_model"
    hints.say_next(f"make {command} MODEL=models:/{model.name}@{registry.CHAMPION}")


def roll_back(settings: Settings, to: str = "", roll_out: Callable[[Outcome], None] | None = None) -> None:
    """Move @champion back to the champion before, or to version `to`, which was one, and `roll_out`.

    The smoke test is the same. Without `roll_out`, it ends when a deployer's server answers; with it, a champion is
    rolled out again. It waits for no candidate: whoever works on one gives way.

    Raises SlipwayError when there is none, or when it fails: @champion is untouched, and the cure names the version,
    so that a second try goes no further back.
    """
    started = time.monotonic()
    model = model_folder.load(settings.model_dir)
    registry.limit_retries()
    client = registry.connect(settings)
    holder = lock.identify_caller()
    with registry.translated_errors():
        version = choose_previous(client, model, to)  # before it waits: two at once go to the same version
        again = f"make rollback TO={version}{' TARGET=kubernetes' if roll_out else ''}"
        with lock.held(client, model.name, holder, PATIENCE_S, lock.ROLLBACK):
            champion = registry.find_champion(client, model.name)
            if version == champion:
                print(f"{model.name} version {version} is @{registry.CHAMPION} already", flush=True)
                if roll_out is None:
                    _follow_up(settings, client, model, version)
                    return
            else:
                print(f"{model.name}, back from version {champion} to version {version}", flush=True)
            try:
                outcome = Candidacy(settings, client, model, version, champion, owner="rollback").examine(
                    print_step, judged=False
                )
                if roll_out:
                    roll_out(outcome)
            except registry.UnreachableError as error:
                raise registry.UnreachableError(error.message, f"{error.cure}, then {again}") from None
            except TimedOutError as error:
                raise TimedOutError(error.message, error.cure.replace("the same command", again), error.code) from None
            except SlipwayError as error:
                failed = "rolled out" if version == champion else f"@{registry.CHAMPION} again"
                words = f"version {version} is not {failed}: {error.message}"
                raise SlipwayError(words, f"{again}; or make releases, for another version", error.code) from None
            except KeyboardInterrupt:
                print(f"\nnot rolled back; {hints.complete(again)} tries it again", file=sys.stderr)
                raise
            if version != champion:
                move(
                    client,
                    model,
                    Release(history.ROLLED_BACK, version, champion, holder.by, outcome.verdict),
                    holder,
                    again,
                )
    print(
        f"{model.name} version {version} is @{registry.CHAMPION} again, after {time.monotonic() - started:.1f} s",
        flush=True,
    )
    if roll_out is None:
        _follow_up(settings, client, model, version)


def find_version(client: MlflowClient, model: ModelFolder, uri: str) -> int:
    """Return which version of the folder's model a URI names.

    Raises SlipwayError when it names none, or another model: its rules stand in another model.toml.
    """
    found = models.resolve(client, uri)
    if found.name != model.name or not found.version:
        what = f"a version of {found.name}" if found.name else "not registered"
        raise SlipwayError(
            f"{uri} is {what}; {model.path.name}/model.toml has the rules of {model.name}", "make list_models", USAGE
        )
    return int(found.version)


def choose_previous(client: MlflowClient, model: ModelFolder, to: str = "") -> int:
    """Return the version that a rollback goes to; with `to`, the champion itself when it is that already.

    Raises SlipwayError when there is no champion before this one, or `to` was none.
    """
    if to and not to.isdigit():
        raise SlipwayError(f"TO is {to!r}: must be a version number", "make releases", USAGE)
    champion = registry.find_champion(client, model.name)
    way = history.walk(history.read(client, model.name), champion)[:-1]
    if champion is None:
        raise SlipwayError(f"{model.name} has no @{registry.CHAMPION} to roll back from", "make promote")
    if to and int(to) == champion:
        return champion
    if not way:
        raise SlipwayError(
            f"version {champion} is the first champion of {model.name}; there is no earlier one to roll back to",
            "make releases",
        )
    if to and int(to) not in way:
        raise SlipwayError(
            f"version {to} was never champion before version {champion}; earlier champions: {', '.join(map(str, way))}",
            f"make promote MODEL=models:/{model.name}/{to}",
        )
    return int(to) if to else way[-1]


def move(
    client: MlflowClient, model: ModelFolder, release: Release, holder: lock.Holder, again: str = "make releases"
) -> None:
    """Record a release, then move @champion: what is recorded and was never done is seen, not the other way round.

    Raises MovedMeanwhileError when @champion was moved by somebody else meanwhile.
    """
    with lock.held(client, model.name, holder, PATIENCE_S, lock.MOVE):
        champion = registry.find_champion(client, model.name)
        if champion not in {release.previous, release.version}:
            now = f"to version {champion}" if champion else "away"
            raise MovedMeanwhileError(
                f"@{registry.CHAMPION} was moved {now} by somebody else meanwhile; nothing is changed", again
            )
        history.record(client, model.name, release)
        client.set_registered_model_alias(model.name, registry.CHAMPION, str(release.version))


def _note_outage(settings: Settings, client: MlflowClient, model: ModelFolder, event: Release) -> None:
    """Record that the tracking server went away in a release, once it is back; give up soon: the caller knows."""
    print(
        f"the tracking server went away; waiting up to {OUTAGE_S:.0f} s for it, to record that",
        file=sys.stderr,
        flush=True,
    )

    def has_recorded() -> bool:
        try:
            registry.check_reachable(settings)
            with registry.translated_errors():
                history.record(client, model.name, event)
        except SlipwayError:
            return False
        return True

    poll(has_recorded, OUTAGE_S, 0.5)


def _follow_up(settings: Settings, client: MlflowClient, model: ModelFolder, version: int) -> bool:
    with registry.translated_errors():
        created = client.get_model_version(model.name, str(version)).creation_timestamp
    return deployer_client.follow_up(settings, model.name, version, created)


@contextmanager
def print_step(name: str) -> Iterator[Callable[[str], None]]:
    """Print a step and what came of it; unless the work has to end."""
    interruption.check()
    started = time.monotonic()
    print(f"\n== {name}", flush=True)
    yield lambda words: print(f"{words} ({time.monotonic() - started:.1f} s)", flush=True)
