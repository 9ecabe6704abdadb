"""`make promote` and `make rollback`: the release pipeline without a target, printing its steps."""

from __future__ import annotations

import shlex
import sys
import time
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING

from slipway import hints, interruption, model_folder
from slipway.errors import USAGE, SlipwayError, TimedOutError
from slipway.interruption import Interruption
from slipway.polling import poll
from slipway.registry import connection, model_uri
from slipway.registry.client import CHAMPION, Registry
from slipway.registry.connection import UnreachableError
from slipway.release import history, lock
from slipway.release.history import Release
from slipway.release.pipeline import MovedMeanwhileError, Order, Pipeline
from slipway.release.protocols import Preempted
from slipway.services import deployer_client

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from slipway.model_folder import ModelFolder
    from slipway.registry.model_uri import ModelRef
    from slipway.release.candidate import Outcome
    from slipway.settings import Settings

OUTAGE_S = 15.0  # that a tracking server is looked for, to note its outage


class Printer:
    """A recorder that prints the examination's steps and their results; the commands print the rest."""

    def step(self, name: str, work: Interruption | None = None) -> AbstractContextManager[Callable[[str], None]]:
        """Print a step of an examination; unless the work has to end."""
        return _print_step(name) if work else nullcontext(lambda _: None)

    def note_champion(self, version: int | None) -> None:
        """Do nothing: the command has printed it."""

    def check_wanted(self) -> None:
        """Do nothing: Ctrl-C cancels a command."""

    def will_resume(self, error: SlipwayError) -> bool:
        """Whether running the command again may help, as after an outage."""
        return isinstance(error, UnreachableError)


def promote(settings: Settings, uri: str, *, force: bool, why: str) -> None:
    """Take a version (the newest, if `uri` is empty) through gate and smoke test, then move @champion to it.

    With `force`, override the gate's verdict, and record by whom and why. Raises SlipwayError when it is
    refused, or when somebody rolls back meanwhile, which goes first: @champion is untouched.
    """
    started = time.monotonic()
    model = model_folder.load(settings.model_dir)
    connection.limit_retries()
    registry = Registry.connect(settings)
    found = find_version(registry, model, uri or f"models:/{model.name}/latest")
    version, holder = int(found.version or 0), lock.identify_caller()
    again = f"make promote MODEL={shlex.quote(f'models:/{model.name}/{version}')}"
    with lock.held(registry, model.name, holder):
        champion = registry.find_champion(model.name)
        if version == champion:
            print(f"{model.name} version {version} is @{CHAMPION} already")
            return
        print(f"promoting {model.name} version {version}; champion: {f'version {champion}' if champion else 'none'}")
        order = Order(version, history.PROMOTED, holder.by, found, force=force, why=why, again=again)
        _promote(Pipeline(settings, registry, model, holder, Printer()), order, champion)
    print(f"{model.name} version {version} is @{CHAMPION}, after {time.monotonic() - started:.1f} s", flush=True)
    command = "test_api" if _follow_up(settings, registry, model, version) else "serve_model"
    hints.say_next(f"make {command} MODEL={shlex.quote(f'models:/{model.name}@{CHAMPION}')}")


def _promote(pipeline: Pipeline, order: Order, champion: int | None) -> None:
    """Run a promotion; any error says that the version was not promoted."""
    words = f"version {order.version} was not promoted"
    try:
        pipeline.release(order, Interruption())
    except MovedMeanwhileError:
        raise
    except lock.GiveWayError as error:
        raise SlipwayError(f"{words}: {error.message}", order.again) from None
    except Preempted as reason:
        raise SlipwayError(f"{words}: {reason}", order.again) from None
    except UnreachableError as error:  # no word against the version
        event = Release(history.INTERRUPTED, order.version, champion, order.by, error.message)
        if _is_champion_after_outage(pipeline, event):
            return
        raise UnreachableError(
            f"version {order.version} was neither promoted nor refused: {error.message}", error.cure
        ) from None
    except TimedOutError as error:
        raise error.within(f"version {order.version} was neither promoted nor refused: ") from None
    except SlipwayError as error:
        raise SlipwayError(
            f"{words}: {error.message}", error.cure or model_uri.choose_cure(error.message), error.code
        ) from None


