"""`truerank report`: the whole page as one self-contained file."""

from __future__ import annotations

import json
from collections.abc import Callable
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template

from followers.prior import RosterPrior
from studies.files import write_whole
from studies.propose import Proposal
from studies.report import sections
from studies.report.findings import Findings, find
from studies.report.html import paragraph, section
from studies.report.source import Provenance
from studies.report.whatif import embedded, left_out, refusal

__all__ = ["page", "write_report"]

_TITLES = {
    "scorecards": "Scorecards",
    "front": "Cost",
    "rankings": "Rankings",
    "overtaking": "Overtaking",
    "steps": "Tuning",
    "audits": "Audits",
    "whatif": "What if",
    "sensitivity": "Sensitivity",
    "certificates": "Certificates",
    "provenance": "Provenance",
}


def write_report(
    proposal: Proposal,
    path: Path,
    *,
    provenance: Provenance,
    prior: RosterPrior | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> int:
    """Write a report of a proposal as one HTML file, whole or not at all; returns its size in bytes.

    prior : that of the study, for the draws on which sensitivities are scored. progress : called with (done, total).

    Raises
    ------
    InputError : the file cannot be written.
    """
    findings = find(proposal, prior=prior or RosterPrior(), progress=progress)
    text = page(findings, provenance)
    write_whole(path, text)
    return len(text.encode("utf-8"))


def page(findings: Findings, provenance: Provenance) -> str:
    """The page as text."""
    proposal = findings.proposal
    first, second = sections.recommendation(findings)
    unfinished = (
        ""
        if provenance.finished
        else paragraph(
            f"This study is not finished: {provenance.done:,} of {provenance.asked:,} trials are done. What follows is "
            "what they show; more trials may change it.",
            "warning",
        )
    )
    parts = [
        sections.scorecard_section(proposal),
        f'<div class="pair">{sections.front_section(proposal)}{sections.ranking_section(findings)}</div>',
        sections.overtaking_section(findings),
        sections.steps_section(findings),
        sections.audit_section(findings),
        _what_if(proposal),
        sections.sensitivity_section(findings),
        sections.certificate_section(findings),
        sections.provenance_section(proposal, provenance),
    ]
    chosen = proposal.result.nearest.protocol
    verdict = "Recommendation" if proposal.result.best is not None else "No recommendation"
    return Template(_read("page.html")).substitute(
        title=escape(f"truerank report: {provenance.source}"),
        style=_read("style.css"),
        navigation="".join(f'<li><a href="#{k}">{v}</a></li>' for k, v in _TITLES.items()),
        verdict=verdict,
        unfinished=unfinished,
        recommendation=f"{escape(first)} {escape(second)}",
        headline=escape(chosen.sentence() if proposal.result.best else "No protocol tried meets the goal"),
        sections="".join(parts),
        data=_data(proposal),
        solver=_read("solver.js"),
        script=_read("page.js"),
    )


def _read(name: str) -> str:
    return (files("studies.report") / name).read_text(encoding="utf-8")


def _what_if(proposal: Proposal) -> str:
    chosen = proposal.result.nearest.protocol
    why_not = refusal(proposal.population, chosen)
    if why_not:
        return section("whatif", "What if", paragraph(f"There is no panel for this study: {why_not}."))
    without = left_out(chosen)
    words = f"This protocol also has {' and '.join(without)}; the panel starts from the same protocol without."
    return section("whatif", "What if", paragraph(words, "warning") if without else "", _read("whatif.html"))


def _data(proposal: Proposal) -> str:
    chosen = proposal.result.nearest.protocol
    if refusal(proposal.population, chosen):
        return "null"
    # a name like "</script>" would end the script element early, "<!--" change how it is read
    return json.dumps(embedded(proposal.population, chosen), allow_nan=False).replace("<", "\\u003c")
