"""The sections of the page, in reading order: each takes the findings and returns HTML."""

from __future__ import annotations

import math
from collections.abc import Sequence

from designer.evaluation import digest
from designer.scorecard import METRICS
from solvers.certificate import Status
from studies.propose import Proposal
from studies.report import charts, plots
from studies.report.findings import Compared, Findings, canonical
from studies.report.html import data_table, figure, paragraph, section
from studies.report.overtaking import Overtaking
from studies.report.source import Provenance
from studies.tables import figure as figure_words
from studies.tables import number

__all__ = [
    "audit_section",
    "certificate_section",
    "front_section",
    "overtaking_section",
    "provenance_section",
    "ranking_section",
    "recommendation",
    "scorecard_section",
    "sensitivity_section",
    "steps_section",
]

_MOST_CERTIFICATE = 300_000
"""Letters of a certificate that are written out; of longer ones the page has the digest."""


def recommendation(findings: Findings) -> tuple[str, str]:
    """The recommendation in two sentences."""
    proposal = findings.proposal
    direct, chosen = proposal.rows[0], proposal.rows[-1]
    n, card = proposal.population.n, chosen.card
    words = chosen.protocol.sentence()
    tau = card.mean("kendall_tau")
    agrees = (
        f"the published ranking agrees with the true one at tau-b {tau:.3f}"
        if math.isfinite(tau)
        else "the published ranking in equilibrium is undefined"
    )
    outcome = (
        f"{len(chosen.tempted) or 'none'} of {n} developers would gain by climbing ({len(direct.tempted)} under direct "
        f"evaluation), {agrees}, and {card.mean('pure_share'):.0%} of drawn populations have a pure equilibrium"
    )
    goal = proposal.result.goal
    if proposal.result.best is None:
        missed = ", ".join(k for k, v in proposal.result.nearest.violations.items() if v > 0)
        return (
            f"No protocol tried meets the goal ({goal.sentence()}), so none is recommended.",
            f"The nearest miss, {words}, misses {missed}: {outcome}.",
        )
    cost = number(card.mean("designer_cost"))
    verb = "the cheapest" if goal.minimise else "the best"
    return (
        f"Use {words}: {verb} protocol tried that met the goal in the search ({goal.sentence()}).",
        f"On fresh draws and the population as stated, {outcome}, at a designer's cost of {cost} (tuning steps × "
        "billions of parameters).",
    )


def scorecard_section(proposal: Proposal) -> str:
    """Scorecards side by side: as stated, and on fresh draws."""
    rows = proposal.rows
    stated: list[list[object]] = [
        ["protocol", *(r.protocol.sentence() for r in rows)],
        ["pure equilibrium", *(r.stated.equilibrium.status(0).value for r in rows)],
        ["tau-b in equilibrium", *(number(float(r.stated.values["kendall_tau"][0])) for r in rows)],
        ["tau-b at face value", *(number(float(r.stated.values["face_value_tau"][0])) for r in rows)],
        ["would deviate", *(f"{len(r.tempted)} of {proposal.population.n}" for r in rows)],
        ["stability margin", *(number(float(r.stated.values["margin"][0])) for r in rows)],
    ]
    columns = ["figure", *(r.name for r in rows)]
    drawn = [[m, *(figure_words(r.card.figures[m]) for r in rows)] for m in METRICS]
    meaning = data_table("What the figures mean", ("figure", "what it is"), list(METRICS.items()), css="facts")
    reasons = dict.fromkeys(f.reason for r in rows for f in r.card.figures.values() if f.mean is None)
    undecided = [f"{r.name} {r.card.unknown}" for r in rows if r.card.unknown]
    notes = [f"–: {reason}." for reason in reasons]
    if undecided:
        notes.append(f"Populations that could not be decided: {', '.join(undecided)}.")
    fresh = f"{proposal.draws} fresh draws around the population (not those of the search), mean ± standard error"
    return section(
        "scorecards",
        "Scorecards side by side",
        data_table("The population as stated", columns, stated, css="cards"),
        data_table(fresh, columns, drawn, css="cards"),
        f"<details><summary>What the figures mean</summary>{meaning}</details>",
        *(paragraph(n, "note") for n in notes),
    )


