"""Reports people look at: one self-contained page per study, with figures, tables, certificates and a what-if panel."""

from studies.report.page import write_report
from studies.report.source import Loaded, Provenance, load_proposal

__all__ = ["Loaded", "Provenance", "load_proposal", "write_report"]
