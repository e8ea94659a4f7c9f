"""How much each knob matters: one at a time around the recommendation, and its importance over all trials."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from designer.protocol import Knob, Protocol, knobs
from designer.scorecard import Figure, play, scorecard
from designer.search import Evaluated
from followers.population import Population
from solvers.deviations import has_kernel

__all__ = ["IMPORTANCE_OF", "Importance", "Turn", "importances", "knobs_tried", "turns"]

IMPORTANCE_OF = {"pure_share": True, "kendall_tau": True, "designer_cost": False}
"""The figures whose importances are shown, and whether more of it is better."""

_FACTORS = (0.0, 0.5, 0.75, 0.9, 1.0, 1.1, 1.25, 1.5, 2.0)
_MOST_OPTIONS = 9
_LEAST_TRIALS = 12


@dataclass(frozen=True, slots=True)
class Turn:
    """One knob set to another value, the others as recommended; `chosen` marks the recommendation itself.

    value, label : in words, and short.
    figures : of the scorecard, on `draws` populations; None with a `problem` where they do not allow the value.
    """

    knob: str
    value: str
    label: str
    chosen: bool
    draws: int
    figures: dict[str, Figure] | None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Importance:
    """Shares of the variance of a figure over trials that knobs account for, summing to 1; empty with a reason."""

    figure: str
    shares: dict[str, float]
    trials: int
    reason: str = ""


def knobs_tried(trials: Sequence[Evaluated]) -> tuple[str, ...]:
    """The knobs that differ between trials."""
    return tuple(name for name in knobs() if len({getattr(e.protocol, name) for e in trials}) > 1)


def turns(
    many: Population,
    few: Population,
    chosen: Protocol,
    trials: Sequence[Evaluated],
    *,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Turn, ...]:
    """Turn each knob that the trials turned, one at a time, and score it on draws of a population (B, n).

    All values of a knob are scored on the same draws: on `many` where a batch of games is solved at once whatever the
    value, on `few` where one of them leads to games that are solved one by one (noise, rounding, hidden items).
    """
    wanted = [(name, value) for name in knobs_tried(trials) for value in _values(name, chosen, trials)]
    quick = {name: all(_is_quick(chosen, name, v, few) for other, v in wanted if other == name) for name, _ in wanted}
    found = []
    for k, (name, value) in enumerate(wanted):
        if progress is not None:
            progress(k, len(wanted))
        population = many if quick[name] else few
        words, label = knobs()[name].phrase(value), _label(knobs()[name], value)
        own = value == getattr(chosen, name)
        try:
            figures = dict(scorecard(play(replace(chosen, **{name: value}), population)).figures)
        except ValueError as error:
            found.append(Turn(name, words, label, own, population.batch, None, str(error)))
        else:
            found.append(Turn(name, words, label, own, population.batch, figures))
    return tuple(found)


def _is_quick(chosen: Protocol, name: str, value: Any, population: Population) -> bool:
    try:
        game = replace(chosen, **{name: value}).induce(population)
    except ValueError:
        return True  # nothing will be solved
    return game.exact and has_kernel(game)


def _label(knob: Knob, value: Any) -> str:
    """A number as it is, anything else as a file says it."""
    if isinstance(value, int | float):
        return f"{value:,.6g}"
    written = knob.write(value)
    if isinstance(written, dict):
        return " ".join(f"{k} {v:g}" if isinstance(v, int | float) else f"{k} {v}" for k, v in written.items())
    return str(written) if written else "as default"


def _values(name: str, chosen: Protocol, trials: Sequence[Evaluated]) -> list[Any]:
    """Multiples of a number within what was tried; the options tried of anything else, the most frequent ones."""
    own, tried = getattr(chosen, name), [getattr(e.protocol, name) for e in trials]
    if isinstance(own, int | float) and not isinstance(own, bool):
        low, high = min(tried), max(tried)
        values = {own * f for f in _FACTORS} if own else set(np.quantile(tried, [0.0, 0.25, 0.5, 0.75, 1.0]).tolist())
        kept = {type(own)(v) for v in values if low <= v <= high} | {own}
        return sorted(kept)
    counted = sorted(set(tried), key=lambda v: (-tried.count(v), repr(v)))[:_MOST_OPTIONS]
    return counted if own in counted else [own, *counted]


def importances(trials: Sequence[Evaluated]) -> tuple[Importance, ...]:
    """Importance of each knob for each figure by PED-ANOVA (Watanabe, Bansal & Hutter 2023, IJCAI).

    PED-ANOVA is functional ANOVA on the densities of the best trials: closed form, no forest to be fitted, some
    milliseconds for 1,000 trials. Trials in which a figure is undefined are left out.
    """
    return tuple(_importance(trials, figure, more_is_better) for figure, more_is_better in IMPORTANCE_OF.items())


def _importance(trials: Sequence[Evaluated], figure: str, more_is_better: bool) -> Importance:
    import optuna

    names = knobs_tried(trials)
    values = np.array([e.scorecard.mean(figure) for e in trials])
    defined = np.isfinite(values)
    count = int(defined.sum())
    if not names:
        return Importance(figure, {}, count, "every trial has the same protocol")
    if count < _LEAST_TRIALS:
        return Importance(figure, {}, count, f"{count} trials have the figure; {_LEAST_TRIALS} are needed")
    if np.ptp(values[defined]) == 0:
        return Importance(figure, {}, count, "the figure is the same in every trial")
    coded, distributions = _coded(trials, names)
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        study = optuna.create_study(direction="maximize" if more_is_better else "minimize")
        study.add_trials(
            [
                optuna.create_trial(params=coded[k], distributions=distributions, value=float(values[k]))
                for k in np.flatnonzero(defined).tolist()
            ]
        )
        evaluator = optuna.importance.PedAnovaImportanceEvaluator()
        shares = optuna.importance.get_param_importances(study, evaluator=evaluator)
    finally:
        optuna.logging.set_verbosity(level)
    return Importance(figure, {name: float(share) for name, share in shares.items()}, count)


def _coded(trials: Sequence[Evaluated], names: Sequence[str]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Parameters of each trial and their distributions: numbers as they are, of anything else the position."""
    import optuna

    coded: list[dict[str, Any]] = [{} for _ in trials]
    distributions: dict[str, Any] = {}
    for name in names:
        values = [getattr(e.protocol, name) for e in trials]
        if all(isinstance(v, int | float) for v in values):
            distributions[name] = optuna.distributions.FloatDistribution(float(min(values)), float(max(values)))
            for row, v in zip(coded, values, strict=True):
                row[name] = float(v)
        else:
            options = sorted(set(values), key=repr)
            distributions[name] = optuna.distributions.CategoricalDistribution(list(range(len(options))))
            for row, v in zip(coded, values, strict=True):
                row[name] = options.index(v)
    return coded, distributions