def front_section(proposal: Proposal) -> str:
    """The Pareto front among all trials."""
    result = proposal.result
    on_front = {e.protocol for e in proposal.front}
    seen = {e.protocol: e for e in (*proposal.front, *result.trials)}
    more = [m for m in result.goal.front if m not in {"kendall_tau", "designer_cost", "pure_share"}]
    y, x = map(charts.short_words, charts.axes_of(result.goal))
    rows = [
        (
            e.protocol.sentence(),
            "front" if e.protocol in on_front else charts.kind_of(e),
            f"{e.scorecard.draws:,}",
            number(e.scorecard.mean("kendall_tau")),
            number(e.scorecard.mean("face_value_tau")),
            number(e.scorecard.mean("pure_share")),
            number(e.scorecard.mean("designer_cost")),
            *(number(e.scorecard.mean(m)) for m in more),
            e.note or "–",
        )
        for e in seen.values()
    ]
    empty = "" if proposal.front else " No protocol tried is feasible, so the front is empty."
    picture = charts.front(result, proposal.front, proposal.rows)
    caption = (
        f"How to read: each dot is a protocol tried, placed by {y} (upwards) and {x} (to the right). "
        "Blue dots on the line are the Pareto front: none is beaten in both "
        "(scored anew on fresh draws). Full green dots meet the goal, hollow "
        "ones miss it (where no equilibrium exists they stand at the tau-b at face value). Diamonds are the baselines. "
        f"Point at a dot for its knobs and scores; the table has them all.{empty}"
    )
    columns = (
        *("protocol", "place", "draws", "tau-b", "tau-b at face value", "pure share", "designer's cost"),
        *(*more, "note"),
    )
    return section(
        "front",
        "What a truer ranking costs",
        figure(f"Pareto front: {y} against {x}", picture, caption, columns, rows),
    )


def ranking_section(findings: Findings) -> str:
    """Published against true ranking."""
    names, boards = findings.proposal.population.names, [c.board for c in findings.compared]
    starred = [b.name for b in boards if not b.settled]
    star = f" * {', '.join(starred)}: no equilibrium is known; shown as if nobody reacted." if starred else ""
    caption = (
        "How to read: each line is a developer, from its true rank on the left to its place on each board. Level lines "
        "are ranked truly; orange ones end far from their true rank. Where ranks share a band the order within it is "
        f"that of the scores.{star}"
    )
    columns = [
        "developer",
        "true rank",
        *(f"{b.name}: {what}" for b in boards for what in ("place", "published rank", "score")),
    ]
    rows = [
        [name, int(findings.truth[i])]
        + [v for b in boards for v in (int(b.place[i]), int(b.shown[i]), f"{b.score[i]:.6g}")]
        for i, name in sorted(enumerate(names), key=lambda pair: int(findings.truth[pair[0]]))
    ]
    picture = charts.bump(names, findings.truth, boards)
    return section(
        "rankings",
        "Published and true ranking",
        figure("From true rank to published place", picture, caption, columns, rows),
    )


_STATUS = {
    Status.EXISTS: "a pure equilibrium exists",
    Status.ABSENT: "there is no pure equilibrium",
    Status.UNKNOWN: "it is not known whether there is a pure equilibrium",
}


def overtake_rows(found: Overtaking, names: Sequence[str]) -> list[tuple[object, ...]]:
    """Rows (developer, rank, passes, takes, effort, cost, gain, net): best deviations, then the race's moves."""
    rows: list[tuple[object, ...]] = [
        (
            names[o.developer],
            o.rank,
            "nobody" if o.target is None else names[o.target],
            o.takes,
            number(o.effort),
            number(o.cost),
            number(o.gain),
            number(o.net),
        )
        for o in found.overtakes
    ]
    for k, s in enumerate(found.race, start=1):
        rival = "falls back" if s.passed is None else names[s.passed]
        who = f"race, move {k}: {names[s.developer]}"
        rows.append((who, s.rank, rival, s.takes, number(s.effort), "", "", number(s.gain)))
    return rows


