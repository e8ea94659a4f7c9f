"""Runs what README.md shows, console blocks and the Python example; `python tests/readme.py` writes them anew."""

from __future__ import annotations

import contextlib
import io
import os
import re
from pathlib import Path

from studies.cli import main

README = Path(__file__).parents[1] / "README.md"
CONSOLE = re.compile(r"```console\n\$ truerank (.*)\n((?:.*\n)*?)```\n")
PYTHON = re.compile(r"```python\n((?:.*\n)*?)```\n\n```\n((?:.*\n)*?)```\n")


def output_of(arguments: str) -> str:
    """Standard output of a truerank command, as in a file 110 columns wide."""
    out = io.StringIO()
    before = Path.cwd()
    os.chdir(README.parent)
    try:
        with contextlib.redirect_stdout(out), contextlib.suppress(SystemExit):
            main(arguments.split())
    finally:
        os.chdir(before)
    return tidy(out.getvalue())


def output_of_python(code: str) -> str:
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(code, "README.md", "exec"), {})
    return tidy(out.getvalue())


def tidy(text: str) -> str:
    """Without the padding at line ends."""
    return "".join(line.rstrip() + "\n" for line in text.rstrip().splitlines())


def rewritten(text: str) -> str:
    text = CONSOLE.sub(lambda m: f"```console\n$ truerank {m[1]}\n{output_of(m[1])}```\n", text)
    return PYTHON.sub(lambda m: f"```python\n{m[1]}```\n\n```\n{output_of_python(m[1])}```\n", text)


if __name__ == "__main__":
    README.write_text(rewritten(README.read_text(encoding="utf-8")), encoding="utf-8")
