"""Evaluation protocols from practice, by name; each is a TOML file that says where it comes from."""

from designer.practice.library import Practice, named, read

__all__ = ["Practice", "named", "read"]
