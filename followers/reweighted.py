"""A suite whose tasks count differently from what the developers state (DESIGN section 1, `envelope`)."""

from __future__ import annotations

import numpy as np

from followers.curves import ScoreCurve
from followers.envelope import Envelope, suite
from followers.grouping import Part
from followers.roster import RosterCurve

__all__ = ["reweighted"]


def reweighted(curve: ScoreCurve, weights: tuple[float, ...]) -> ScoreCurve:
    """The suite's curve with `weights`, one per task, instead of its own.

    Raises
    ------
    ValueError : a developer has no tasks, or another number of them.
    """
    if isinstance(curve, RosterCurve):
        return RosterCurve(tuple(Part(p.developers, reweighted(p.law, weights)) for p in curve.parts), curve.n)
    if not isinstance(curve, Envelope):
        raise ValueError("task_weights: a developer has a single score curve; only a suite of tasks can be weighted")
    if len(weights) != len(curve.tasks):
        raise ValueError(f"task_weights: {len(weights)} given for {len(curve.tasks)} tasks; one per task is needed")
    if np.any(curve.level != 0):
        raise ValueError("task_weights: scores have been shifted as a whole; weights can no longer be told apart")
    return suite(curve.tasks, weights, curve.start)
