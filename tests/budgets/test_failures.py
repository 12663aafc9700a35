"""Pairs of domain and failure, worked out by hand on ``two_rows`` and held against the budgets under each failure."""

from __future__ import annotations

import numpy as np
import pytest

from tapas_opt.budgets.failures import scenario_name, single_failures, site_failures
from tapas_opt.budgets.numbers import BudgetFamily, budget_numbers
from tapas_opt.domain.failure import Failure, FailureKind, effect_of
from tapas_opt.domain.result import Constraint
from tapas_opt.domain.site_generator import SiteShape, generate_site
from tapas_opt.domain.topology import topology_of
from tapas_opt.errors import NotFound

U1 = Failure(FailureKind.UPS, "U1")


def shares(pairs, failures, topology):
    """Share in thousandths by pair and server."""
    return {
        (pairs.names[pair], topology.servers[s]): int(share)
        for s, unit in enumerate(failures.unit_of)
        for pair, share in zip(pairs.member[unit], pairs.share_permille[unit], strict=True)
        if pair >= 0
    }


def test_a_lost_ups_asks_more_of_the_partners_of_its_racks(two_rows):
    """K1, K3 and K5 move to U2, U3 and U4 and to their PDUs; K2, K4 and K6 stay by halves. No other UPS is touched."""
    topology = topology_of(two_rows)
    failures = site_failures(topology, [(U1,)])
    assert failures.power.names == tuple(f"{d} after ups:U1" for d in ("U2", "U3", "U4", "P2", "P3", "P4"))
    found = shares(failures.power, failures, topology)
    assert {server: share for (pair, server), share in found.items() if pair == "U2 after ups:U1"} == {
        "S1": 1000,
        "S4": 500,
        "S6": 500,
    }
    assert failures.power.capacity.tolist() == [12_000.0] * 3 + [16_000.0] * 3


def test_a_pdu_is_outweighed_by_its_ups_and_the_site_says_so(two_rows):
    """Whatever relief answers the loss of U1 answers that of P1, which is all that hangs on it."""
    failures = site_failures(topology_of(two_rows), single_failures(topology_of(two_rows)))
    assert failures.power.scenarios == (*(f"ups:U{u}" for u in range(1, 5)), *(f"ahu:AHU{h} heat" for h in range(1, 4)))
    assert dict(failures.no_worse) == {f"pdu:P{u}": f"ups:U{u}" for u in range(1, 5)}


def test_a_server_that_goes_dark_asks_nothing_of_anybody(two_rows_of_h100):
    """With one feed each H100 has three of four supplies: nothing rises, so nothing has to be secured."""
    failures = site_failures(topology_of(two_rows_of_h100), [(U1,)])
    assert failures.power.names == ()


def test_a_lost_handler_leaves_its_aisles_less_air_and_heat(two_rows):
    """AHU1 gone, A1 has half of AHU2: 1,000 CFM and 10,000 W."""
    failures = site_failures(topology_of(two_rows), [(Failure(FailureKind.AHU, "AHU1"),)])
    assert (failures.air.names, failures.air.capacity.tolist()) == (("A1 after ahu:AHU1 air",), [1_000.0])
    assert (failures.power.names, failures.power.capacity.tolist()) == (("A1 after ahu:AHU1 heat",), [10_000.0])


def test_of_each_domain_only_the_heaviest_pairs_can_trip_it(two_rows):
    """U2 with U1, U3 and U4 lost carries another rack whole each time: none outweighs another, PDUs' losses never."""
    failures = site_failures(topology_of(two_rows), single_failures(topology_of(two_rows)))
    assert [name for name in failures.transient.names if name.startswith("U2 ")] == [
        "U2 after ups:U1",
        "U2 after ups:U3",
        "U2 after ups:U4",
    ]


def test_what_stands_failed_is_not_lost_again(two_rows):
    """With U1 out of service, losing U2 darkens K1 and puts K4 and K6 whole on U4 and U3, above their halves."""
    topology = topology_of(two_rows)
    failures = site_failures(topology, [(Failure(FailureKind.UPS, "U2"),)], standing=(U1,))
    found = shares(failures.power, failures, topology)
    assert {server: share for (pair, server), share in found.items() if pair == "U4 after ups:U2 during ups:U1"} == {
        "S2": 500,
        "S4": 1000,
        "S5": 1000,
    }


def test_two_lost_in_different_rooms_are_two_scenarios():
    """A room knows only of its own failures."""
    site = generate_site(64, shape=SiteShape(servers_per_room=32))
    topology = topology_of(site)
    both = tuple(Failure(FailureKind.UPS, name) for name in (topology.upses[0], topology.upses[4]))
    assert site_failures(topology, [both]).power.scenarios == tuple(failure.label for failure in both)


def test_an_unknown_element_is_named_with_those_there_are(two_rows):
    with pytest.raises(NotFound, match=r"U9.*the site has U1"):
        site_failures(topology_of(two_rows), [(Failure(FailureKind.UPS, "U9"),)])


@pytest.mark.parametrize("hardware", ["dgx-a100", "dgx-h100"])
def test_pairs_are_the_budgets_under_each_failure(hardware):
    """Units and rooms are a short cut: server by server, under each failure's effect, everything is the same."""
    site = generate_site(120, hardware=hardware, shape=SiteShape(servers_per_room=60, ups_budget_frac=0.9))
    topology = topology_of(site)
    rng = np.random.default_rng(1)
    power, airflow = (rng.integers(0, most, (120, 2)).astype(float) for most in (6_000, 900))
    scenarios = (
        *single_failures(topology),
        (Failure(FailureKind.ROOM_POWER, topology.rooms[1], 0.75),),
        (Failure(FailureKind.ROOM_AIRFLOW, topology.rooms[0], 0.9),),
        tuple(Failure(FailureKind.UPS, name) for name in topology.upses[:2]),
    )
    failures = site_failures(topology, scenarios)
    checked = set()
    for pairs, draw in ((failures.power, power), (failures.air, airflow), (failures.transient, power)):
        none = np.zeros((len(pairs.names), 2), dtype=np.int64)
        member, share = pairs.member[failures.unit_of], pairs.share_permille[failures.unit_of]
        family = BudgetFamily(Constraint.FAILURE_SECURE, "W", pairs.names, member, share, none, none)
        load = -(-family.drawn_permille(draw.astype(np.int64)) // 1000)
        for scenario in scenarios:
            numbers = budget_numbers(topology, effect_of(topology, scenario), ("a", "b"), power, airflow, {})
            under = {family.constraint: family for family in numbers.families}
            for d, name in enumerate(pairs.names):
                if name.split(" after ")[1].split()[0] == scenario_name(scenario):
                    expected = under[pairs.family[d]]
                    assert load[d].tolist() == expected.base[pairs.element[d]].tolist()
                    assert int(pairs.capacity[d] + 1e-6) == expected.limit[pairs.element[d], 0]
                    checked.add(pairs.family[d])
    assert len(checked) == (5 if hardware == "dgx-a100" else 4), (
        "an H100 on one feed is dark, and asks nothing of a PDU"
    )
