"""The developers' side: score curves, effort costs, populations, priors and the game they play (DESIGN section 1)."""

from followers.costs import EffortCost, PowerCost, TabulatedCost
from followers.curves import Exponential, GeneralizedLogit, Linear, ScoreCurve
from followers.errors import InputError
from followers.game import LeaderboardGame, TieRule, select
from followers.leaderboards import LeaderboardPrior
from followers.load import load
from followers.population import Population
from followers.prior import RosterPrior, synthetic
from followers.tabulated import Tabulated, tabulate

__all__ = [
    "EffortCost",
    "Exponential",
    "GeneralizedLogit",
    "InputError",
    "LeaderboardGame",
    "LeaderboardPrior",
    "Linear",
    "Population",
    "PowerCost",
    "RosterPrior",
    "ScoreCurve",
    "Tabulated",
    "TabulatedCost",
    "TieRule",
    "load",
    "select",
    "synthetic",
    "tabulate",
]
