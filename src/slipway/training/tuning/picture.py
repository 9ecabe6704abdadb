"""A picture of a search: its history, and what each argument did to the metric."""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING

from optuna.distributions import CategoricalDistribution
from optuna.exceptions import OptunaError
from optuna.importance import get_param_importances
from optuna.trial import TrialState

if TYPE_CHECKING:
    from pathlib import Path

    from optuna import Study
    from optuna.trial import FrozenTrial

COLUMNS = 3  # of panels
MOST = 11  # arguments that have a panel, the most important ones first
FEW = 4  # trials, below which no importance can be told


def draw(path: Path, title: str, study: Study, metric: str) -> None:
    """Write a PNG: a panel with every trial and the best so far, then one for each argument with its importance.

    The importances are fANOVA's: the share of the metric's variance that an argument explains.
    """
    from matplotlib.figure import Figure  # half a second, which an error need not wait for

    done = [trial for trial in study.get_trials(deepcopy=False) if trial.state == TrialState.COMPLETE]
    shares = weigh(study, done)
    names = sorted({name for trial in done for name in trial.params}, key=lambda name: -shares.get(name, 0))[:MOST]
    columns = min(COLUMNS, len(names) + 1)
    rows = -(-(len(names) + 1) // columns)
    figure = Figure(figsize=(4.2 * columns, 3.2 * rows + 0.4), layout="constrained")
    figure.suptitle(title.replace("$", r"\$"))
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in panels[len(names) + 1 :]:
        axes.set_axis_off()
    best = min if study.direction.name == "MINIMIZE" else max
    numbers, values = [trial.number for trial in done], [float(trial.value or 0) for trial in done]
    panels[0].plot(numbers, values, "o", markersize=4, alpha=0.6)
    panels[0].step(numbers, list(accumulate(values, best)), where="post", color="tab:orange", label="best so far")
    for state, color in ((TrialState.PRUNED, "tab:gray"), (TrialState.FAIL, "tab:red")):
        others = [trial.number for trial in study.get_trials(deepcopy=False, states=(state,))]
        if others:
            label = f"{len(others)} {'pruned' if state == TrialState.PRUNED else 'failed'}"
            panels[0].plot(others, [0.02] * len(others), "|", color=color, label=label,
                           transform=panels[0].get_xaxis_transform())  # fmt: skip
    panels[0].set(xlabel="trial", ylabel=metric)
    panels[0].legend(fontsize="small")
    for axes, name in zip(panels[1:], names, strict=False):
        own = [trial for trial in done if name in trial.params]
        axes.scatter([trial.params[name] for trial in own], [trial.value for trial in own], s=14, alpha=0.7,
                     c=[trial.number for trial in own])  # fmt: skip
        if getattr(own[-1].distributions[name], "log", False):
            axes.set_xscale("log")
        if isinstance(own[-1].distributions[name], CategoricalDistribution):
            axes.margins(x=0.2)
        share = f", importance {shares[name]:.2f}" if name in shares else ""
        axes.set(xlabel=f"{name}{share}".replace("$", r"\$"))
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def weigh(study: Study, done: list[FrozenTrial]) -> dict[str, float]:
    """Return the importance of each argument, 0 to 1, or nothing where too few trials, or equal ones, tell none."""
    if len(done) < FEW or len({trial.value for trial in done}) == 1:
        return {}
    try:
        return get_param_importances(study)
    except (OptunaError, ValueError, RuntimeError):
        return {}
