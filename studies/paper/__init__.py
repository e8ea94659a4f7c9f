"""The paper's results, re-derived: Chen, Zhang & Hardt (2026), arXiv 2603.08371."""

from studies.paper.run import Paper, derive, summary, tables, write

__all__ = ["Paper", "derive", "summary", "tables", "write"]
