"""A placement taken apart into rooms: who is in which, and the problem that is left of each.

Failures are a room's own, and so is most of what is limited. What reaches over several rooms (servers that are kept
back for the whole site, peaks) a room's problem leaves out, or prices by a part only: plans of rooms are put together
and judged as one.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tapas_opt.budgets.numbers import BudgetFamily
from tapas_opt.domain.topology import NONE
from tapas_opt.placement.hosts import Hosts
from tapas_opt.placement.problem import PlacementProblem, SpreadGroup
from tapas_opt.placement.promises.numbers import KeptBack, Promises
from tapas_opt.placement.survival.problem import Secured, Survival

__all__ = ["in_room", "room_of_server", "share_nothing"]

IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


def room_of_server(problem: PlacementProblem) -> IntArray:
    """``[server]`` the room whose failures matter to it; :data:`NONE` where none do."""
    room = np.full(len(problem.servers), NONE)
    for part in problem.survival.parts if problem.survival else ():
        of_pair = np.append(part.scenario_room[part.scenario], NONE)
        room = np.maximum(room, of_pair[part.family.member].max(axis=1, initial=NONE)[part.kind])
    return room


def share_nothing(problem: PlacementProblem, room_of: IntArray) -> bool:
    """Whether no budget, and no place over which a group is spread, reaches over several of ``[server]`` rooms."""
    shared = [_reach_over(family.member, room_of) for family in problem.budgets.families]
    spread = [g for g in problem.groups if g.max_per_place < (problem.vm_group >= 0).sum()]
    return not any(shared) and not any(_reach_over(group.place_of[:, None], room_of) for group in spread)


def _reach_over(member: IntArray, room_of: IntArray) -> bool:
    """Whether servers of several rooms are in one of ``[server, place]`` domains."""
    inside = member != NONE
    room = np.broadcast_to(room_of[:, None], member.shape)[inside]
    of_domain = np.full(int(member.max(initial=NONE)) + 1, NONE)
    of_domain[member[inside]] = room
    return bool((of_domain[member[inside]] != room).any())


def in_room(problem: PlacementProblem, servers: IntArray, vms: IntArray, price_parts: int) -> PlacementProblem:
    """Some VMs onto some servers, which are all free ones of a room; a peak costs one of so many parts of its price."""
    prices = {name: price // price_parts for name, price in problem.prices.peak_permille.items()}
    families = tuple(_family(family, servers) for family in problem.budgets.families)
    return replace(
        problem,
        vms=tuple(problem.vms[v] for v in vms.tolist()),
        servers=tuple(problem.servers[s] for s in servers.tolist()),
        vm_type=problem.vm_type[vms],
        vm_priority=problem.vm_priority[vms],
        vm_group=problem.vm_group[vms],
        server_hardware=problem.server_hardware[servers],
        server_available=problem.server_available[servers],
        server_ceiling_w=problem.server_ceiling_w[servers],
        groups=tuple(_group(group, servers) for group in problem.groups),
        budgets=replace(problem.budgets, families=families),
        prices=replace(problem.prices, peak_permille=prices),
        hosts=None if problem.hosts is None else _hosts(problem.hosts, servers),
        vm_spot=None if problem.vm_spot is None else problem.vm_spot[vms],
        promises=None if problem.promises is None else _promises(problem.promises, servers, vms),
        survival=None if problem.survival is None else _survival(problem.survival, servers),
    )


def _renumbered(kept: BoolArray) -> IntArray:
    """Numbers among those that are kept; the last one is that of :data:`NONE`."""
    return np.append(np.where(kept, np.cumsum(kept) - 1, NONE), NONE)


def _family(family: BudgetFamily, servers: IntArray) -> BudgetFamily:
    member = family.member[servers]
    kept = np.zeros(len(family.domains), dtype=bool)
    kept[member[member != NONE]] = True
    return replace(
        family,
        domains=tuple(family.domains[d] for d in np.flatnonzero(kept).tolist()),
        member=_renumbered(kept)[member],
        share_permille=family.share_permille[servers],
        limit=family.limit[kept],
        base=family.base[kept],
        can_bind=None if family.can_bind is None else family.can_bind[kept],
    )


def _group(group: SpreadGroup, servers: IntArray) -> SpreadGroup:
    """A group of which some members are elsewhere may be there in parts."""
    return replace(group, place_of=group.place_of[servers], all_or_nothing=False)


def _hosts(hosts: Hosts, servers: IntArray) -> Hosts:
    names = tuple(hosts.server[s] for s in servers.tolist())
    return replace(hosts, server=names, first_gpu=hosts.first_gpu[servers], gpus=hosts.gpus[servers])


def _promises(promises: Promises, servers: IntArray, vms: IntArray) -> Promises:
    levels = tuple(_within(kept, servers) for kept in promises.levels)
    return replace(promises, vm_tenant=promises.vm_tenant[vms], levels=levels)


def _within(kept: KeptBack, servers: IntArray) -> KeptBack:
    """Without the places that servers elsewhere count in, too."""
    of, count = kept.place_of[servers], len(kept.places)
    here, everywhere = (np.bincount(at[at != NONE], minlength=count) for at in (of, kept.place_of))
    return replace(kept, place_of=np.where((of != NONE) & np.append(here == everywhere, False)[of], of, NONE))


def _survival(survival: Survival, servers: IntArray) -> Survival:
    parts = (_part(part, servers) for part in survival.parts)
    return replace(survival, parts=tuple(part for part in parts if len(part.scenarios)))


def _part(part: Secured, servers: IntArray) -> Secured:
    """The failures that servers feel, whole; of kinds only those of the servers."""
    kinds, kind = np.unique(part.kind[servers], return_inverse=True)
    member = part.family.member[kinds]
    scenarios = np.zeros(len(part.scenarios), dtype=bool)
    scenarios[part.scenario[member[member != NONE]]] = True
    pairs, groups = scenarios[part.scenario], scenarios[part.group_scenario]
    number, pair, group = _renumbered(scenarios), _renumbered(pairs), _renumbered(groups)
    family = part.family
    return replace(
        part,
        family=replace(
            family,
            domains=tuple(family.domains[d] for d in np.flatnonzero(pairs).tolist()),
            member=pair[member],
            share_permille=family.share_permille[kinds],
            limit=family.limit[pairs],
            base=family.base[pairs],
            can_bind=None if family.can_bind is None else family.can_bind[pairs],
        ),
        kind=kind.ravel().astype(np.int64),
        scenarios=tuple(part.scenarios[i] for i in np.flatnonzero(scenarios).tolist()),
        scenario_room=part.scenario_room[scenarios],
        scenario=number[part.scenario[pairs]],
        groups=tuple(part.groups[g] for g in np.flatnonzero(groups).tolist()),
        group_scenario=number[part.group_scenario[groups]],
        group_of_kind=group[part.group_of_kind[kinds]],
        group_pair=pair[part.group_pair[groups]],
        group_share_permille=part.group_share_permille[groups],
        available=part.available[groups],
    )
