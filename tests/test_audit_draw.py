"""The draw of a round of audits: what outsiders recompute, how often each rank comes up, and what a cheat leaves."""

from __future__ import annotations

import hashlib
import struct
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from designer.audit_draw import AuditRound, commitment, draw, plan_digest, verify
from designer.audits import AuditPlan

SECRET = bytes(range(32))
PLAN = AuditPlan((0.75, 0.5, 0.25, 0.0), items=300, level=0.01, fine=0.5)
NAMES = ("gemma", "llama", "mistral 7b", "ünïcode | \n odd")


def outsider(secret: bytes, label: str, beacon: str, name: str) -> float:
    """The published formula again, by other means: one update per line, the top 53 bits as a fraction."""
    h = hashlib.sha256()
    for line in ("truerank audit draw 1", secret.hex(), label, beacon):
        h.update(line.encode("utf-8") + b"\n")
    h.update(name.encode("utf-8"))
    return float(int(h.hexdigest()[:16], 16) >> 11) / 2.0**53


def test_fixed_values() -> None:
    """Computed once with `sha256sum` over bytes written out by hand; whoever changes the format sees it here."""
    assert plan_digest(PLAN) == "7431932d762f5abd627cae0df2ae8c0174f535659ed1ee10a8a411857669e730"
    assert (
        commitment(SECRET, round="2026-03", plan=PLAN)
        == "626bd76fd964f2aa4851f66aea02fc87755bcbe9d5d36be8b40368b5b6a09453"
    )
    found = draw(SECRET, round="2026-03", entries=NAMES[:3], plan=replace(PLAN, probability=PLAN.probability[:3]))
    assert found.uniform == pytest.approx((0.786100011894, 0.02298582209, 0.462977729657), abs=5e-13)


def test_the_digests_follow_the_text() -> None:
    text = "truerank audit plan 1\nitems 300\n"
    for word, value in (("level", 0.01), ("fine", 0.5), *(("rank", p) for p in PLAN.probability)):
        text += f"{word} {struct.pack('!d', value).hex()}\n"
    digest = hashlib.sha256(text.encode()).hexdigest()
    assert plan_digest(PLAN) == digest and "rank 3fe0000000000000\n" in text  # 0.5, as the module's text says
    sealed = f"truerank audit commitment 1\n{SECRET.hex()}\nround 7\n{digest}\n"
    assert commitment(SECRET, round="round 7", plan=PLAN) == hashlib.sha256(sealed.encode()).hexdigest()


@given(st.binary(min_size=16, max_size=40), st.integers(0, 10**6), st.sampled_from(["", "beacon 41c3"]))
def test_outsiders_find_the_same_entries(secret: bytes, number: int, beacon: str) -> None:
    found = draw(secret, round=f"round {number}", entries=NAMES, plan=PLAN, beacon=beacon)
    numbers = [outsider(secret, f"round {number}", beacon, name) for name in NAMES]
    assert found.uniform == pytest.approx(numbers, abs=2.0**-52)
    assert found.audited == tuple(n for n, u, p in zip(NAMES, numbers, PLAN.probability, strict=True) if u < p)
    assert found == draw(secret, round=f"round {number}", entries=NAMES, plan=PLAN, beacon=beacon)


def test_each_rank_comes_up_as_often_as_planned() -> None:
    """20,000 rounds: shares within 4 standard errors of the probabilities, and no two entries' draws go together."""
    rounds, plan = 20_000, AuditPlan((1.0, 0.9, 0.37, 0.02, 0.0), items=10, fine=1.0)
    names = ("a", "b", "c", "d", "e", "f")
    hits = np.zeros((rounds, 6))
    uniform = np.zeros((rounds, 6))
    for t in range(rounds):
        found = draw(SECRET, round=str(t), entries=names, plan=plan)
        hits[t] = [name in found.audited for name in names]
        uniform[t] = found.uniform
    wanted = np.array([*plan.probability, 0.0])
    error = np.sqrt(wanted * (1 - wanted) / rounds)
    assert np.all(np.abs(hits.mean(axis=0) - wanted) <= 4 * error)
    assert np.all(hits[:, 0] == 1) and not hits[:, 4:].any()
    assert np.all(np.abs(uniform.mean(axis=0) - 0.5) <= 4 * np.sqrt(1 / 12 / rounds))
    correlation = np.corrcoef(uniform.T)[np.triu_indices(6, 1)]
    assert np.all(np.abs(correlation) <= 4 / np.sqrt(rounds))


