"""TAPAS's heuristics: validators before preferences, traffic away from what is loaded, quality before tokens."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from tapas_opt.domain.failure import Failure, FailureKind
from tapas_opt.domain.result import Constraint
from tapas_opt.domain.site_generator import SiteShape, generate_site
from tapas_opt.domain.topology import topology_of
from tapas_opt.domain.workload import Group, SpreadOver
from tapas_opt.plant.workload import Workload
from tapas_opt.reconfiguration.problem import Stage
from tapas_opt.simulation.policies.insight import Insight
from tapas_opt.simulation.policies.roster import Roster
from tapas_opt.simulation.policies.table import HEURISTIC, policy_of
from tapas_opt.simulation.policies.tapas_configure import TapasConfigurator, orders_of
from tapas_opt.simulation.policies.tapas_place import TapasPlacer
from tapas_opt.simulation.policies.tapas_route import TapasRouter

GROUPS = tuple(Group(name, SpreadOver.ROW, max_per_place=10_000) for name in ("conv", "code"))
MONDAY_S = 28 * 86_400.0
AFTERNOON_S = MONDAY_S + 15 * 3600.0
U1 = Failure(FailureKind.UPS, "U1")


def vms(count):
    return Workload(seed=1).initial_vms(count)


@pytest.fixture
def tapas(known, demo_topology):
    """Roster, insight, and what puts VMs into both."""
    roster = Roster(demo_topology)
    insight = Insight(known.controller(HEURISTIC))

    def put(some, server_of):
        roster.put(some, server_of)
        insight.put(some, server_of, GROUPS)

    return roster, insight, put


@pytest.fixture
def full(tapas, demo_topology):
    """A VM on each of the 80 servers, by a blind allocator."""
    roster, insight, put = tapas
    some = vms(80)
    put(some, {vm.name: server for vm, server in zip(some, demo_topology.servers, strict=True)})
    return roster, insight


def test_placement_balances_kinds_over_rows(tapas, demo_topology):
    """Two rows: each gets about half of the instances, and half of the others."""
    roster, insight, _ = tapas
    some = vms(40)
    found = TapasPlacer(roster, insight).find(some, GROUPS, MONDAY_S)
    assert len(set(found.values())) == 40
    row_of = dict(zip(demo_topology.servers, demo_topology.server_row.tolist(), strict=True))
    for kind in (True, False):
        rows = Counter(row_of[found[vm.name]] for vm in some if (vm.endpoint is not None) is kind)
        assert max(rows.values()) - min(rows.values()) <= 1


def test_placement_stops_where_a_row_would_be_over_its_budget_at_the_predicted_peak(known):
    """Rows of 60 % of their nameplate: it leaves servers free, and its plan breaks neither rows nor aisles."""
    site = generate_site(80, shape=SiteShape(row_power_frac=0.6))
    roster, insight = Roster(topology_of(site)), Insight(replace(known, site=site).controller(HEURISTIC))
    some = vms(80)
    found = TapasPlacer(roster, insight).find(some, GROUPS, MONDAY_S)
    insight.put(some, found, GROUPS)
    assert 0 < len(found) < 80
    problem = insight.placement(vms(81)[80:], GROUPS, MONDAY_S)
    for family in problem.budgets.families:
        if family.constraint in (Constraint.ROW_POWER_BUDGET, Constraint.AISLE_AIRFLOW_CAPACITY):
            assert (family.room >= 0).all()


def test_traffic_goes_to_instances_in_proportion_to_what_they_may_take(full):
    """All of it to somebody, and as long as nothing changes the very same shares."""
    _, insight = full
    router = TapasRouter(insight)
    shares = router.shares(AFTERNOON_S)
    assert {endpoint: pytest.approx(1.0) for endpoint in ("conv", "code")} == {
        endpoint: sum(parts.values()) for endpoint, parts in shares.items()
    }
    assert router.shares(AFTERNOON_S + 60.0) is shares
    insight.failed(U1)
    assert router.shares(AFTERNOON_S + 60.0) is not shares


def test_an_emergency_is_relieved_by_instances_and_agreed_clocks_alone(full):
    """What is left over the limits is no more than the least that knobs in time allow."""
    roster, insight = full
    roster.failed(U1)
    insight.failed(U1)
    before = insight.reconfiguration(Stage.NOW, AFTERNOON_S)
    orders = TapasConfigurator(roster, insight).failed(U1, AFTERNOON_S)
    assert before.present().excess
    changed = {*orders.choice_of, *orders.frequency_frac_of}
    assert changed
    assert all(roster.vms[name].may_be_slowed for name in changed)
    number = {name: c for c, name in enumerate(before.choices.names)}
    chosen = before.current.copy()
    for i, name in enumerate(before.instances):
        if name in orders.choice_of:
            chosen[i] = number[orders.choice_of[name]]
        elif name in orders.frequency_frac_of:
            chosen[i] = number[f"clock@{orders.frequency_frac_of[name]:g}"]
    assert sum(before.excess_of(chosen).values()) < 0.5 * sum(before.present().excess.values())
    assert before.eligible()[np.arange(len(chosen)), chosen].all()


def test_after_an_emergency_instances_go_back_to_what_their_endpoints_prefer(full):
    roster, insight = full
    insight.failed(U1)
    configurator = TapasConfigurator(roster, insight)
    changed = configurator.failed(U1, MONDAY_S).choice_of
    for name in roster.vms:
        insight.applied(name)
    insight.cleared(U1)
    back = configurator.review(MONDAY_S + 3600.0).choice_of
    assert set(changed) <= set(back) | {name for name in changed if insight.preferred(name) is None}


def test_a_clock_is_an_order_to_a_clock_and_all_else_to_an_instance():
    orders = orders_of({"iaas": "clock@0.7", "saas": "some@0.5", "idle": "parked"}, "why")
    assert orders.frequency_frac_of == {"iaas": 0.7}
    assert orders.choice_of == {"saas": "some@0.5", "idle": "parked"}


@pytest.mark.parametrize("name", ["place", "route", "config", "place+route", "place+config", "route+config", "tapas"])
def test_each_part_is_that_of_tapas_or_of_the_baseline(name, known):
    policy = policy_of(name, known)
    parts = (policy._placer, policy._router, policy._configurator)
    asked = ("place", "route", "config") if name == "tapas" else tuple(name.split("+"))
    is_tapas = [type(part).__name__.startswith("Tapas") for part in parts]
    assert is_tapas == [part in asked for part in ("place", "route", "config")]
