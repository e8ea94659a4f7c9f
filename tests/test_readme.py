"""Every output in README.md was produced by the command above it, and the commands it names exist."""

from __future__ import annotations

import re

import pytest
from readme import CONSOLE, PYTHON, README, output_of, output_of_python

TEXT = README.read_text(encoding="utf-8")


@pytest.mark.parametrize(("command", "shown"), [(m[1], m[2]) for m in CONSOLE.finditer(TEXT)])
def test_console_blocks_are_true(command: str, shown: str) -> None:
    assert shown.strip() and output_of(command) == shown


def test_the_python_example_is_true() -> None:
    (example,) = PYTHON.finditer(TEXT)
    assert output_of_python(example[1]) == example[2]


def test_named_files_exist() -> None:
    for path in re.findall(r"\]\(([^)h][^)]*)\)|`((?:examples|solvers|tests)/[^`\s]+)`", TEXT):
        assert (README.parent / (path[0] or path[1])).exists(), path
    assert CONSOLE.findall(TEXT)
