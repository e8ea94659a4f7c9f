"""The leader's side: protocols, scorecards and the search for better ones (DESIGN sections 3 to 5)."""

from designer.domains import Choice, Range
from designer.evaluation import Evaluated
from designer.goal import Goal
from designer.prizes import Bands, Prizes
from designer.protocol import Protocol
from designer.scorecard import Figure, Outcomes, Scorecard, compare, paired_difference, play, scorecard
from designer.search import SearchResult, pareto_front, search
from designer.space import Space, default_space

__all__ = [
    "Bands",
    "Choice",
    "Evaluated",
    "Figure",
    "Goal",
    "Outcomes",
    "Prizes",
    "Protocol",
    "Range",
    "Scorecard",
    "SearchResult",
    "Space",
    "compare",
    "default_space",
    "paired_difference",
    "pareto_front",
    "play",
    "scorecard",
    "search",
]
