"""Equilibria of leaderboard games, with certificates and their independent checker (DESIGN section 2)."""

from solvers.assumptions import Assumption, check_assumptions
from solvers.certificate import Certificate, Deviation, Status
from solvers.checker import CheckReport, check
from solvers.pure import Profile, PureEquilibrium, solve_pure

__all__ = [
    "Assumption",
    "Certificate",
    "CheckReport",
    "Deviation",
    "Profile",
    "PureEquilibrium",
    "Status",
    "check",
    "check_assumptions",
    "solve_pure",
]
