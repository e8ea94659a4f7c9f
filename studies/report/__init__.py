"""Reports people look at: one self-contained page per study with figures, tables, certificates, a panel to turn the knobs."""

from studies.report.page import write_report
from studies.report.source import Loaded, Provenance, load_proposal

__all__ = ["Loaded", "Provenance", "load_proposal", "write_report"]
