"""A finished trial as a storage keeps it, readable in a dashboard, and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from designer.documents import card_document, read_card, read_protocol
from designer.evaluation import Evaluated, Stated

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

__all__ = ["NUMBER", "Standing", "attributes_of", "standings_of", "told_of"]

Standing: TypeAlias = tuple[float, ...]
"""Where a trial stands, less is better, the first number counting most: what it misses, its figure, and minus its
ranking quality, so that of two that cost the same the truer is ahead."""

NUMBER = "number"
"""The attribute that holds the number under which a trial was proposed; storages count in order of finishing."""


def attributes_of(number: int, standings: Sequence[Standing], evaluated: Evaluated) -> dict[str, Any]:
    """What a stored trial says of itself, readable in a dashboard."""
    stated = evaluated.stated
    return {
        NUMBER: number,
        "protocol": evaluated.protocol.sentence(),
        "protocol_file": evaluated.protocol.document(),
        "scorecard": card_document(evaluated.scorecard),
        "draws": evaluated.scorecard.draws,
        "every_draw": evaluated.full,
        "equilibrium": stated.status if stated else "not played",
        "stability_margin": _number(stated.margin) if stated else None,
        "largest_gain": stated.gain if stated else None,
        "standings": list(standings),
        "note": evaluated.note,
        "certificate_sha256": evaluated.digest,
    }


def _number(value: float) -> float | None:
    return value if np.isfinite(value) else None


def told_of(frozen: FrozenTrial) -> Evaluated:
    """What a stored trial says."""
    kept = frozen.user_attrs
    protocol = read_protocol(kept["protocol_file"])
    margin = kept["stability_margin"]
    played = kept["equilibrium"] != "not played"
    stated = Stated(kept["equilibrium"], float("nan") if margin is None else margin, kept["largest_gain"] or 0.0)
    return Evaluated(
        protocol=protocol,
        scorecard=read_card(kept["scorecard"], protocol),
        violations=dict(frozen.constraints),
        full=kept["every_draw"],
        stated=stated if played else None,
        note=kept["note"],
        digest=kept["certificate_sha256"],
    )


def standings_of(frozen: FrozenTrial) -> tuple[Standing, ...]:
    """Where a stored trial stood after each number of draws."""
    return tuple(tuple(map(float, standing)) for standing in frozen.user_attrs["standings"])
