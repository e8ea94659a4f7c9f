"""What `truerank design` prints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console

from studies.tables import number, table

if TYPE_CHECKING:
    from designer.budgets import BudgetDesign
    from designer.prize_design import PrizeDesign
    from designer.scenarios import ScenarioPromise
    from designer.temptations import Temptation
    from designer.tiering import TieringDesign
    from studies.audit_design import AuditDesign
    from studies.design import Confirmed
    from studies.joint import JointStudy

__all__ = ["print_audits", "print_budget", "print_confirmed", "print_joint", "print_prize_design", "print_tiering"]

_SHOWN = 12  # intervals in a table; JSON has all


def print_budget(console: Console, name: str, design: BudgetDesign, confirmed: Confirmed | None) -> None:
    """The smallest budget, all stabilising intervals, what binds, and the certificate."""
    many = design.draws > 1
    wanted = f" in {design.share:.0%} of {design.draws:,} draws" if many else ""
    sought = f"margin {design.margin:g}{wanted}, up to {design.upto:,.6g} steps"
    if design.steps is None:
        best = f"; at best {design.reached:.1%} of draws" if many else ""
        console.print(f"{name}: no tuning budget gives {sought}{best}")
    else:
        least = "least tuning budget" if design.below == 0 else "least tuning budget that is proved"
        console.print(f"{name}: {least} {design.steps:,.8g} steps ({sought})")
        if design.below > 0:
            hidden = f"{number(design.below)} steps below it that are not decided"
            console.print(f"a smaller one may hide in {hidden}; lower --tolerance")
    if many:
        console.print(f"no budget stabilises {design.never:.1%} of the draws")
    if design.steps is not None:
        parts = len(design.intervals)
        whole = parts == 1 and design.intervals[0][1] == design.upto
        console.print(f"tuning compute {number(design.compute)} steps x billions of parameters")
        if whole:
            console.print("every larger budget examined holds too")
        else:
            console.print(f"all budgets that hold, {parts} {'intervals' if parts > 1 else 'interval'}:")
            t = table("", "from", "to", "steps")
            for a, b in design.intervals[:_SHOWN]:
                t.add_row(f"{a:,.2f}", f"{b:,.2f}", number(b - a))
            if parts > _SHOWN:
                t.add_row("..", f"{parts - _SHOWN} more", "")
            console.print(t)
    left = f"{design.undecided:.3g} steps are neither proved stable nor unstable" if design.undecided else "all proved"
    console.print(f"{design.cells:,} cells of budgets bounded; {left}")
    if design.jumps:
        _print_temptations(console, "what pays just below it: the margin jumps there", design.binding[:_SHOWN], None)
    else:
        _print_temptations(console, "what binds at the least budget", design.binding, "steps saved per unit dearer")
    if confirmed is not None:
        print_confirmed(console, confirmed)


def print_prize_design(
    console: Console, name: str, design: PrizeDesign, confirmed: Confirmed | None, promised: ScenarioPromise | None
) -> None:
    """The compressed prizes beside those announced, what binds, and the certificate."""
    if design.status == "infeasible":
        console.print(f"{name}: no such prizes; {design.notes[0]}")
        return
    changed = (
        "they hold as they are" if design.status == "unchanged" else f"{design.norm} distance {design.distance:.6g}"
    )
    console.print(f"{name}: least prize compression with margin {design.margin:g}: {changed} ({design.solver})")
    t = table("", "rank", "announced", "designed", "change")
    for r, (old, new) in enumerate(zip(design.announced, design.prizes, strict=True), start=1):
        moved = abs(new - old) > 1e-9 * abs(design.announced).max()
        t.add_row(str(r), number(float(old)), number(float(new)), number(float(new - old)) if moved else "")
    console.print(t)
    if design.reached is not None:
        console.print(f"mean margin of the worst draws: {number(design.reached)} promised and had")
        _print_temptations(console, "the worst draws' best climbs, worst first", design.binding[:_SHOWN], None)
    else:
        _print_temptations(console, "what binds, most pressing first", design.binding, "distance saved per unit dearer")
    if promised is not None:
        console.print(promised.sentence())
    assert confirmed is not None
    print_confirmed(console, confirmed)


def print_tiering(console: Console, name: str, design: TieringDesign, confirmed: Confirmed) -> None:
    """The bands, what keeps them from being finer, and the certificate."""
    sizes, tiering = design.tiering.sizes, design.tiering
    kept = "expected tau-b" if design.keep == "tau" else "number of bands"
    proof = "optimal" if tiering.proved else f"not proved: none has more than {tiering.bound:.6g}; raise --node-budget"
    count = f"{len(sizes)} bands of {list(sizes)}" if len(sizes) > 1 else "one band for all"
    console.print(f"{name}: {count} ({kept} {tiering.value:.6g}, {proof})")
    told = "undefined: all ranks share one band" if design.tau is None else number(design.tau)
    console.print(f"margin promised {design.margin:g}; expected tau-b {told}; {tiering.opened:,} partitions opened")
    _print_temptations(console, "what forbids finer bands", design.blocking[:10], None)
    print_confirmed(console, confirmed)


def print_joint(console: Console, name: str, joint: JointStudy, confirmed: Confirmed | None) -> None:
    """The joint design by parts, beside what each part alone would cost, the bound, and the certificate."""
    design = joint.design
    best = design.best
    if best is None:
        console.print(f"{name}: no tuning budget up to {design.upto:,.6g} steps, prizes and audits deter")
        return
    console.print(
        f"{name}: {best.steps:,.6g} tuning steps, prizes moved by {best.incentives.moved:.4g}, "
        f"{best.incentives.audits:.4g} audits expected a round, margin {design.margin:g}"
    )
    t = table("", "part", "cost in the design", "cost if alone")
    parts = {
        "tuning": best.tuning,
        "prizes": design.costs.moved * best.incentives.moved,
        "audits": design.costs.audit * best.incentives.audits,
    }
    for part, value in parts.items():
        alone = joint.alone.get(part)
        t.add_row(part, number(value), "not enough" if part in joint.alone and alone is None else number(alone))
    t.add_row("together", number(best.cost), "")
    console.print(t)
    within = f"within {design.gap:.2%} of the bound" if design.gap > 0 else "optimal"
    console.print(
        f"no design with up to {design.upto:,.6g} steps costs less than {design.bound:.6g}: {within} "
        f"({design.cells:,} intervals of budgets bounded)"
    )
    changed = [
        (r, old, new, p)
        for r, (old, new, p) in enumerate(
            zip(joint.announced, best.incentives.prizes, best.incentives.probability, strict=True), start=1
        )
        if abs(new - old) > 1e-9 * abs(joint.announced).max() or p > 0
    ]
    if changed:
        t = table("", "rank", "announced", "designed", "audited with probability")
        for r, old, new, p in changed[:_SHOWN]:
            t.add_row(str(r), number(float(old)), number(float(new)), number(float(p)) if p > 0 else "")
        if len(changed) > _SHOWN:
            t.add_row("..", f"{len(changed) - _SHOWN} more", "", "")
        console.print(t)
    if confirmed is not None:
        print_confirmed(console, confirmed)


def print_audits(console: Console, design: AuditDesign) -> None:
    """The audit probabilities of the ranks that are audited, and the climb that each just deters."""
    climbs = {climb.target: climb for climb in design.binding}
    audited = [row for row in design.rows if row["probability"] > 0]
    if not audited:
        return
    columns = ("rank", "audited")
    told = ("just deters", "of rank", "steps", "cost", "gain", "flagged") if climbs else ()
    t = table("", *columns, *told)
    for row in audited[:_SHOWN]:
        climb = climbs.get(row["rank"])
        cells = [str(row["rank"]), number(row["probability"])]
        if climb is not None:
            numbers = (climb.effort, climb.cost, climb.gain, climb.power)
            cells += [climb.developer, str(climb.rank), *(number(x) for x in numbers)]
        t.add_row(*cells)
    if len(audited) > _SHOWN:
        t.add_row("..", f"{len(audited) - _SHOWN} more")
    console.print(t)


def _print_temptations(console: Console, title: str, climbs: Sequence[Temptation], price: str | None) -> None:
    if not climbs:
        return
    t = table(title, "developer", "rank", "would take", "steps", "cost", "gain", *([price] if price else []))
    for c in climbs:
        row = [c.developer, str(c.rank), str(c.target), number(c.effort), number(c.cost), number(c.gain)]
        t.add_row(*row, *([number(c.price)] if price else []))
    console.print(t)


def print_confirmed(console: Console, confirmed: Confirmed) -> None:
    """What solving the designed protocol anew and the checker say."""
    margin = number(0.0 if abs(confirmed.margin) < 1e-12 else confirmed.margin)  # what binds leaves rounding
    told = "" if confirmed.tau is None else f", tau-b with true quality {number(confirmed.tau)}"
    console.print(f"solved anew: a pure equilibrium {confirmed.status.upper()}, stability margin {margin}{told}")
    if confirmed.share is not None and confirmed.interval is not None:
        low, high = confirmed.interval
        console.print(f"fresh draws with a pure equilibrium: {confirmed.share:.1%} (95% {low:.1%} to {high:.1%})")
    if confirmed.tail is not None and confirmed.tail_mean is not None:
        console.print(f"mean margin of the worst {confirmed.tail:.4g} of fresh draws: {number(confirmed.tail_mean)}")
    console.print(f"checker: {confirmed.report.summary()}")