def roll_back(settings: Settings, to: str = "", roll_out: Callable[[Outcome], None] | None = None) -> None:
    """Move @champion back to the previous champion, or to the earlier one `to`, after smoke test and `roll_out`.

    Without `roll_out` it ends when a deployer's server answers; with it, a champion is rolled out again. It waits for
    no candidate: whoever works on one gives way.

    Raises SlipwayError when there is none, or when it fails: @champion is untouched, and the cure names the version,
    so that a second try goes no further back.
    """
    started = time.monotonic()
    model = model_folder.load(settings.model_dir)
    connection.limit_retries()
    registry = Registry.connect(settings)
    holder = lock.identify_caller()
    version = choose_previous(registry, model, to)  # before it waits: two at once go to the same version
    again = f"make rollback TO={version}{' TARGET=kubernetes' if roll_out else ''}"
    with lock.held(registry, model.name, holder, lock.PATIENCE_S, lock.ROLLBACK):
        champion = registry.find_champion(model.name)
        if version == champion:
            print(f"{model.name} version {version} is @{CHAMPION} already", flush=True)
            if roll_out is None:
                _follow_up(settings, registry, model, version)
                return
        else:
            print(f"{model.name}: rolling back from version {champion} to version {version}", flush=True)
        pipeline = Pipeline(
            settings, registry, model, holder, Printer(), owner="rollback", refusals=False, prove=roll_out
        )
        order = Order(version, history.ROLLED_BACK, holder.by, again=again)
        _roll_back(pipeline, order, "rolled out" if version == champion else f"@{CHAMPION} again")
    print(f"{model.name} version {version} is @{CHAMPION} again, after {time.monotonic() - started:.1f} s", flush=True)
    if roll_out is None:
        _follow_up(settings, registry, model, version)


def _roll_back(pipeline: Pipeline, order: Order, goal: str) -> None:
    """Run a rollback; any error says how to try the same version again."""
    try:
        pipeline.release(order, Interruption())
    except MovedMeanwhileError:
        raise
    except UnreachableError as error:
        raise UnreachableError(error.message, f"{error.cure}, then {order.again}") from None
    except TimedOutError as error:
        raise TimedOutError(error.message, error.cure.replace("the same command", order.again), error.code) from None
    except SlipwayError as error:
        words = f"version {order.version} is not {goal}: {error.message}"
        raise SlipwayError(words, f"{order.again}; or make releases, for another version", error.code) from None
    except KeyboardInterrupt:
        print(f"\ninterrupted; {hints.complete(order.again)} tries again", file=sys.stderr)
        raise


def find_version(registry: Registry, model: ModelFolder, uri: str) -> ModelRef:
    """Return the version of the folder's model that a URI names.

    Raises SlipwayError if it names none, or another model, whose rules are in another model.toml.
    """
    found = model_uri.resolve(registry, uri)
    if found.name != model.name or not found.version:
        what = f"a version of {found.name}" if found.name else "not registered"
        raise SlipwayError(
            f"{uri} is {what}; {model.path.name}/model.toml has the rules of {model.name}", "make list_models", USAGE
        )
    return found


def choose_previous(registry: Registry, model: ModelFolder, to: str = "") -> int:
    """Return the version that a rollback goes to; with `to`, the champion itself when it is that already.

    Raises SlipwayError if there is no earlier champion, or `to` was never one.
    """
    if to and not to.isdigit():
        raise SlipwayError(f"TO is {to!r}: must be a version number", "make releases", USAGE)
    champion = registry.find_champion(model.name)
    way = history.walk(history.read(registry, model.name), champion)[:-1]
    if champion is None:
        raise SlipwayError(f"{model.name} has no @{CHAMPION} to roll back from", "make promote")
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
            f"make promote MODEL={shlex.quote(f'models:/{model.name}/{to}')}",
        )
    return int(to) if to else way[-1]


def _is_champion_after_outage(pipeline: Pipeline, event: Release) -> bool:
    """Whether the version became champion although an answer was lost; if not, record the interruption.

    Looks until the tracking server is back; gives up soon, as the error is printed anyway.
    """
    print(
        f"the tracking server went away; waiting up to {OUTAGE_S:.0f} s for it, to record that",
        file=sys.stderr,
        flush=True,
    )
    registry, name = pipeline.registry, pipeline.model.name

    def look() -> str:
        try:
            connection.check_reachable(pipeline.settings)
            if registry.find_champion(name) == event.version:
                return "champion"
            history.record(registry, name, event)
        except SlipwayError:
            return ""
        return "recorded"

    return poll(look, OUTAGE_S, 0.5) == "champion"


def _follow_up(settings: Settings, registry: Registry, model: ModelFolder, version: int) -> bool:
    found = registry.find_version(model.name, version)
    return deployer_client.follow_up(settings, model.name, version, found.creation_timestamp if found else None)


@contextmanager
def _print_step(name: str) -> Iterator[Callable[[str], None]]:
    interruption.check()
    started = time.monotonic()
    print(f"\n== {name}", flush=True)
    yield lambda words: print(f"{words} ({time.monotonic() - started:.1f} s)", flush=True)
