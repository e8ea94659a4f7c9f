"""The embedded populations, calibrated from published measurements."""

from __future__ import annotations

import json
from importlib.resources import files

from followers.errors import InputError
from followers.population import Population
from followers.spec import DeveloperSpec, build_population

__all__ = ["EMBEDDED", "load"]

EMBEDDED = ("gsm8k", "mmlu")


def load(name: str) -> Population:
    """An embedded population (B = 1) by name; its `provenance` says where the numbers come from.

    Efforts are optimiser steps of fine-tuning on task data, costs are in units of the first prize.
    """
    if name not in EMBEDDED:
        raise InputError(
            f"population {name!r}: no such file or embedded population; embedded are {', '.join(EMBEDDED)}"
        )
    document = json.loads((files("followers.embedded") / f"{name}.json").read_text(encoding="utf-8"))
    developers = [DeveloperSpec.model_validate(d) for d in document["developers"]]
    return build_population(developers, f"embedded population {name}", document["provenance"])
