"""Promotion and rollback: from a candidate to the alias @champion, with evidence. The deployer takes the same steps."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from slipway import comparison, folder, gate, hints, history, models, mutex, registry, serving, smoke, trial, validation
from slipway.errors import USAGE, SlipwayError, TimedOutError
from slipway.history import Release

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mlflow import MlflowClient

    from slipway.folder import ModelFolder
    from slipway.settings import Settings

Step = Callable[[str], AbstractContextManager[Callable[[str], None]]]  # opens a step of a release; what it yields takes what came of it


@dataclass(frozen=True)
class Outcome:
    """A version that may become champion: ready to be served, and with what verdict."""

    prepared: serving.Prepared
    case: smoke.Case  # that the smoke test asked, to ask again where the version is rolled out
    verdict: str
    forced: bool = False


@dataclass(frozen=True)
class Candidacy:
    """A version on its way to @champion, and the champion it would follow (None for the first)."""

    settings: Settings
    client: MlflowClient
    model: ModelFolder
    version: int
    champion: int | None
    picture: Path | None = None  # where the verdict is drawn
    owner: str = "release"  # of the smoke test

    def examine(self, step: Step, *, judged: bool = True, force: bool = False) -> Outcome:
        """Take the version through files, gate (unless not `judged`), image and smoke test.

        Raises SlipwayError at the first that fails; `force` lets pass what the gate refuses, never what does not work.
        """
        uri = f"models:/{self.model.name}/{self.version}"
        verdicts = [gate.Verdict("not judged", "it was champion before", passed=True)]
        with step("files") as told:
            prepared = serving.prepare(self.settings, uri, fresh=True)
            if not prepared.model.checksum:
                models.record_checksum(self.client, self.model.name, str(self.version), prepared.files)
            told("as they were registered" if prepared.model.checksum else "registered without a checksum; recorded now")
        if judged:
            with step("gate") as told:
                verdicts = [self.weigh()]
                told(_pass(verdicts[0], force=force))
        with step("image") as told:
            prepared = serving.prepare(self.settings, uri)  # after the gate: what it measured is part of what a server says of itself
            told(serving.build(self.settings, prepared))
        with step("smoke test") as told:
            case, latency = trial.run(self.settings, prepared, self.owner, self.model.rules.latency_ms)
            verdicts.append(gate.judge_latency(self.model.rules, latency))
            told(_pass(verdicts[1], force=force or not judged))
        decisive = next((verdict for verdict in verdicts if not verdict.passed), verdicts[0])
        return Outcome(prepared, case, decisive.line, forced=judged and not decisive.passed)

    def weigh(self) -> gate.Verdict:
        """Measure both versions on the held-out data, unless that is on record, and ask the gate."""
        measured = {self.version: self._measure(self.version)}
        if self.champion is not None:
            try:
                measured[self.champion] = self._measure(self.champion)
            except (TimedOutError, registry.UnreachableError):
                raise  # no word against either
            except SlipwayError as error:  # its files are gone, say
                return gate.Verdict("not comparable", f"the champion cannot be measured: {error.message}")
        evidence = [gate.Evidence(version, each.metrics, each.data) for version, each in measured.items()]
        verdict = gate.judge(self.model.rules, *evidence, *([None] if self.champion is None else []))
        if self.picture:
            names = dict.fromkeys([self.model.rules.metric, *self.model.rules.at_least, *self.model.rules.at_most])
            versions = [(f"version {version}", each) for version, each in measured.items()]
            comparison.draw(self.picture, verdict.line, versions, list(names))
        return verdict

    def _measure(self, version: int) -> validation.Measured:
        validation.ensure(self.settings, self.client, self.client.get_model_version(self.model.name, str(version)))
        return validation.measure(self.client, self.client.get_model_version(self.model.name, str(version)))


def promote(settings: Settings, uri: str, *, force: bool, why: str) -> None:
    """Have a version (the newest, when `uri` is empty) pass the gate and the smoke test, then move @champion to it.

    With `force`, against the gate's verdict, which is recorded with who and why. Raises SlipwayError when it is refused: @champion is
    untouched.
    """
    started = time.monotonic()
    model = folder.load(settings.model_dir)
    registry.hurry()
    client = registry.connect(settings)
    version = find_version(client, model, uri or f"models:/{model.name}/latest")
    holder = mutex.identify_caller()
    with registry.translated_errors(), mutex.held(client, model.name, holder):
        champion = registry.find_champion(client, model.name)
        if version == champion:
            print(f"{model.name} version {version} is @{registry.CHAMPION} already")
            return
        print(f"{model.name} version {version}, to follow {f'version {champion}' if champion else 'no champion'}")
        try:
            outcome = Candidacy(settings, client, model, version, champion).examine(_print_step, force=force)
        except registry.UnreachableError:
            raise  # no word against the version
        except TimedOutError as error:
            raise error.within(f"version {version} is not promoted, and not refused: ") from None
        except SlipwayError as error:
            history.record(client, model.name, Release(history.REFUSED, version, champion, holder.by, error.message))
            raise SlipwayError(f"version {version} is not promoted: {error.message}", error.cure or models.OTHERS, error.code) from None
        move(client, model, Release(history.PROMOTED, version, champion, holder.by, outcome.verdict, outcome.forced, why))
    print(f"{model.name} version {version} is @{registry.CHAMPION}, after {time.monotonic() - started:.1f} s")
    hints.say_next(f"make serve_model MODEL=models:/{model.name}@{registry.CHAMPION}")


def roll_back(settings: Settings, to: str = "", roll_out: Callable[[Outcome], None] = lambda _: None) -> None:
    """Move @champion back to the champion before (or to version `to`, which was one), through the same smoke test, and `roll_out`.

    Raises SlipwayError when there is none, or when it fails: @champion is untouched.
    """
    model = folder.load(settings.model_dir)
    registry.hurry()
    client = registry.connect(settings)
    holder = mutex.identify_caller()
    with registry.translated_errors(), mutex.held(client, model.name, holder):
        champion = registry.find_champion(client, model.name)
        version = choose_previous(client, model, to)
        print(f"{model.name}, back from version {champion} to version {version}")
        outcome = Candidacy(settings, client, model, version, champion).examine(_print_step, judged=False)
        roll_out(outcome)
        move(client, model, Release(history.ROLLED_BACK, version, champion, holder.by, outcome.verdict))
    print(f"{model.name} version {version} is @{registry.CHAMPION} again")


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
    """Return the version that a rollback goes to.

    Raises SlipwayError when there is no champion before this one, or `to` was none.
    """
    if to and not to.isdigit():
        raise SlipwayError(f"TO is {to!r}: it is the number of a version", "make releases", USAGE)
    champion = registry.find_champion(client, model.name)
    way = history.walk(history.read(client, model.name), champion)[:-1]
    if champion is None:
        raise SlipwayError(f"{model.name} has no @{registry.CHAMPION} to go back from", "make promote")
    if not way:
        raise SlipwayError(
            f"version {champion} is the first champion of {model.name}; there is none to go back to", "make releases"
        )
    if to and int(to) not in way:
        raise SlipwayError(
            f"version {to} is no champion before version {champion}; those are: {', '.join(map(str, way))}",
            f"make promote MODEL=models:/{model.name}/{to}",
        )
    return int(to) if to else way[-1]


def move(client: MlflowClient, model: ModelFolder, release: Release) -> None:
    """Record a release, then move @champion: what is recorded and was never done is seen, not the other way round.

    Raises SlipwayError when @champion was moved by somebody else meanwhile.
    """
    if registry.find_champion(client, model.name) not in {release.previous, release.version}:
        raise SlipwayError(f"@{registry.CHAMPION} was moved by somebody else meanwhile; nothing is changed", "make releases")
    history.record(client, model.name, release)
    client.set_registered_model_alias(model.name, registry.CHAMPION, str(release.version))


def _pass(verdict: gate.Verdict, *, force: bool) -> str:
    if not (verdict.passed or force):
        raise SlipwayError(verdict.line, "make compare; FORCE=1 WHY=… promotes it against the verdict")
    return verdict.line if verdict.passed else f"{verdict.line}; forced"


@contextmanager
def _print_step(name: str) -> Iterator[Callable[[str], None]]:
    started = time.monotonic()
    print(f"\n== {name}", flush=True)
    yield lambda words: print(f"{words} ({time.monotonic() - started:.1f} s)", flush=True)
