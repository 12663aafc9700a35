"""Servers of a site in a few places: aisles (or rows) that bear about the same heat, and the same failures.

A failure's pairs are added up as budgets are, but a draw may lie on several pairs of one failure (a UPS, and a PDU
behind it). So pairs are *counted*, the tightest first, only as long as no server's shares on those of one failure
exceed its draw: then what relief takes off counted pairs, added up, is no more than the relief.

Failures of different rooms are one *rank* where they are alike: of each room and part the tightest is rank 0, and so
on. Which failures make up a rank decides only how tight a sum over rooms is, not whether it holds.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from tapas_opt.budgets.classes import Classes, alike
from tapas_opt.domain.failure import PERMILLE
from tapas_opt.domain.result import Constraint
from tapas_opt.domain.topology import NONE
from tapas_opt.placement.problem import PlacementProblem
from tapas_opt.placement.rooms import room_of_server
from tapas_opt.placement.survival.problem import Secured

__all__ = ["NOWHERE", "Apart", "Counted", "Kinds", "kinds_of", "place_of_domain"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

AREAS = (Constraint.AISLE_AIRFLOW_CAPACITY, Constraint.ROW_POWER_BUDGET)
"""Families whose domains make up places; the first that a problem has."""

PLACE_W = 10.0
"""Areas whose mean ceilings round to the same multiple of this are one place, if failures leave them alike as well."""

TIGHT_FRAC = 0.2
"""What a failure leaves an area is told apart by steps of this part of what it leaves areas on average."""

RANK_FRAC = 0.02
"""Failures of a room that leave the same but for this part keep their order."""

EVERYWHERE, NOWHERE = -1, -2
"""Of a domain that reaches over several places, and of one that no free server draws on."""


class Apart(Enum):
    """What is never one place."""

    NOTHING = "nothing"
    ROOMS = "rooms"
    AREAS = "areas"


@dataclass(frozen=True, slots=True)
class Counted:
    """Which pairs of a part are added up.

    Attributes
    ----------
    pairs
        ``[pair]`` whether it is counted.
    rank
        ``[scenario]`` number among those of its room, the tightest first.
    per_share
        ``[pair]`` what is left there of each thousandth of a free server's draw, summed over slots.
    """

    pairs: BoolArray
    rank: IntArray
    per_share: FloatArray


@dataclass(frozen=True, slots=True)
class Kinds:
    """VMs that are alike, free servers that are alike but for their domains, and where these are.

    Attributes
    ----------
    vms, type
        VMs of a type, both evictable or not, of the same tenant; and ``[vm kind]`` that type.
    free, place
        Numbers of the free servers, and ``[free server]`` the place of each.
    servers, first
        Free servers of a place with the same hardware, GPUs and ceiling; and ``[server kind]`` the first of them.
    counted
        Which pairs of each part of survival are added up.
    """

    vms: Classes
    type: IntArray
    free: IntArray
    place: IntArray
    servers: Classes
    first: IntArray
    counted: tuple[Counted, ...]


def kinds_of(problem: PlacementProblem, apart: Apart) -> Kinds:
    """Take together what is alike."""
    free = np.flatnonzero(problem.server_available)
    counted = tuple(_counted(part, free) for part in (problem.survival.parts if problem.survival else ()))
    place = _places(problem, free, counted, apart)
    tenant = np.full(len(problem.vms), NONE) if problem.promises is None else problem.promises.vm_tenant
    vms = alike(problem.vm_type, problem.is_spot, tenant)
    servers = alike(problem.server_hardware[free], problem.server_ceiling_w[free], problem.gpus[free], place)
    return Kinds(vms, problem.vm_type[vms.first], free, place, servers, free[servers.first], counted)


def place_of_domain(member: IntArray, place: IntArray, domains: int) -> IntArray:
    """``[domain]`` the place that all servers which draw on it are in.

    A negative number where they are in several, :data:`NOWHERE` where there are none.
    """
    inside = member != NONE
    domain, of = member[inside], np.broadcast_to(place[:, None], member.shape)[inside]
    least, most = (np.full(domains, end) for end in (np.iinfo(np.int64).max, np.iinfo(np.int64).min))
    np.minimum.at(least, domain, of)
    np.maximum.at(most, domain, of)
    return np.where(most < least, NOWHERE, np.where(most == least, least, EVERYWHERE))


def _counted(part: Secured, free: IntArray) -> Counted:
    """Choose the pairs of a part; ``free`` are the numbers of the servers that count."""
    servers = np.bincount(part.kind[free], minlength=len(part.family.member))
    member, share = part.family.member, part.family.share_permille
    on = np.bincount((member + 1).ravel(), (share * servers[:, None]).ravel(), len(part.family.domains) + 1)[1:]
    room = (part.tolerated - part.family.base).sum(axis=1)
    per_share = room / np.maximum(1.0, on)
    taken = np.zeros(len(part.groups), dtype=np.int64)
    chosen = np.zeros(len(room), dtype=bool)
    entries, begin = _groups_by_pair(part)
    for d in np.lexsort((-on, per_share)).tolist():
        groups, more = entries[begin[d] : begin[d + 1]].T
        if on[d] and (taken[groups] + more <= PERMILLE).all():
            taken[groups] += more
            chosen[d] = True
    return Counted(chosen, _ranks(part, np.where(chosen, room, 0)), per_share)


def _groups_by_pair(part: Secured) -> tuple[IntArray, IntArray]:
    """``[entry, 2]`` group and share, pair by pair, and where each pair's begin."""
    group, place = np.nonzero(part.group_pair != NONE)
    pair = part.group_pair[group, place]
    order = np.argsort(pair, kind="stable")
    entries = np.column_stack([group, part.group_share_permille[group, place]])[order]
    return entries, np.searchsorted(pair[order], np.arange(len(part.family.domains) + 1))


