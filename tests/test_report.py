"""The report: everything the page promises is in it, whatever the study found."""

from __future__ import annotations

import hashlib
import html
import re
import sqlite3
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from report_cases import PROVENANCE, many_trials, small_proposal, three_models

from designer.audits import AuditPlan
from designer.evaluation import digest
from designer.ledger import keep
from designer.protocol import Protocol
from designer.scorecard import Figure
from designer.search import Goal
from followers.errors import InputError
from followers.prior import RosterPrior
from solvers.certificate import to_json
from studies.propose import Kept, Proposal, default_study, make_proposal, problem_of_study
from studies.report import write_report
from studies.report.findings import Findings, canonical, find
from studies.report.page import page
from studies.report.sections import recommendation
from studies.report.source import Provenance, load_proposal

NEVER = Goal("kendall_tau", {"pure_share": 2.0})


@pytest.fixture(scope="module")
def proposal() -> Proposal:
    return small_proposal()


@pytest.fixture(scope="module")
def findings(proposal: Proposal) -> Findings:
    return find(proposal, prior=RosterPrior())


@pytest.fixture(scope="module")
def text(findings: Findings) -> str:
    return page(findings, PROVENANCE)


def text_of(proposal: Proposal, provenance: Provenance = PROVENANCE) -> str:
    return page(find(proposal, prior=RosterPrior()), provenance)


