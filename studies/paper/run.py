"""`truerank paper`: derive all of it, print it, write tables, figures and certificates."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from followers.calibration import calibrate
from followers.curves import GeneralizedLogit
from followers.errors import InputError
from followers.importers import read_trajectories
from followers.load import load
from followers.population import Population
from followers.spec import DeveloperSpec, build_population
from followers.trajectories import Trajectory
from solvers.certificate import to_json
from studies.calibrate import LAST_STEP
from studies.files import write_csv
from studies.paper.catch_up import (
    PUBLISHED_END,
    CatchUp,
    Thresholds,
    catch_up,
    chain,
    take,
    thresholds,
    winogrande_like,
)
from studies.paper.claims import Claim, claims
from studies.paper.data import Agreement, Neighbours, TopK, agreement, bundled, draws_of, neighbours, top_k
from studies.paper.witness import Witness

__all__ = ["Board", "Paper", "derive", "summary", "tables", "write"]


@dataclass(frozen=True, slots=True)
class Board:
    """One measured benchmark: Figure 1 for all clean models and for the longest chain that does not cross.

    population: B = 1; measured: points by model, empty where the trajectories are not at hand.
    """

    name: str
    population: Population
    last: float
    all_models: CatchUp
    ordered: CatchUp
    ordered_index: tuple[int, ...]
    measured: Mapping[str, Trajectory]


@dataclass(frozen=True, slots=True)
class Paper:
    """Everything derived."""

    claims: tuple[Claim, ...]
    boards: tuple[Board, ...]
    like: CatchUp
    thresholds: tuple[Thresholds, ...]
    agreement: Agreement
    neighbours: tuple[Neighbours, ...]
    top_k: tuple[TopK, ...]
    draws: int

    def witnesses(self) -> tuple[Witness, ...]:
        """Every certificate behind a statement or a figure."""
        own = [w for c in self.claims for w in c.witnesses]
        own += [w for t in self.thresholds for w in t.witnesses]
        own += [w for b in self.boards for f in (b.all_models, b.ordered) for w in f.witnesses]
        return (*own, *self.like.witnesses, *(t.witness for t in self.top_k))


def derive(
    *,
    data: Path | None = None,
    draws: int = 256,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Paper:
    """Derive the paper's results.

    `data`: folder with `trajectories.csv` and `direct_vs_tbt.csv`; then curves are calibrated afresh and populations
    carry their simulated refits. Without it the embedded populations and the bundled table are used.
    """
    total = 4 + 2 * len(LAST_STEP)
    done = 0

    def step() -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress(done, total)

    table = bundled() if data is None else data / "direct_vs_tbt.csv"
    agreed = agreement(table)
    step()
    stated = claims()
    step()
    bounds = thresholds()
    step()
    like = catch_up("Winogrande-like", *winogrande_like(), np.linspace(0.0, 3000.0, 61))
    step()
    boards, close = [], []
    tops: list[TopK] = []
    for name, last in LAST_STEP.items():
        population, measured = _population(name, last, data)
        boards.append(_board(name, population, last, measured))
        step()
        close.append(neighbours(f"{name}, as fitted", population, last))
        for words, drawn in draws_of(population, last, draws, seed).items():
            close.append(neighbours(f"{name}, {words}", drawn, last))
            tops += top_k(f"{name}, {words}", drawn, last)
        step()
    return Paper(stated, tuple(boards), like, bounds, agreed, tuple(close), tuple(tops), draws)


def _population(name: str, last: float, data: Path | None) -> tuple[Population, dict[str, Trajectory]]:
    if data is None:
        return load(name), {}
    trajectories = read_trajectories(data / "trajectories.csv", benchmark=name)
    fitted = calibrate(trajectories, cost_scale=0.5 / last, clean_only=True, choose="fit", draws=32)
    logits = [d for d in fitted.developers() if d["curve"]["kind"] == "generalized-logit"]
    specs = [DeveloperSpec.model_validate(d) for d in logits]
    return build_population(specs, f"{data}: {name}"), {t.model: t for t in trajectories}


def _board(name: str, population: Population, last: float, measured: Mapping[str, Trajectory]) -> Board:
    if not isinstance(population.curve, GeneralizedLogit):
        raise InputError(f"{name}: curves of one kind are needed")
    budgets = np.concatenate([[0.0], np.geomspace(1.0, last, 120)])
    everyone = catch_up(name, *take(population, list(range(population.n))), budgets)
    index = chain(*take(population, list(range(population.n)))[:2], last)
    ordered = catch_up(f"{name}, {len(index)} that never cross", *take(population, index), budgets)
    return Board(name, population, last, everyone, ordered, tuple(index), measured)


def summary(paper: Paper) -> list[tuple[str, list[str]]]:
    """What to say in words: headings with lines."""
    said = []
    for c in paper.claims:
        verdict = "holds as stated" if c.holds_as_stated else "fails as stated"
        certificates = f"{sum(w.holds for w in c.witnesses)} of {len(c.witnesses)} certified games as said"
        said.append((c.name, [f"states: {c.stated}", f"{verdict}; needs: {c.condition}", *c.findings, certificates]))
    lines = []
    for b in paper.boards:
        everyone, ordered = b.all_models, b.ordered
        lagging, beyond = (everyone.effort[-1] == 0).mean(), np.isinf(everyone.effort[-1]).mean()
        lines.append(
            f"{b.name}, {b.population.n} models, after {b.last:,.0f} steps: least catch-up effort "
            f"{everyone.least[-1]:,.0f}, median {_steps(everyone.median[-1])}; {lagging:.0%} of neighbours are out of "
            f"order, {beyond:.0%} out of reach"
        )
        lines.append(
            f"{b.name}, the {len(b.ordered_index)} that never cross: least {ordered.least[0]:,.1f} steps before "
            f"tuning, {ordered.least[-1]:,.0f} after"
        )
    lines.append(
        f"five Winogrande-like curves (assumed, not measured): {paper.like.least[0]:,.0f} steps before tuning, "
        f"{paper.like.least[-1]:,.0f} after 3,000; the paper's figure, of its own measurements: {PUBLISHED_END:,.0f}"
    )
    said.append(("Figure 1: minimum catch-up effort", lines))
    said.append(
        (
            "Proposition 5.6: tuning budget ~ prize gap ^ exponent",
            [f"{t.title}: predicted {t.predicted:.4f}, fitted {t.fitted:.4f}" for t in paper.thresholds],
        )
    )
    a = paper.agreement
    said.append(
        (
            "Agreement of rankings",
            [
                f"mean tau-b over {len(a.pairs)} pairs of {len(a.tasks)} tasks, {a.models} models: direct "
                f"{a.direct:.3f}, tuned {a.tuned:.3f} (paper: 0.52 and 0.76)"
            ],
        )
    )
    return said


def _steps(x: float) -> str:
    return f"{x:,.0f}" if np.isfinite(x) else "out of reach"


def write(paper: Paper, out: Path) -> list[Path]:
    """Tables as CSV, certificates as JSON, figures as PNG and SVG; returns what was written."""
    from studies.figures import draw_all

    made = tables(paper)
    for name, rows in made.items():
        write_csv(out / f"{name}.csv", rows)
    certificates = out / "certificates.json"
    try:
        certificates.write_text(json.dumps([w.document() for w in paper.witnesses()]) + "\n", encoding="utf-8")
        figures = draw_all(paper, out)
    except OSError as error:
        raise InputError(f"{out}: cannot be written ({error.strerror})") from None
    return [*(out / f"{name}.csv" for name in made), certificates, *figures]


def tables(paper: Paper) -> dict[str, Sequence[Mapping[str, Any]]]:
    """Every table by name, as rows of plain values."""
    made: dict[str, Sequence[Mapping[str, Any]]] = {
        "claims": [
            {
                "claim": c.name,
                "stated": c.stated,
                "holds_as_stated": c.holds_as_stated,
                "condition": c.condition,
                "findings": "; ".join(c.findings),
                "certified": sum(w.holds for w in c.witnesses),
                "games": len(c.witnesses),
            }
            for c in paper.claims
        ],
        "thresholds": [
            {
                "pair": t.title,
                "prize_gap": g,
                "budget": d,
                "predicted_exponent": t.predicted,
                "fitted_exponent": t.fitted,
            }
            for t in paper.thresholds
            for g, d in zip(t.gaps.tolist(), t.budgets.tolist(), strict=True)
        ],
        "agreement": [{"task_a": a, "task_b": b, "direct": x, "tuned": y} for a, b, x, y in paper.agreement.pairs],
        "neighbours": [
            {
                "population": n.population,
                "c1_fails": n.crossing,
                "c2_fails": n.bent,
                "c3_fails": n.shrinking,
                "c1_sd": n.spread[0],
                "c3_sd": n.spread[1],
                "c2_sd": n.spread[2],
            }
            for n in paper.neighbours
        ],
        "top_k": [{f: to_json(getattr(t, f)) for f in t.__dataclass_fields__ if f != "witness"} for t in paper.top_k],
    }
    figures = [paper.like, *(f for b in paper.boards for f in (b.all_models, b.ordered))]
    made["catch_up"] = [
        {"figure": f.title, "budget": d, "least": low, "median": mid}
        for f in figures
        for d, low, mid in zip(f.budgets.tolist(), f.least.tolist(), f.median.tolist(), strict=True)
    ]
    return made
