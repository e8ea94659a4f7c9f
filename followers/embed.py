"""Makes the embedded populations: `python -m followers.embed trajectories.csv` (maintainers only).

Reads the trajectories of github.com/socialfoundations/training-on-the-test-task and writes the fitted parameters, with
their provenance, to followers/embedded/. The measurements themselves are not part of the project.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from followers.calibration import calibrate
from followers.importers import read_trajectories

__all__ = ["HALF_PRIZE_STEPS", "document"]

HALF_PRIZE_STEPS = {"gsm8k": 25_000.0, "mmlu": 4_000.0}
"""Steps that cost half of a first prize of 1: the length of the measured trajectories."""


def document(trajectories: Path, benchmark: str) -> dict[str, Any]:
    """The embedded document of one benchmark: provenance, and developers with clean trajectories."""
    steps = HALF_PRIZE_STEPS[benchmark]
    measured = read_trajectories(trajectories, benchmark=benchmark)
    fitted = calibrate(measured, quality="last measured score", cost_scale=0.5 / steps, clean_only=True, choose="fit")
    return {
        "provenance": {
            "measurements": "github.com/socialfoundations/training-on-the-test-task, commit c357810 (figures only)",
            "paper": "Training on the Test Task Confounds Evaluation and Emergence, arXiv 2407.07890",
            "benchmark": f"{benchmark}, {len(measured)} trajectories measured, {len(fitted.fits)} kept",
            "fit": "generalized-logit by weighted least squares, this project's followers.calibration",
            "quality": fitted.quality,
            "cost": f"linear; {steps:,.0f} steps cost half of a first prize of 1 (an assumption)",
            "left out": "; ".join(fitted.notes) or "nothing",
        },
        "developers": fitted.developers(),
    }


def main(trajectories: Path) -> None:
    """Write every embedded population, each whole or not at all."""
    for benchmark in HALF_PRIZE_STEPS:
        target = Path(__file__).parent / "embedded" / f"{benchmark}.json"
        part = target.with_suffix(".part")
        part.write_text(json.dumps(document(trajectories, benchmark), indent=1) + "\n", encoding="utf-8")
        os.replace(part, target)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
