"""The one error a user's input can cause: a sentence with the file, the field, what was found, what is allowed."""

from __future__ import annotations

__all__ = ["InputError"]


class InputError(ValueError):
    """Wrong input; `str(error)` is one line for the user, the command line exits with code 2."""