def test_the_number_belongs_to_the_entry_not_to_its_rank() -> None:
    here = draw(SECRET, round="1", entries=("a", "b"), plan=AuditPlan((1.0, 0.0), items=5))
    there = draw(SECRET, round="1", entries=("b", "a"), plan=AuditPlan((1.0, 0.0), items=5))
    assert here.uniform == there.uniform[::-1] and here.audited == ("a",) and there.audited == ("b",)
    assert draw(SECRET, round="2", entries=("a", "b"), plan=AuditPlan((1.0, 0.0), items=5)).uniform != here.uniform
    other = draw(SECRET, round="1", entries=("a", "b"), plan=AuditPlan((1.0, 0.0), items=5), beacon="x")
    assert other.uniform != here.uniform


def test_probabilities_are_compared_exactly() -> None:
    """The number lies between two neighbours on a grid of 2^-53: the lower does not audit it, the upper does."""
    found = draw(SECRET, round="1", entries=("a", "b"), plan=AuditPlan((0.5, 0.5), items=5))
    u = outsider(SECRET, "1", "", "a")  # rounded down, so h / 2^256 is at least this
    assert u <= found.uniform[0] <= u + 2.0**-53
    for p, audited in ((u, False), (u + 2.0**-53, True)):
        assert (
            draw(SECRET, round="1", entries=("a", "b"), plan=AuditPlan((p, 0.0), items=5)).audited == ("a",)
        ) == audited


def revealed(**change: Any) -> tuple[bool, str]:
    """Verification of an honest round in which one thing is changed."""
    honest: dict[str, Any] = {"secret": SECRET, "round": "2026-03", "entries": NAMES, "plan": PLAN, "beacon": "pulse 9"}
    found: AuditRound = draw(**honest)
    said = {"published": commitment(SECRET, round="2026-03", plan=PLAN), "audited": found.audited, **honest, **change}
    verdict = verify(said.pop("published"), said.pop("secret"), **said)
    return verdict.passed, verdict.detail


def test_an_honest_round_passes() -> None:
    passed, detail = revealed()
    due = draw(SECRET, round="2026-03", entries=NAMES, plan=PLAN, beacon="pulse 9").audited
    assert passed and detail == f"{len(due)} of 4 entries drawn, as committed to"
    assert 0 < len(due) < 4
    assert revealed(audited=due[::-1], published=commitment(SECRET, round="2026-03", plan=PLAN).upper())[0]


@pytest.mark.parametrize(
    "change",
    [
        {"secret": bytes(32)},
        {"round": "2026-04"},
        {"plan": replace(PLAN, probability=(0.75, 0.5, 0.25, 1e-9))},
        {"plan": replace(PLAN, items=301)},
        {"plan": replace(PLAN, fine=0.51)},
        {"plan": replace(PLAN, level=0.02)},
        {"published": "0" * 64},
    ],
)
def test_another_secret_round_or_plan_is_found_out(change: dict[str, Any]) -> None:
    passed, detail = revealed(**change)
    assert not passed and "not what was committed to" in detail


def test_spared_and_picked_entries_are_named() -> None:
    due = draw(SECRET, round="2026-03", entries=NAMES, plan=PLAN, beacon="pulse 9").audited
    free = next(name for name in NAMES if name not in due)
    passed, detail = revealed(audited=due[1:])
    assert not passed and detail == f"spared: {due[0]}"
    passed, detail = revealed(audited=(*due, free))
    assert not passed and detail == f"audited without being drawn: {free}"
    pulses = (f"pulse {t}" for t in range(100))
    other = next(t for t in pulses if draw(SECRET, round="2026-03", entries=NAMES, plan=PLAN, beacon=t).audited != due)
    assert not revealed(audited=due, beacon=other)[0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"secret": b"short"}, "a secret of 5 bytes; at least 16"),
        ({"round": ""}, "round and beacon must be single lines"),
        ({"round": "1\n2"}, "round and beacon must be single lines"),
        ({"beacon": "1\n2"}, "round and beacon must be single lines"),
        ({"entries": ("a", "b", "c", "a")}, "entries must have names, all distinct"),
        ({"entries": ("a", "b", "c", "")}, "entries must have names, all distinct"),
        ({"entries": ("a", "b")}, "4 ranks in the plan for 2 entries"),
    ],
)
def test_impossible_draws_are_refused_by_name(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        draw(**{"secret": SECRET, "round": "1", "entries": NAMES, "plan": PLAN, **change})
