"""A large site placed room by room, after the optimum of the site as a few places.

What VMs go to a kind of server is split over the rooms in proportion to such servers, VMs that are alike in turn, so
that rooms get about the same mixture; where servers of a room are kept back, VMs that can be evicted go in place of
those that stay. Of each room every aisle is then a place (:mod:`tapas_opt.placement.aggregate`), VMs are dealt out as
its optimum says (:mod:`tapas_opt.placement.dealing`), and trade places. The work is linear in the number of rooms.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from tapas_opt.domain.topology import NONE
from tapas_opt.placement.aggregate import Shares, shares
from tapas_opt.placement.dealing import dealt, sizes, turns
from tapas_opt.placement.greedy import greedy
from tapas_opt.placement.places import Apart
from tapas_opt.placement.problem import PlacementPlan, PlacementProblem, placement_classes
from tapas_opt.placement.rooms import in_room, room_of_server, share_nothing
from tapas_opt.placement.survival.greedy import with_relief
from tapas_opt.placement.trading import traded

__all__ = ["placed_room_by_room", "split"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

BUNCH = 8
"""So many rooms at most share VMs out among themselves; a program of more takes longer than it is worth."""

ELSEWHERE = -2
"""Of servers that are not free."""

FEW_SLOTS = 3
"""So many of the slots that matter say which VMs go to which room; by two, rooms were 2 % dearer than the site."""

NEVER_NONE = 1e-9
"""A weight that lets a VM go somewhere where nothing else does."""

FEW_VMS = 200
"""Of fewer VMs whole numbers are too far from fractions."""


def placed_room_by_room(
    problem: PlacementProblem, site: Shares, *, near_frac: float, seed: int = 0, until: float = math.inf
) -> PlacementPlan | None:
    """The plan; None where VMs are few, or rooms are not independent.

    They are not where a budget reaches over several, where groups have to be together, and where days are judged.

    Parameters
    ----------
    site
        The optimum of the site as a few places.
    near_frac
        VMs of a room trade places until it is this near the optimum of its aisles.
    until
        A `time.perf_counter`; rooms whose turn would come later stay empty.
    """
    if len(problem.vms) < FEW_VMS or problem.survival is None or not problem.survival.parts:
        return None
    room_of = room_of_server(problem)
    if problem.scenarios is not None or any(group.together is not None for group in problem.groups):
        return None
    if not share_nothing(problem, room_of):
        return None
    room_of = np.where(problem.server_available, room_of, ELSEWHERE)
    rooms = np.unique(room_of[problem.server_available])
    bunches = np.array_split(rooms, -(-len(rooms) // BUNCH))
    bunch_of = np.full(len(problem.servers), ELSEWHERE)
    for n, bunch in enumerate(bunches):
        bunch_of[np.isin(room_of, bunch)] = n
    bunch_of_vm = split(problem, site, bunch_of, len(bunches))
    plans: list[PlacementPlan] = []
    for n in range(len(bunches)):
        vms = np.flatnonzero(bunch_of_vm == n)
        for room, of_room in _by_room(problem, np.flatnonzero(bunch_of == n), vms, site, seed, room_of):
            part = in_room(problem, np.flatnonzero(room_of == room), of_room, len(rooms))
            now = time.perf_counter()
            plans += _placed(part, site, near_frac, seed, now + (until - now) / (len(rooms) - len(plans)))
    return with_relief(problem, _joined(problem, plans))


def _by_room(
    problem: PlacementProblem, servers: IntArray, vms: IntArray, site: Shares, seed: int, room_of: IntArray
) -> Iterator[tuple[int, IntArray]]:
    """Rooms of a bunch, and the VMs of each: what an optimum of the bunch says, in which rooms are apart."""
    rooms = np.unique(room_of[servers]).tolist()
    if len(rooms) == 1:
        yield rooms[0], vms
        return
    bunch = in_room(problem, servers, vms, 1)
    found = shares(bunch, deadline_s=None, seed=seed, apart=Apart.ROOMS, slots=site.slots[:FEW_SLOTS])
    if found is None:
        return
    who, to = turns(bunch, found)
    room_of_kind = np.full(found.amount.shape[1], ELSEWHERE)
    room_of_kind[found.server_kind] = room_of[servers]
    for room in rooms:
        yield room, vms[who[room_of_kind[to] == room]]


def _placed(room: PlacementProblem, site: Shares, near_frac: float, seed: int, until: float) -> list[PlacementPlan]:
    """The plan of a room, if there was time for one."""
    limit_s = None if until == math.inf else until - time.perf_counter()
    classes = placement_classes(room)
    found = shares(room, deadline_s=limit_s, seed=seed, apart=Apart.AREAS, slots=site.slots)
    if found is None:
        return []
    if room.survival is None or not room.survival.parts:
        return [greedy(room, found)]
    plan = dealt(room, classes, found)
    return [traded(room, classes, plan, seed=seed, until=until, enough=found.bound * (1.0 + near_frac))]


def split(problem: PlacementProblem, site: Shares, bunch_of: IntArray, bunches: int) -> IntArray:
    """``[vm]`` which bunch of rooms each goes to; :data:`NONE` of those that the site's optimum leaves out.

    ``bunch_of`` is ``[server]``.
    """
    count, free = site.amount.shape[1], np.flatnonzero(problem.server_available)
    part = np.zeros((count, bunches))
    np.add.at(part, (site.server_kind[free], bunch_of[free]), 1.0)
    part /= np.maximum(1.0, part.sum(axis=1))[:, None]
    vms, to = turns(problem, site)
    order = np.lexsort((*sizes(problem)[problem.vm_type[vms]].T[::-1], to))
    vms, to = vms[order], to[order]
    stays = ~problem.is_spot[vms]
    asked = np.bincount(to[stays], minlength=count)[:, None] * part
    asked *= np.minimum(1.0, _most_that_stay(problem, bunch_of, bunches) / np.maximum(1.0, asked.sum(axis=0)))
    in_all = np.bincount(to, minlength=count)[:, None] * part
    found = np.full(len(problem.vms), NONE)
    found[vms[stays]] = _in_turn(to[stays], asked + NEVER_NONE * part)
    found[vms[~stays]] = _in_turn(to[~stays], np.maximum(0.0, in_all - asked) + NEVER_NONE * part)
    return found


def _in_turn(kinds: IntArray, weights: FloatArray) -> IntArray:
    """``[turn]`` the bunch that is furthest behind its part of ``weights[kind, bunch]``."""
    behind = np.zeros(weights.shape[1])
    parts = weights / np.maximum(1e-12, weights.sum(axis=1))[:, None]
    found = np.full(len(kinds), NONE)
    for turn, kind in enumerate(kinds.tolist()):
        behind += parts[kind]
        found[turn] = int(np.where(parts[kind] > 0, behind, -np.inf).argmax())
        behind[found[turn]] -= 1.0
    return found


def _most_that_stay(problem: PlacementProblem, bunch_of: IntArray, bunches: int) -> FloatArray:
    """``[bunch]`` VMs that stay for which it has servers beside those that are kept back inside it."""
    free = problem.server_available
    most = np.bincount(bunch_of[free], minlength=bunches).astype(np.float64)
    if problem.promises is None:
        return most
    for level, kept in enumerate(problem.promises.levels):
        left = problem.promises.room(level, free) - problem.promises.due(level)
        for place, servers in enumerate(left.tolist()):
            inside = (kept.place_of == place) & free
            where = np.unique(bunch_of[inside])
            if len(where) == 1:
                most[where] -= max(0, int(inside.sum()) - servers)
    return np.maximum(0.0, most)


def _joined(problem: PlacementProblem, plans: Iterable[PlacementPlan]) -> PlacementPlan:
    """All of them; nobody of a group that is of use only as a whole, where somebody has no server."""
    server_of: dict[str, str] = {}
    gpus_of: dict[str, tuple[int, ...]] = {}
    for plan in plans:
        server_of |= plan.server_of
        gpus_of |= plan.gpus_of
    for g, group in enumerate(problem.groups):
        members = [problem.vms[v] for v in np.flatnonzero(problem.vm_group == g).tolist()]
        if group.all_or_nothing and any(vm not in server_of for vm in members):
            for vm in members:
                server_of.pop(vm, None)
                gpus_of.pop(vm, None)
    return PlacementPlan(server_of, tuple(vm for vm in problem.vms if vm not in server_of), gpus_of)
