"""The leader's side: protocols, scorecards and the search for better ones (DESIGN sections 3 to 5)."""

from designer.prizes import Bands, Prizes
from designer.protocol import Protocol
from designer.scorecard import Figure, Outcomes, Scorecard, compare, paired_difference, play, scorecard
from designer.search import Evaluated, Goal, SearchResult, pareto_front, search
from designer.space import Choice, Range, Space, default_space

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
