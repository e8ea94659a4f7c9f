"""What designing for N drawn populations promises for the next one (DESIGN section 5).

A convex program with d decision variables that meets its constraints in N independent draws violates them in a fresh
draw with probability at most eps, with confidence 1 - beta, where

    sum_{i < d} C(N, i) eps^i (1 - eps)^(N - i) = beta.

Campi & Garatti (2008), The exact feasibility of randomized solutions of uncertain convex programs, SIAM Journal on
Optimization 19(3), Theorem 1. The left side is the distribution function of a binomial, so eps is a quantile of a beta
distribution.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["ScenarioPromise", "clopper_pearson", "draws_needed", "promise"]


@dataclass(frozen=True, slots=True)
class ScenarioPromise:
    """With confidence `confidence`, a fresh draw violates the design with probability at most `violation`.

    draws : N, populations designed for. variables : d, of the convex program. programs : how many were solved for the
    same draws, before one was chosen. It speaks of the prior that the draws come from, not of how well that prior
    describes the world.
    """

    draws: int
    variables: int
    confidence: float
    violation: float
    programs: int = 1

    def sentence(self) -> str:
        """The promise in words."""
        chosen = "" if self.programs == 1 else f", the best of {self.programs:,} programs"
        return (
            f"designed for {self.draws:,} drawn populations: with confidence {self.confidence:.6g} a fresh one "
            f"violates it with probability at most {self.violation:.3g} "
            f"(Campi & Garatti 2008, {self.variables} variables{chosen})"
        )


def promise(draws: int, variables: int, confidence: float = 0.999, *, programs: int = 1) -> ScenarioPromise:
    """What N = `draws` draws promise for a convex program with d = `variables`; 1 where they are too few.

    Where several programs were solved for the same draws and one was chosen by its answer, all of them must keep the
    promise at once, so that each may fail with probability (1 - confidence) / programs only (Bonferroni).

    Raises
    ------
    ValueError : no draws, variables or programs, or a confidence that is not strictly between 0 and 1.
    """
    from scipy.stats import beta

    if draws < 1 or variables < 1 or programs < 1:
        raise ValueError(
            f"scenarios: {draws} draws, {variables} variables and {programs} programs; at least 1 of each is needed"
        )
    _check_share("confidence", confidence)
    failing = (1.0 - confidence) / programs
    eps = 1.0 if draws < variables else float(beta.isf(failing, variables, draws - variables + 1))
    return ScenarioPromise(draws, variables, confidence, eps, programs)


def draws_needed(violation: float, variables: int, confidence: float = 0.999) -> int:
    """Least number of draws that promises a violation probability of at most `violation`."""
    _check_share("violation", violation)
    low, high = 0, max(variables, 1)
    while promise(high, variables, confidence).violation > violation:
        low, high = high, 2 * high
    while high - low > 1:  # more draws never promise less
        middle = (low + high) // 2
        if promise(middle, variables, confidence).violation > violation:
            low = middle
        else:
            high = middle
    return high


def clopper_pearson(hits: int, draws: int, confidence: float = 0.95) -> tuple[float, float]:
    """Exact confidence interval of a probability of which `hits` of `draws` were seen.

    Clopper & Pearson (1934), Biometrika 26(4).
    """
    from scipy.stats import beta

    _check_share("confidence", confidence)
    if not 0 <= hits <= draws or draws < 1:
        raise ValueError(f"scenarios: {hits} of {draws} draws; must be between none and all of at least 1")
    tail = 0.5 * (1.0 - confidence)
    low = float(beta.ppf(tail, hits, draws - hits + 1)) if hits > 0 else 0.0
    high = float(beta.ppf(1.0 - tail, hits + 1, draws - hits)) if hits < draws else 1.0
    return low, high


def _check_share(name: str, value: float) -> None:
    if not 0 < value < 1:
        raise ValueError(f"scenarios: {name} = {value:g}; must lie strictly between 0 and 1")
