"""A population as plain data and back: what a stored study keeps of the developers it was made for."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

from followers.costs import PowerCost, TabulatedCost
from followers.curves import Exponential, GeneralizedLogit, Linear
from followers.envelope import Envelope
from followers.errors import InputError
from followers.grouping import Part
from followers.population import Population
from followers.roster import RosterCost, RosterCurve
from followers.tabulated import Tabulated

__all__ = ["population_document", "read_population_document"]

_LAWS = {
    law.__name__: law
    for law in (
        GeneralizedLogit,
        Exponential,
        Linear,
        Tabulated,
        Envelope,
        RosterCurve,
        PowerCost,
        TabulatedCost,
        RosterCost,
        Part,
        Population,
    )
}
"""Everything that a population is made of, by the name under which it is written."""


def population_document(population: Population) -> dict[str, Any]:
    """The population as lists, numbers and strings; every double to its last digit, infinities and NaN by name."""
    document = _plain(population)
    assert isinstance(document, dict)
    return document


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return {"law": type(value).__name__, **{f.name: _plain(getattr(value, f.name)) for f in fields(value)}}
    if isinstance(value, np.ndarray):
        numbers = value.ravel().tolist()
        plain = [x if isinstance(x, int) or np.isfinite(x) else str(x) for x in numbers]
        return {"array": plain, "shape": list(value.shape), "type": "int" if value.dtype.kind == "i" else "float"}
    if isinstance(value, tuple | list):
        return [_plain(v) for v in value]
    if isinstance(value, np.generic):
        return value.item()
    return dict(value) if hasattr(value, "items") else value


def read_population_document(document: Any) -> Population:
    """The population that `population_document` wrote.

    Raises
    ------
    InputError : it is no such document.
    """
    try:
        population = _made(document)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"population: not what was written by this program ({error})") from None
    if not isinstance(population, Population):
        raise InputError("population: not what was written by this program")
    return population


def _made(value: Any) -> Any:
    if isinstance(value, dict) and "law" in value:
        return _LAWS[value["law"]](**{name: _made(v) for name, v in value.items() if name != "law"})
    if isinstance(value, dict) and "array" in value:
        kind = np.int64 if value["type"] == "int" else np.float64
        return np.array([kind(x) for x in value["array"]], dtype=kind).reshape(value["shape"])
    return tuple(_made(v) for v in value) if isinstance(value, list) else value
