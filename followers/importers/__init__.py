"""Measurements in: CSV tables and lm-evaluation-harness results become trajectories."""

from followers.importers.harness import find_results, read_harness, read_steps
from followers.importers.measured import Measured, read_effort_scales, read_measured
from followers.importers.tables import read_trajectories

__all__ = [
    "Measured",
    "find_results",
    "read_effort_scales",
    "read_harness",
    "read_measured",
    "read_steps",
    "read_trajectories",
]