def _overtaking_figure(one: Compared, names: Sequence[str]) -> str:
    found = one.overtaking
    race = (
        " Thick orange arrows are a race that never ends: each answers the one before, and they come back to the start."
        if found.race
        else ""
    )
    caption = (
        f"How to read: the board from the top; an arrow from a developer to the rival it would pass pays for itself. "
        f"Dashed arrows do not pay. Here {_STATUS[found.status]}, {len(found.paying)} of {len(names)} would deviate."
        f"{race} Point at an arrow for effort (steps), cost and gain (prize units)."
    )
    columns = ("developer", "rank", "passes", "takes rank", "effort, steps", "cost", "prize gain", "net gain")
    picture = charts.overtakes(found, names, one.row.name)
    rows = overtake_rows(found, names) or [("nobody can gain a prize", *("–" for _ in columns[1:]))]
    return figure(f"Who would pass whom: {one.row.name}", picture, caption, columns, rows)


def overtaking_section(findings: Findings) -> str:
    """The overtaking graph of each compared protocol."""
    names = findings.proposal.population.names
    cards = "".join(_overtaking_figure(c, names) for c in findings.compared)
    return section("overtaking", "Who would pass whom", f'<div class="grid">{cards}</div>')


def steps_section(findings: Findings) -> str:
    """Score curves, and the margin against the tuning budget."""
    names, found, margin = findings.proposal.population.names, findings.curves, findings.margins
    budgets = [0.0, 100.0, 1_000.0, *(s for _, s in found.marks), float(found.steps[-1])]
    picked = sorted({int(abs(found.steps - b).argmin()) for b in budgets})
    columns = ["developer", "true rank", *(f"after {found.steps[k]:,.0f} steps" for k in picked)]
    by_truth = sorted(range(len(names)), key=lambda i: int(findings.truth[i]))
    rows = [[names[i], int(findings.truth[i]), *(f"{found.score[k, i]:.4f}" for k in picked)] for i in by_truth]
    caption = (
        "How to read: the score of each developer after so many tuning steps, on top of what it has trained already. "
        "Vertical lines mark the tuning budgets Δ of the protocols compared. Steep curves catch up cheaply; where "
        "lines cross, the order of the board changes. The truly best are in colour."
    )
    curves = figure("Score curves", plots.curves(found, names, findings.truth.tolist()), caption, columns, rows)
    shaded = (
        "Shaded budgets are proved stable: nobody gains by climbing at any budget inside. Δ* is the smallest."
        if margin.intervals is not None
        else f"Budgets are not proved interval by interval here: {margin.note}."
    )
    unsure = f" {margin.undecided:.3g} steps are undecided." if margin.undecided else ""
    caption = (
        "How to read: above zero the most tempted developer loses by climbing, below zero it gains that much; where "
        "nobody can gain a prize the line runs along the top. The other knobs stay as in this protocol, the "
        "population is as stated (the draws of the scorecards differ from it). "
        f"{shaded}{unsure}"
    )
    spans = [(f"stable from {a:,.2f}", f"to {b:,.2f}", "proved") for a, b in margin.intervals or ()]
    points = [(f"{s:,.0f} steps", number(float(m)), "margin") for s, m in zip(margin.steps, margin.margin, strict=True)]
    margins = figure(
        "Stability margin against the tuning budget",
        plots.margins(margin),
        caption,
        ("tuning budget", "margin, prize units, or end of the interval", "what"),
        [*spans, *points],
    )
    return section("steps", "What tuning does", f'<div class="grid">{curves}{margins}</div>')


def audit_section(findings: Findings) -> str:
    """The audit plan, where the protocol has one."""
    found = findings.audits
    if found is None:
        return section("audits", "Audits", paragraph("The protocol audits nobody: there is no plan to show."))
    caption = (
        "How to read: a bar per published rank, as long as the probability of an audit there. The tick is the least "
        "probability that deters every deviation with these items, level and fine; point at a bar for the climb "
        "that binds it."
    )
    by_rank = {c.target: c for c in found.binding}
    rows = [
        (r, f"{p:.6g}", number(float(found.least[r - 1])), by_rank[r].sentence() if r in by_rank else "nothing binds")
        for r, p in enumerate(found.announced.tolist(), start=1)
    ]
    columns = ("rank", "probability of an audit", "least that deters", "what binds")
    return section(
        "audits",
        "Audits",
        figure("Audit plan by published rank", plots.audits(found), caption, columns, rows),
        *(paragraph(w, "note") for w in found.words),
    )


