"""Which of Optuna's samplers proposes the next protocol.

A sampler is made anew for every trial, seeded by the search's seed and the trial's number: a proposal then depends on
nothing but these and the trials told before it, so that a search that was interrupted goes on as if it had not been.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np

from designer.goal import Goal
from designer.space import Space
from followers.errors import InputError

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler

__all__ = ["EVOLUTION", "MODELLED", "SAMPLERS", "START", "choose_sampler", "quasi_random", "sampler_of"]

START = 16
"""Quasi-random protocols (Sobol's sequence) at the start of a search, after those it starts from."""

MODELLED = 64
"""Trials that TPE proposes where `auto` chose it, before steps from the best take over: its model goes through all
trials for every proposal, which by then takes longer than to play what it proposes."""

Make = Callable[[int, Space], "BaseSampler"]


def _tpe(seed: int, space: Space) -> BaseSampler:
    import optuna

    # trials in flight count as bad ones, so that they are not proposed twice ("constant liar")
    return optuna.samplers.TPESampler(
        seed=seed, n_startup_trials=0, multivariate=True, group=space.conditional, constant_liar=True
    )


def _gp(seed: int, space: Space) -> BaseSampler:
    import optuna

    return optuna.samplers.GPSampler(seed=seed, n_startup_trials=0, deterministic_objective=True)


def _cmaes(seed: int, space: Space) -> BaseSampler:
    import optuna

    return optuna.samplers.CmaEsSampler(seed=seed, n_startup_trials=0, warn_independent_sampling=False)


def _nsga2(seed: int, space: Space) -> BaseSampler:
    import optuna

    return optuna.samplers.NSGAIISampler(seed=seed, population_size=24)


def _nsga3(seed: int, space: Space) -> BaseSampler:
    import optuna

    return optuna.samplers.NSGAIIISampler(seed=seed, population_size=24)


def _random(seed: int, space: Space) -> BaseSampler:
    import optuna

    return optuna.samplers.RandomSampler(seed=seed)


SAMPLERS: Mapping[str, Make] = {
    "tpe": _tpe,
    "gp": _gp,
    "cma-es": _cmaes,
    "nsga-ii": _nsga2,
    "nsga-iii": _nsga3,
    "random": _random,
}
"""By the name a user gives: multivariate TPE (Watanabe 2023), Gaussian processes (needs torch), CMA-ES (Hansen 2016),
NSGA-II (Deb et al. 2002), NSGA-III (Deb & Jain 2014), and uniform draws."""

EVOLUTION = "evolution"
"""Steps from the best throughout (`designer.evolution`): no sampler of Optuna's has a part in it."""

_FRONTS = ("nsga-ii", "nsga-iii", "tpe", "random", EVOLUTION)
_NEEDS = {"gp": "torch", "cma-es": "cmaes"}


def choose_sampler(wanted: str, space: Space, goal: Goal, *, front: bool) -> tuple[str, int | None]:
    """The sampler's name, and how many trials it proposes before steps from the best take over (None: all).

    `auto` picks by what is wanted and by the space. A front: TPE for two figures (Ozaki et al. 2022), NSGA-III for
    more. One figure: CMA-ES where every knob is continuous and nothing constrains (it knows no constraints), else TPE.
    TPE only begins the search, with `MODELLED` trials.

    Raises
    ------
    InputError : no such sampler, one that cannot do what is wanted, or one whose library is not installed.
    """
    if wanted == "auto":
        if front:
            return ("tpe", MODELLED) if len(goal.front) == 2 else ("nsga-iii", None)
        free = space.continuous and not goal.constrained and not space.limits and space.dimensions() > 1
        return ("cma-es", None) if free and find_spec("cmaes") else ("tpe", MODELLED)
    if wanted not in (*SAMPLERS, EVOLUTION):
        raise InputError(f"sampler {wanted!r}: no such sampler; allowed: auto, {', '.join((*SAMPLERS, EVOLUTION))}")
    if front and wanted not in _FRONTS:
        return choose_sampler("auto", space, goal, front=True)
    if not front and wanted == "cma-es" and (goal.constrained or space.limits or not space.continuous):
        raise InputError(
            "sampler 'cma-es': it knows neither constraints nor choices; use auto, or a goal without constraints "
            "(at_least = {}, steady = false) over ranges only"
        )
    needed = _NEEDS.get(wanted)
    if needed and not find_spec(needed):
        raise InputError(
            f"sampler {wanted!r}: needs the package {needed}, which is not installed; pip install {needed}"
        )
    return wanted, 0 if wanted == EVOLUTION else None


def sampler_of(name: str, space: Space, seed: int, number: int) -> BaseSampler:
    """The sampler that proposes trial `number`."""
    import optuna

    own = int(np.random.SeedSequence([seed, number]).generate_state(1)[0])
    with warnings.catch_warnings():
        # multivariate TPE and its groups are marked experimental
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return SAMPLERS[name](own, space)


def quasi_random(space: Space, seed: int) -> list[tuple[float, ...]]:
    """Coordinates of the first `START` protocols: scrambled Sobol points (Owen 1998)."""
    from scipy.stats.qmc import Sobol

    points = Sobol(space.dimensions(), scramble=True, rng=np.random.default_rng([seed, 2])).random(START)
    return [tuple(point) for point in points.tolist()]
