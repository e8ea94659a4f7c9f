"""The library of named protocols: which there are, what they model and what they leave out."""

from __future__ import annotations

import difflib
import tomllib
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from pydantic import TypeAdapter

from designer.protocol import Protocol, knobs
from followers.errors import InputError

__all__ = ["Practice", "named", "read"]

_FIRST = "direct"
"""The protocol that others are compared to comes first."""


@dataclass(frozen=True, slots=True)
class Practice:
    """A protocol from practice; it works for any number of developers.

    Attributes
    ----------
    name : what the command line calls it. title : what people call it.
    source, url : who uses or proposed it, and where that is written.
    modelled, not_modelled : what of it the game expresses, with what is assumed; and what it leaves out.
    text : the protocol file itself, to start from.
    """

    name: str
    protocol: Protocol
    title: str
    source: str
    url: str
    modelled: str
    not_modelled: str
    text: str


def named() -> tuple[str, ...]:
    """Names of the protocols, direct evaluation first, the others in alphabetical order."""
    names = [f.name.removesuffix(".toml") for f in files("designer.practice").iterdir() if f.name.endswith(".toml")]
    return tuple(sorted(names, key=lambda name: (name != _FIRST, name)))


def read(name: str) -> Practice:
    """A named protocol.

    Raises
    ------
    InputError : there is none of that name; it names those there are, and the nearest.
    """
    if name not in named():
        near = difflib.get_close_matches(name, named(), n=1, cutoff=0.5)
        guess = f"; did you mean {near[0]!r}?" if near else ""
        raise InputError(f"protocol {name!r}: no such file or named protocol; named are {', '.join(named())}{guess}")
    text = (files("designer.practice") / f"{name}.toml").read_text(encoding="utf-8")
    document = tomllib.loads(text)
    return Practice(name=name, protocol=_protocol(document), text=text, **document["provenance"])


def _protocol(document: dict[str, Any]) -> Protocol:
    """The protocol of a file's tables; knobs that it leaves out keep their default."""
    return Protocol(
        **{
            knob: TypeAdapter(k.form).validate_python(document[k.section][knob])
            for knob, k in knobs().items()
            if knob in document.get(k.section, {})
        }
    )