def sensitivity_section(findings: Findings) -> str:
    """One knob at a time, and importances."""
    metrics = ("pure_share", "kendall_tau", "margin", "wasted_effort", "designer_cost")
    cards = []
    for knob in dict.fromkeys(t.knob for t in findings.turns):
        turned = [t for t in findings.turns if t.knob == knob]
        caption = (
            f"How to read: {knob} set to each value in turn, everything else as in this protocol (bold), scored on "
            f"{turned[0].draws} fresh draws. Dots are tau-b, squares the share of populations with a pure "
            "equilibrium; bars are one standard error. A row that moves far says: hold this knob."
        )
        rows = [
            (
                t.value + (" (this protocol)" if t.chosen else ""),
                *(figure_words(t.figures[m]) if t.figures else t.problem for m in metrics),
            )
            for t in turned
        ]
        cards.append(
            figure(f"One knob at a time: {knob}", plots.sensitivity(knob, turned), caption, ("value", *metrics), rows)
        )
    shares = findings.importances
    caption = (
        "How to read: the share of each figure's variation over the trials that each knob accounts for, by PED-ANOVA "
        "(functional ANOVA on the densities of the best trials; Watanabe, Bansal & Hutter 2023) as implemented in "
        "Optuna. The trials follow the search, so regions it liked count for more."
    )
    rows = [(f.figure, knob, f"{share:.4f}", str(f.trials)) for f in shares for knob, share in f.shares.items()]
    rows += [(f.figure, f.reason, "–", str(f.trials)) for f in shares if not f.shares]
    columns = ("figure", "knob", "share", "trials")
    cards.append(figure("Importance of the knobs", plots.importance(shares), caption, columns, rows))
    return section("sensitivity", "How much each knob matters", f'<div class="grid">{"".join(cards)}</div>')


def certificate_section(findings: Findings) -> str:
    """Certificates of the compared protocols, and their digests."""
    parts = []
    for k, one in enumerate(findings.compared):
        text = canonical(one.certificate)
        mark = digest(one.certificate)
        verdict = "verified by the independent checker" if one.checked.passed else "REJECTED by the independent checker"
        rows = [
            ("answer", _STATUS[one.overtaking.status]),
            ("theorem", one.certificate.theorem),
            ("checker", f"{verdict}: {one.checked.summary()}"),
            ("SHA-256", mark),
        ]
        body = (
            f'<details><summary>The certificate, {len(text):,} letters</summary><pre id="certificate-{k}" tabindex="0">'
            f'{_escaped(text)}</pre><button type="button" data-save="certificate-{k}">Save as a file</button></details>'
            if len(text) <= _MOST_CERTIFICATE
            else paragraph(f"The certificate has {len(text):,} letters; `truerank solve --json` writes it.", "note")
        )
        parts.append(data_table(f"Certificate: {one.row.name}", ("item", "what it says"), rows, css="facts") + body)
    how = paragraph(
        "The digest is that of the certificate's JSON text exactly as shown, keys in order: save it "
        "and run sha256sum. The checker re-verifies a certificate from the game alone."
    )
    return section("certificates", "Certificates", how, *parts)


def _escaped(text: str) -> str:
    from html import escape

    return escape(text, quote=False)


def provenance_section(proposal: Proposal, provenance: Provenance) -> str:
    """Where the numbers come from, and how to make them again."""
    done = f"{provenance.done:,} of {provenance.asked:,}" + ("" if provenance.finished else " (not finished)")
    rows = [
        ("source", provenance.source),
        ("goal", proposal.result.goal.sentence()),
        ("trials", done),
        ("draws", f"{proposal.draws:,}"),
        ("seed", str(proposal.seed)),
        ("developers", str(proposal.population.n)),
        *((k, v) for k, v in proposal.population.provenance.items()),
        *((f"note {k}", note) for k, note in enumerate(proposal.population.notes, start=1)),
        *((f"version of {k}", v) for k, v in provenance.versions.items()),
        ("command", provenance.command),
    ]
    return section(
        "provenance", "Where this comes from", data_table("Provenance", ("item", "value"), rows, css="facts")
    )