def _ranks(part: Secured, room: IntArray) -> IntArray:
    """``[scenario]`` number among those of its room by what they leave; if about the same, as they come."""
    left = np.bincount(part.scenario, room, len(part.scenarios))
    step = max(1.0, RANK_FRAC * float(np.abs(left).mean()))
    order = np.lexsort((np.rint(left / step), part.scenario_room))
    begin = np.searchsorted(part.scenario_room[order], part.scenario_room[order])
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order)) - begin
    return rank


def _places(problem: PlacementProblem, free: IntArray, counted: tuple[Counted, ...], apart: Apart) -> IntArray:
    """``[free server]`` its place: areas alike in their ceilings and in what each failure leaves them."""
    area = alike(_areas(problem, free))
    if apart is Apart.AREAS or not len(free):
        return area.of
    looks = [np.rint(_mean(problem.server_ceiling_w[free], area) / PLACE_W)]
    for part, counts in zip(problem.survival.parts if problem.survival else (), counted, strict=True):
        for rank in range(int(counts.rank.max(initial=-1)) + 1):
            worth = np.where(counts.pairs & (counts.rank[part.scenario] == rank), counts.per_share, 0.0)
            weight = (np.append(worth, 0.0)[part.family.member] * part.family.share_permille).sum(axis=1)
            left = _mean(weight[part.kind[free]], area)
            looks.append(np.rint(left / max(1e-9, TIGHT_FRAC * float(np.abs(left).mean()))))
    place = alike(*(look.astype(np.int64) for look in looks)).of[area.of]
    return place if apart is Apart.NOTHING else alike(place, room_of_server(problem)[free]).of


def _areas(problem: PlacementProblem, free: IntArray) -> IntArray:
    """``[free server]`` the aisle or row that it is in; all are in one where there are none."""
    for constraint in AREAS:
        for family in problem.budgets.families:
            if family.constraint is constraint and len(family.domains):
                return np.asarray(family.member[free, 0])
    return np.zeros(len(free), dtype=np.int64)


def _mean(of_server: IntArray | FloatArray, area: Classes) -> FloatArray:
    return np.asarray(np.bincount(area.of, of_server, area.count) / np.maximum(1, area.size))
