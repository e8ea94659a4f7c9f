from __future__ import annotations

import numpy as np
import pytest

from followers.costs import EffortCost, PowerCost, tabulate_cost
from followers.grouping import Part
from followers.roster import RosterCost


def power(scale: float, exponent: float, free: float, fee: float) -> PowerCost:
    return PowerCost(*(np.array([x]) for x in (scale, exponent, free, fee)))


COSTS: dict[str, EffortCost] = {
    "linear": power(0.5, 1.0, 0.0, 0.0),
    "quadratic after free effort": power(2.0, 2.0, 1.0, 0.0),
    "fee": power(0.5, 1.0, 0.0, 0.2),
    "fee, then a plateau": power(0.5, 1.5, 2.0, 0.2),
    "tabulated": tabulate_cost([([0, 1, 3], [0, 0, 1])]),
    "roster": RosterCost((Part(np.array([0]), power(0.5, 1.0, 0.0, 0.0)),), 1),
}


@pytest.mark.parametrize("name", COSTS)
def test_costs_start_at_zero_and_never_fall(name: str) -> None:
    e = np.linspace(0, 20, 2001)[:, None]
    cost = COSTS[name].cost(e)
    assert cost[0, 0] == 0 and np.all(np.diff(cost, axis=0) >= 0)


@pytest.mark.parametrize("name", COSTS)
def test_free_effort_plateau_and_entry_jump_are_where_they_say(name: str) -> None:
    cost = COSTS[name]
    free, jump, end = cost.free_effort()[0], cost.entry_jump()[0], cost.plateau_end()[0]
    assert cost.cost(np.array([free]))[0] == 0
    assert cost.cost(np.array([free + 1e-6]))[0] > 0
    assert cost.cost(np.array([1e-12]))[0] == pytest.approx(jump, abs=1e-11)
    if np.isfinite(end):
        assert cost.cost(np.array([end]))[0] == jump and cost.cost(np.array([end + 1e-6]))[0] > jump


@pytest.mark.parametrize("name", COSTS)
@pytest.mark.parametrize("amount", [0.0, 0.1, 0.2, 1.0, 7.3])
def test_affordable_is_the_largest_effort_within_an_amount(name: str, amount: float) -> None:
    cost = COSTS[name]
    most = cost.affordable(amount)
    assert cost.cost(most)[0] <= amount + 1e-12
    assert cost.cost(most * (1 + 1e-9) + 1e-9)[0] > amount - 1e-12
    if amount >= cost.entry_jump()[0]:
        assert cost.cost(most + 1e-3)[0] > amount


def test_tabulated_costs_interpolate_and_go_on_along_the_last_slope() -> None:
    cost = tabulate_cost([([0, 1, 3], [0, 0, 1]), ([0, 2], [0, 4])])
    assert cost.cost(np.array([[0.5, 1.0], [2.0, 3.0], [5.0, 10.0]])).tolist() == [[0.0, 2.0], [0.5, 6.0], [2.0, 20.0]]
    assert cost.cost(np.full(2, np.inf)).tolist() == [np.inf, np.inf]


def test_effort_that_never_costs_more_is_unbounded() -> None:
    assert power(0.0, 1.0, 0.0, 0.0).free_effort()[0] == np.inf
    assert power(0.0, 1.0, 0.0, 0.3).plateau_end()[0] == np.inf
    assert power(0.0, 1.0, 0.0, 0.3).affordable(0.2)[0] == 0 and power(0.0, 1.0, 0.0, 0.3).affordable(0.3)[0] == np.inf
