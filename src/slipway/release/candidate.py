"""A version on its way to @champion: its files, the gate, its image, its smoke test.

Whoever releases it takes these steps.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from slipway import runtimes
from slipway.errors import SlipwayError
from slipway.monitoring import results
from slipway.registry import mlmodel, model_files, model_uri
from slipway.release import passes
from slipway.serving import api_test, server, smoke_test
from slipway.training import compare, gate, weighing

if TYPE_CHECKING:
    from pathlib import Path

    from slipway.model_folder import ModelFolder
    from slipway.registry.client import Registry
    from slipway.registry.model_uri import ModelRef
    from slipway.runtimes.base import Prepared
    from slipway.settings import Settings

# Opens a step of a release; what it yields takes what came of it
Step = Callable[[str], AbstractContextManager[Callable[[str], None]]]


@dataclass(frozen=True)
class Outcome:
    """A version that may become champion: prepared for serving, with its verdict."""

    prepared: Prepared
    make_case: Callable[[], api_test.Case]  # what the smoke test asks, to ask again where the version is rolled out
    verdict: str
    forced: bool = False


@dataclass(frozen=True)
class Candidacy:
    """A version on its way to @champion, and the champion it would follow (None for the first)."""

    settings: Settings
    registry: Registry
    model: ModelFolder
    version: int
    champion: int | None
    found: ModelRef | None = None  # the version, when it was resolved already
    picture: Path | None = None  # where the verdict is drawn
    owner: str = "release"  # of the smoke test

    def examine(self, step: Step, *, judged: bool = True, force: bool = False) -> Outcome:
        """Take the version through files, gate (unless not `judged`), image and smoke test.

        Raises SlipwayError at the first that fails; `force` overrides the gate, never a failure.
        """
        verdicts = [gate.Verdict("not judged", "it was champion before", passed=True)]
        with step("files") as told:
            found = self.found or model_uri.resolve(self.registry, f"models:/{self.model.name}/{self.version}")
            prepared = server.prepare_ref(self.settings, self.registry, found, fresh=True)
            if not prepared.model.checksum:
                model_files.record_checksum(self.registry, self.model.name, str(self.version), prepared.files)
            whole = (
                "as they were registered" if prepared.model.checksum else "registered without a checksum; recorded now"
            )
            told("; ".join([whole, *mlmodel.find_gaps(prepared.files)]))
        if judged:
            with step("gate") as told:
                verdicts = [self._weigh(prepared.model)]
                known = results.describe(self.registry, self.model.name, self.champion)
                told("; ".join(filter(None, [_pass(verdicts[0], force=force), known])))
        with step("image") as told:
            prepared = server.refresh(prepared)  # what the gate measured is part of what a server says of itself
            told(runtimes.of(self.settings).image(prepared))
        with step("smoke test") as told:
            make_case, latency, before = self._test(prepared)
            verdicts.append(gate.judge_latency(self.model.rules, latency))
            if verdicts[1].passed and not before:
                passes.record(self.registry, self.settings, prepared, latency)
            told(_pass(verdicts[1], force=force or not judged) + before)
        decisive = next((verdict for verdict in verdicts if not verdict.passed), verdicts[0])
        return Outcome(prepared, make_case, decisive.line, forced=judged and not decisive.passed)

    def _test(self, prepared: Prepared) -> tuple[Callable[[], api_test.Case], float, str]:
        """Run the smoke test, unless this image passed it within the hour.

        So a promotion and the deployer run it once, not twice.

        In that case the reference predictions are made only when needed: they take seconds, which a rollback may not
        have.
        """
        passed = passes.find(self.registry, self.settings, prepared)
        if passed:
            make_case = partial(api_test.make_case, self.settings, prepared)
            return make_case, passed.latency_ms, f"; passed {passed.age_s:.0f} s ago with this image"
        case, latency = smoke_test.run(self.settings, prepared, self.owner, self.model.rules.latency_ms)
        return lambda: case, latency, ""

    def _weigh(self, found: ModelRef) -> gate.Verdict:
        """Measure both versions on the held-out data, unless recorded already, and apply the gate."""
        weighed = weighing.weigh(self.settings, self.registry, self.model, found, self.champion)
        if self.picture:
            names = dict.fromkeys([self.model.rules.metric, *self.model.rules.at_least, *self.model.rules.at_most])
            versions = [(f"version {version}", each) for version, each in weighed.measured.items()]
            compare.draw(self.picture, weighed.verdict.line, versions, list(names))
        return weighed.verdict


def _pass(verdict: gate.Verdict, *, force: bool) -> str:
    if not (verdict.passed or force):
        cure = "log it when training, or name another in model.toml" if verdict.kind == gate.MISSING else "make compare"
        raise SlipwayError(verdict.line, f"{cure}; FORCE=1 WHY=… promotes it against the verdict")
    return verdict.line if verdict.passed else f"{verdict.line}; forced"