class Outline(HTMLParser):
    """Tags in order with their attributes, and the text inside each figure."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.figures: list[list[str]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "figure":
            self.figures.append([])
        if self.figures:
            self.figures[-1].append(f"<{tag}>")

    def handle_data(self, data: str) -> None:
        if self.figures and data.strip():
            self.figures[-1].append(data.strip())


def test_the_page_needs_nothing_but_itself(text: str) -> None:
    outline = Outline(text)
    for tag, attributes in outline.tags:
        for name in ("src", "href", "data", "srcset"):
            value = attributes.get(name)
            assert value is None or value.startswith("#"), (tag, name, value)
    assert set(re.findall(r"https?://[^\s\"'<]+", text)) <= {"http://www.w3.org/2000/svg"}
    assert "default-src 'none'" in text and "@import" not in text and "url(" not in text.replace("url(#head)", "")
    identifiers = Counter(a["id"] for _, a in outline.tags if "id" in a)
    assert max(identifiers.values()) == 1


def test_every_figure_has_a_title_a_description_a_caption_and_its_data(text: str) -> None:
    outline = Outline(text)
    drawn = [f for f in outline.figures if "<svg>" in f]
    assert len(drawn) >= 8
    for figure in drawn:
        assert "<h3>" in figure and "<figcaption>" in figure and "<table>" in figure and figure.count("<tr>") >= 2
        assert figure[figure.index("<figcaption>") + 1].startswith("How to read: ")
    for tag, attributes in outline.tags:
        if tag == "svg" and attributes.get("class") != "defs":
            assert attributes["role"] == "img" and len(attributes["aria-label"] or "") > 20


def test_the_page_says_all_that_was_asked_of_it(findings: Findings, text: str) -> None:
    for part in ("scorecards", "front", "rankings", "overtaking", "steps", "audits", "whatif", "sensitivity"):
        assert f'<section id="{part}">' in text
    for words in ("direct evaluation", "tune-before-test", "recommended", "PED-ANOVA", "SHA-256", "seed", "truerank"):
        assert words in text
    first, second = recommendation(findings)
    assert first.startswith("Use ") and first.count(". ") == 0 and second.endswith(".")
    assert html.escape(first) in text


def test_digests_are_those_of_the_certificates_shown(proposal: Proposal, findings: Findings, text: str) -> None:
    shown = [html.unescape(m) for m in re.findall(r'<pre id="certificate-\d+" tabindex="0">(.*?)</pre>', text, re.S)]
    digests = re.findall(r"<td>([0-9a-f]{64})</td>", text)
    assert len(shown) == len(digests) == len(proposal.rows)
    assert [hashlib.sha256(s.encode()).hexdigest() for s in shown] == digests
    assert proposal.result.nearest.certificate is not None
    assert digest(proposal.result.nearest.certificate) == digests[-1]
    assert shown[-1] == canonical(proposal.result.nearest.certificate)
    assert to_json(findings.compared[-1].certificate) == to_json(proposal.result.nearest.certificate)
    assert all(c.checked.passed for c in findings.compared)


def test_no_feasible_protocol_is_said_and_the_nearest_miss_shown() -> None:
    missed = small_proposal(goal=NEVER)
    assert missed.result.best is None and missed.front == ()
    text = text_of(missed)
    assert "<h1>No recommendation</h1>" in text and "No protocol tried meets the goal" in text
    assert "nearest miss" in text and "the front is empty" in text


def test_an_unfinished_study_reports_what_is_there_and_says_so(findings: Findings, text: str) -> None:
    unfinished = page(findings, replace(PROVENANCE, finished=False, done=7, asked=200))
    assert "This study is not finished: 7 of 200 trials are done." in unfinished
    assert "7 of 200 (not finished)" in unfinished and "not finished" not in text


def test_names_cannot_break_out_of_the_page() -> None:
    population = three_models()
    nasty = ("</script><script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "c&d 'e'")
    text = text_of(small_proposal(replace(population, names=nasty), trials=4))
    assert "<script>alert" not in text and "<img" not in text
    assert [tag for tag, _ in Outline(text).tags].count("script") == 3


def test_a_protocol_that_audits_shows_its_plan_and_what_binds(text: str) -> None:
    plan = AuditPlan((0.5, 0.4), items=500, level=0.01, fine=8.0)
    audited = small_proposal(base=Protocol(audit=plan), trials=4, most=100.0)
    shown = text_of(audited)
    assert "Audit plan by published rank" in shown and "an audit there flags it with probability" in shown
    assert "audits nobody" not in shown and "audits nobody" in text
    assert "This protocol also has audits; the panel starts" in shown and "This protocol also has" not in text


@pytest.mark.parametrize(
    "base",
    [Protocol(precision=0.02), Protocol(test_items=400), Protocol(ties="split")],  # type: ignore[arg-type]
    ids=["rounded", "noisy", "split"],
)
def test_every_kind_of_measurement_has_its_report(base: Protocol) -> None:
    study = small_proposal(base=base, trials=3)
    findings = find(study, prior=RosterPrior())
    text = page(findings, PROVENANCE)
    for one in findings.compared:
        solved = one.row.stated.equilibrium
        assert one.overtaking.status is solved.status(0)
        # the graph and the solver name the same developers
        tempted = set(np.flatnonzero(solved.tempted[0]).tolist())
        assert {o.developer for o in one.overtaking.paying} == tempted
    assert ("There is no panel" in text) == (base.ties == "split")


def test_a_thousand_trials_fit_into_the_page(proposal: Proposal) -> None:
    study = many_trials(proposal, 1_000)
    findings = find(study, prior=RosterPrior())
    text = page(findings, PROVENANCE)
    assert len(text.encode()) < 5_000_000 and text.count('class="dot ') >= 990
    for importance in findings.importances:
        assert set(importance.shares) == {"tune_steps", "hidden_share"}
        assert sum(importance.shares.values()) == pytest.approx(1.0)


def test_the_same_proposal_gives_the_same_page(proposal: Proposal, text: str) -> None:
    assert text_of(proposal) == text


def test_a_report_is_written_whole_or_not_at_all(proposal: Proposal, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    assert write_report(proposal, path, provenance=PROVENANCE) == path.stat().st_size
    with pytest.raises(InputError, match="cannot be written"):
        write_report(proposal, tmp_path / "missing" / "report.html", provenance=PROVENANCE)
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]


def test_a_stored_study_is_reported_finished_or_not(tmp_path: Path) -> None:
    where = str(tmp_path / "study.db")
    study = replace(default_study(), population=three_models(), trials=6, draws=4, seed=0)
    made = make_proposal(study, kept=Kept(where))
    loaded = load_proposal(where)
    assert loaded.provenance.finished and loaded.provenance.done == 6 and loaded.prior == study.prior
    text = text_of(loaded.proposal, loaded.provenance)
    assert html.escape(made.result.nearest.protocol.sentence()) in text and "not finished" not in text
    problem, _ = problem_of_study(study)
    with keep(where, problem, resume=True) as ledger:
        ledger.ask(50)
    later = load_proposal(where).provenance
    assert not later.finished and (later.done, later.asked) == (6, 50)
    with pytest.raises(InputError, match=r"--trials 9: .* is a stored study"):
        load_proposal(where, trials=9)


def test_trials_that_stopped_early_or_were_not_played_are_shown_as_such(proposal: Proposal) -> None:
    one = proposal.result.trials[0]
    early = replace(one, protocol=replace(one.protocol, tune_steps=123.0), full=False, note="dropped after 2 draws")
    nothing = {m: Figure(None, None, 0, "cannot be played") for m in one.scorecard.figures}
    bad = replace(
        early,
        protocol=replace(one.protocol, tune_steps=321.0),
        scorecard=replace(one.scorecard, figures=nothing, draws=0),
        note="contradicts itself",
    )
    trials = (*proposal.result.trials, early, bad)
    text = text_of(replace(proposal, result=replace(proposal.result, trials=trials)))
    assert text.count("stopped early") >= 2 and "dropped after 2 draws" in text and "contradicts itself" in text


def test_foreign_sources_are_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "noise.db").write_bytes(bytes(range(256)) * 20)
    with sqlite3.connect(tmp_path / "other.db") as other:
        other.execute("CREATE TABLE songs (title TEXT)")
    other.close()
    foreign = tmp_path / "notes.toml"
    foreign.write_text("shopping = ['milk']\n")
    for source in (
        "nowhere.toml",
        "gsm9k",
        str(foreign),
        str(tmp_path),
        *map(str, tmp_path.glob("*.db")),
        "sqlite:///nowhere.db",
    ):
        with pytest.raises(InputError) as refused:
            load_proposal(source)
        assert "\n" not in str(refused.value)
