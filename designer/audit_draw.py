"""Which entries are audited this round: drawn so that nobody can foresee it and everybody can recompute it.

Before entries close the leader publishes the plan and a *commitment* to a secret. After the ranking is published it
reveals the secret: anybody can then recompute commitment and draw with SHA-256 alone. All texts are UTF-8, lines end
with one newline (byte 10), hexadecimal digits are lower case, a number is the 16 hexadecimal digits of its IEEE 754
double, most significant byte first (0.5 is 3fe0000000000000), and HEX(x) is the hexadecimal SHA-256 of x.

    plan digest   HEX("truerank audit plan 1\\n" "items " decimal "\\n" "level " number "\\n" "fine " number "\\n"
                      and, for each rank from the top, "rank " number "\\n", its probability of an audit)
    commitment    HEX("truerank audit commitment 1\\n" secret in hexadecimal "\\n" round "\\n" plan digest "\\n")
    draw          h = SHA-256("truerank audit draw 1\\n" secret in hexadecimal "\\n" round "\\n" beacon "\\n" name),
                  read as a whole number, most significant byte first;
                  the entry called `name` at published rank r is audited iff h < p_r * 2^256, compared exactly.

So each entry has its own uniform number h / 2^256, independent of the others' and of its rank, and rank r is audited
with probability p_r (up to 2^-256), whoever stands there. The secret must be random (`secrets.token_bytes(32)`), and
used once per round. The commitment hides it but lets nobody change it, nor the plan.

A leader could still try many secrets before committing until one spares a friend. To exclude that, name beforehand a
public random text that appears after the commitment, such as a randomness beacon's pulse, and pass it as `beacon`.

References
----------
Blum (1983), Coin flipping by telephone, SIGACT News 15(1), on commitment and reveal. FIPS 180-4 on SHA-256.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from designer.audits import AuditPlan

__all__ = ["AuditRound", "Verification", "commitment", "draw", "plan_digest", "verify"]

_LEAST_SECRET = 16  # bytes: fewer could be guessed


@dataclass(frozen=True, slots=True)
class AuditRound:
    """A drawn round.

    round : its label. entries : names by published rank, from the top. probability : of an audit, per entry.
    uniform : per entry the number in [0, 1) that was drawn, rounded; an entry is audited iff it is below the
    probability. audited : names, from the top.
    """

    round: str
    entries: tuple[str, ...]
    probability: tuple[float, ...]
    uniform: tuple[float, ...]
    audited: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Verification:
    """Whether a revealed round is as it was committed to; `detail` says what was found."""

    passed: bool
    detail: str


def plan_digest(plan: AuditPlan) -> str:
    """The plan digest of the module's text, 64 hexadecimal digits."""
    lines = [
        "truerank audit plan 1",
        f"items {plan.items}",
        f"level {_number(plan.level)}",
        f"fine {_number(plan.fine)}",
    ]
    lines += [f"rank {_number(p)}" for p in plan.probability]
    return hashlib.sha256("".join(f"{line}\n" for line in lines).encode()).hexdigest()


def commitment(secret: bytes, *, round: str, plan: AuditPlan) -> str:
    """What the leader publishes before the round, 64 hexadecimal digits.

    Raises
    ------
    ValueError : a secret shorter than 16 bytes, a label that is empty or has a line break.
    """
    _check(secret, round, "")
    lines = ("truerank audit commitment 1", secret.hex(), round, plan_digest(plan))
    return hashlib.sha256("".join(f"{line}\n" for line in lines).encode()).hexdigest()


def draw(secret: bytes, *, round: str, entries: Sequence[str], plan: AuditPlan, beacon: str = "") -> AuditRound:
    """Draw the entries that are audited this round.

    Parameters
    ----------
    secret : at least 16 random bytes, committed to. round : its label. plan : the plan committed to.
    entries : names by published rank, from the top; ranks beyond the plan's list are not audited.
    beacon : public random text that appeared after the commitment, if one was announced.

    Raises
    ------
    ValueError : as `commitment`; names that are empty or appear twice, fewer entries than the plan has ranks.
    """
    _check(secret, round, beacon)
    if len(set(entries)) < len(entries) or not all(entries):
        raise ValueError("audit draw: entries must have names, all distinct; the draw goes by name")
    if len(plan.probability) > len(entries):
        raise ValueError(
            f"audit draw: {len(plan.probability)} ranks in the plan for {len(entries)} entries; at most one per entry"
        )
    probability = (*plan.probability, *(0.0 for _ in range(len(entries) - len(plan.probability))))
    prefix = f"truerank audit draw 1\n{secret.hex()}\n{round}\n{beacon}\n"
    drawn = [int.from_bytes(hashlib.sha256((prefix + name).encode()).digest(), "big") for name in entries]
    audited = tuple(name for name, h, p in zip(entries, drawn, probability, strict=True) if _below(h, p))
    return AuditRound(round, tuple(entries), probability, tuple(h / 2.0**256 for h in drawn), audited)


def verify(
    published: str,
    secret: bytes,
    *,
    round: str,
    entries: Sequence[str],
    plan: AuditPlan,
    audited: Sequence[str],
    beacon: str = "",
) -> Verification:
    """Whether a revealed secret is the one committed to, and the entries audited are those it draws.

    Parameters
    ----------
    published : the commitment. audited : names said to have been audited, in any order. The rest as `draw`.
    """
    found = commitment(secret, round=round, plan=plan)
    if found != published.strip().lower():
        return Verification(False, f"secret, round or plan is not what was committed to: they commit to {found}")
    due = draw(secret, round=round, entries=entries, plan=plan, beacon=beacon).audited
    spared = [name for name in due if name not in audited]
    extra = [name for name in audited if name not in due]
    if spared or extra:
        told = [f"spared: {', '.join(spared)}"] if spared else []
        told += [f"audited without being drawn: {', '.join(extra)}"] if extra else []
        return Verification(False, "; ".join(told))
    return Verification(True, f"{len(due)} of {len(entries)} entries drawn, as committed to")


def _number(value: float) -> str:
    return struct.pack(">d", value + 0.0).hex()  # -0.0 is 0.0


def _below(h: int, probability: float) -> bool:
    """h < probability * 2^256, in whole numbers."""
    numerator, denominator = float(probability).as_integer_ratio()
    return h * denominator < numerator << 256


def _check(secret: bytes, round: str, beacon: str) -> None:
    if len(secret) < _LEAST_SECRET:
        raise ValueError(
            f"audit draw: a secret of {len(secret)} bytes; at least {_LEAST_SECRET} random bytes are needed"
        )
    if not round or "\n" in round or "\n" in beacon:
        raise ValueError("audit draw: round and beacon must be single lines, and the round not empty")
