"""A site taken apart into rooms, filled one by one, and put together again."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tapas_opt.placement import room_by_room, trading
from tapas_opt.placement.aggregate import shares
from tapas_opt.placement.check import check
from tapas_opt.placement.dealing import dealt, rounded
from tapas_opt.placement.greedy import greedy
from tapas_opt.placement.problem import PlacementPlan, placement_classes
from tapas_opt.placement.room_by_room import placed_room_by_room, split
from tapas_opt.placement.rooms import in_room, room_of_server
from tapas_opt.placement.survival.greedy import with_relief

NONE = -1
SIZES = {"vms": 12, "servers": 12, "types": 3, "hours": 3}


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    monkeypatch.setattr(room_by_room, "FEW_VMS", 0)
    monkeypatch.setattr(trading, "LEAST_TRIES", 200)


def with_walls(problem):
    """Every budget, and every place over which a group is spread, once for each room."""
    room = room_of_server(problem) + 1

    def walled(names, member):
        return tuple(f"{name} of room {r}" for r in range(3) for name in names), np.where(
            member == NONE, NONE, member + len(names) * room.reshape(-1, *[1] * (member.ndim - 1))
        )

    families = []
    for family in problem.budgets.families:
        domains, member = walled(family.domains, family.member)
        limit, base = (np.tile(number, (3, 1)) for number in (family.limit, family.base))
        families.append(replace(family, domains=domains, member=member, limit=limit, base=base))
    groups = []
    for group in problem.groups:
        places, place_of = walled(group.places, group.place_of)
        groups.append(replace(group, places=places, place_of=place_of, present=np.tile(group.present, 3)))
    budgets = replace(problem.budgets, families=tuple(families))
    return replace(problem, budgets=budgets, groups=tuple(groups))


@pytest.mark.parametrize("bunch", [1, 8])
@pytest.mark.parametrize("seed", range(15))
def test_a_site_filled_room_by_room_keeps_all_limits(seed, bunch, random_survival, monkeypatch):
    """Groups that are of use only as a whole lie in several rooms, too."""
    monkeypatch.setattr(room_by_room, "BUNCH", bunch)
    problem = with_walls(random_survival(seed, **SIZES))
    plan = placed_room_by_room(problem, shares(problem, deadline_s=None), near_frac=0.01)
    if problem.survival.parts:
        report = check(problem, plan)
        assert report.ok, report.violations
    else:
        assert plan is None


def test_rooms_that_share_a_budget_are_not_filled_one_by_one(random_survival):
    problem = random_survival(0, **SIZES)
    assert problem.survival.parts
    assert placed_room_by_room(problem, shares(problem, deadline_s=None), near_frac=0.01) is None


@pytest.mark.parametrize("seed", range(15))
def test_vms_are_dealt_out_within_all_limits(seed, random_survival):
    problem = random_survival(seed, **SIZES)
    if problem.survival.parts and not any(group.all_or_nothing for group in problem.groups):
        plan = dealt(problem, placement_classes(problem), shares(problem, deadline_s=None))
        assert check(problem, plan).ok


@pytest.mark.parametrize("seed", range(15))
def test_what_failures_cost_in_a_room_is_what_they_cost_there_on_the_site(seed, random_survival):
    problem = with_walls(random_survival(seed, **SIZES))
    plan, room_of, in_all = greedy(problem), room_of_server(problem), 0.0
    for room in np.unique(room_of):
        servers = np.flatnonzero(room_of == room)
        names = {problem.servers[s] for s in servers}
        server_of = {vm: server for vm, server in plan.server_of.items() if server in names}
        vms = np.flatnonzero([vm in server_of for vm in problem.vms])
        part = in_room(problem, servers, vms, 1)
        report = check(part, with_relief(part, PlacementPlan(server_of, ())))
        assert report.ok, report.violations
        in_all += report.terms["worst_failure"]
    assert in_all == check(problem, plan).terms["worst_failure"]


def test_rounding_keeps_the_sum_of_each_row_and_nearly_that_of_each_column():
    random = np.random.default_rng(5)
    whole = random.integers(0, 9, 40)
    amount = random.dirichlet(np.ones(6), 40) * whole[:, None]
    found = rounded(amount)
    assert (found.sum(axis=1) == whole).all()
    assert np.abs(found.sum(axis=0) - amount.sum(axis=0)).max() < 2
    assert (np.abs(found - amount) < 2).all()


@pytest.mark.parametrize("seed", range(10))
def test_rooms_get_their_part_of_vms(seed, random_survival):
    """Each VM that the optimum places goes to one bunch, and none to a bunch without a server for it."""
    problem = random_survival(seed, **SIZES)
    site, half = shares(problem, deadline_s=None), np.arange(12) % 2
    bunch = split(problem, site, half, 2)
    assert (bunch >= 0).sum() == rounded(site.amount).sum()
    for b in (0, 1):
        free = np.flatnonzero(problem.server_available & (half == b))
        assert problem.eligible(free)[problem.vm_type[bunch == b]].any(axis=1).all()
