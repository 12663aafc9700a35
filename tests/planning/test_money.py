"""Money, worked out by hand."""

from __future__ import annotations

import pytest

from tapas_opt.planning.money import costs, money_of, worth_per_h
from tapas_opt.planning.study import Assumed, Money

YEAR_H = 8766.0


@pytest.fixture
def money() -> Money:
    """Chosen so that an hour's parts are whole numbers at base."""
    return Money(
        currency="USD",
        built_kw=Assumed(YEAR_H, 2 * YEAR_H, 3 * YEAR_H),
        building_years=10.0,
        stranded_kw_year=Assumed(0.0, YEAR_H, 2 * YEAR_H),
        server=Assumed(YEAR_H, 5 * YEAR_H, 10 * YEAR_H),
        server_years=5.0,
        energy_kwh=Assumed(0.05, 0.1, 0.2),
        pue=Assumed(1.0, 1.25, 1.5),
        revenue_server_h=Assumed(4.0, 5.0, 6.0),
        sla_penalty_server_h=Assumed(0.0, 2.0, 4.0),
    )


def test_an_hour_costs_and_brings_what_a_hand_works_out(outcome, money):
    """500 kW at 2/10 an hour: 100. 100 servers at 1: 100. 400 kWh an hour × 1.25 × 0.1: 50.

    500 h of instances lose a tenth and 500 h of tenants, four fifths of them placed, lose a fifth: 50 + 80 in ten
    hours, 13 an hour × 2: 26. In all 276, half of it for 200 million tokens an hour. 100 VMs × 0.8 × 5: 400.
    """
    row = outcome(saas_performance_loss_frac=0.1, iaas_performance_loss_frac=0.2, vms_rejected_frac=0.2)
    told = money_of(row, money)
    base = {name: levels["base"] for name, levels in told.items()}
    assert base == pytest.approx(
        {
            "cost_per_h": 276.0,
            "building_per_h": 100.0,
            "servers_per_h": 100.0,
            "energy_per_h": 50.0,
            "penalty_per_h": 26.0,
            "cost_per_server_h": 2.76,
            "cost_per_million_tokens": 0.69,
            "stranded_per_h": 100.0,
            "revenue_per_h": 400.0,
            "margin_per_h": 124.0,
        }
    )
    assert told["margin_per_h"]["low"] == pytest.approx(told["revenue_per_h"]["low"] - told["cost_per_h"]["high"])
    assert told["cost_per_h"]["low"] < told["cost_per_h"]["base"] < told["cost_per_h"]["high"]


def test_runs_of_a_room_are_averaged_and_what_serves_nothing_has_no_price_of_a_token(outcome, money):
    rows = [outcome(energy_kwh=4000.0), outcome(energy_kwh=8000.0, seed=2), outcome(policy="tapas", served_tokens=0.0)]
    found = costs(rows, money)
    assert [(row["policy"], row["runs"], row["currency"]) for row in found] == [
        ("baseline", 2, "USD"),
        ("tapas", 1, "USD"),
    ]
    assert found[0]["energy_per_h"]["base"] == pytest.approx(75.0)
    assert found[1]["cost_per_million_tokens"] == {"low": None, "base": None, "high": None}


def test_a_step_is_worth_what_the_vms_bring_that_it_lets_in(money):
    """At most 2 VMs at 6, at least half a VM fewer at 6; the plans differ by one at 5."""
    step = {"least": -0.5, "most": 2.0, "found": 1.0}
    assert worth_per_h(step, money) == {"low": -3.0, "base": 5.0, "high": 12.0}
    assert worth_per_h(step | {"least": None}, money)["high"] is None
