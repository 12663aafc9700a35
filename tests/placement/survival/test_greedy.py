"""The greedy path's compiled view of survival, against plain loops over all pairs and slots."""

from __future__ import annotations

import numpy as np
import pytest

from tapas_opt.budgets import kernels as budget_kernels
from tapas_opt.domain.failure import PERMILLE
from tapas_opt.placement import kernels as placement_kernels
from tapas_opt.placement.greedy import greedy, warm_up
from tapas_opt.placement.problem import placement_classes
from tapas_opt.placement.survival import kernels
from tapas_opt.placement.survival.sides import SurvivalSide


def plainly(problem, classes, taken, kind):
    """Where a VM of a type may go and what it adds to the worst failure, from all VMs taken so far."""
    survival, first = problem.survival, classes.servers.first
    allowed, price = np.ones(len(first), dtype=bool), np.zeros(len(first), dtype=np.int64)
    worst = survival.present_cost.copy()
    needs = []
    for part in survival.parts:
        need, spare = needed(problem, part, first, taken)
        needs.append((need, spare))
        for (i, _), watts in cells(part, need).items():
            room = part.scenario_room[i]
            worst[room] = max(worst[room], watts * part.relief_price[0] // PERMILLE)
    for part, (need, spare) in zip(survival.parts, needs, strict=True):
        draw = part.family.counted(problem.type_power_w, problem.type_airflow_cfm)
        now = cells(part, need)
        for k, s in enumerate(first.tolist()):
            on = list(part.at_kind(int(part.kind[s])))
            h = problem.server_hardware[s]
            left = draw[kind, h] - part.type_relief[kind, h].sum(axis=0)
            more = {}
            for pair, share in on:
                for t in np.flatnonzero(part.family.needs_row[pair]).tolist():
                    allowed[k] &= share * left[t] <= spare[pair, t]
                    added = max(0, share * draw[kind, h, t] - max(0, -need[pair, t]))
                    more[part.scenario[pair], t] = more.get((part.scenario[pair], t), 0) + added
            if on:
                room = part.scenario_room[part.scenario[on[0][0]]]
                cost = [
                    now.get(cell, 0) * part.relief_price[0] // PERMILLE - (-added * part.relief_price[0] // PERMILLE)
                    for cell, added in more.items()
                ]
                price[k] = max(price[k], max(cost, default=0) - worst[room])
    return allowed, price


def needed(problem, part, first, taken):
    """``[pair, slot]`` thousandths to be relieved, negative where there is room; and what may still be drawn."""
    draw = part.family.counted(problem.type_power_w, problem.type_airflow_cfm)
    need = PERMILLE * (part.family.base - part.tolerated)
    spare = -need + part.relieved_permille(part.available.sum(axis=1))
    for kind, k in taken:
        s, h = first[k], problem.server_hardware[first[k]]
        left = draw[kind, h] - part.type_relief[kind, h].sum(axis=0)
        for pair, share in part.at_kind(int(part.kind[s])):
            need[pair] += share * draw[kind, h]
            spare[pair] -= share * left
    return need, spare


def cells(part, need):
    """By failure and slot what is needed over its stated pairs."""
    found = {}
    for pair, t in np.argwhere(part.family.needs_row).tolist():
        cell = int(part.scenario[pair]), t
        found[cell] = found.get(cell, 0) + max(0, int(need[pair, t]))
    return found


@pytest.mark.parametrize("seed", range(25))
def test_the_side_limit_says_what_plain_loops_say_while_vms_come_and_go(seed, random_survival):
    problem = random_survival(seed, vms=9, servers=8, types=3, hours=4)
    if not problem.survival.parts:
        return  # one in five: the batch could break nothing
    rng = np.random.default_rng(seed)
    classes = placement_classes(problem)
    side, taken = SurvivalSide(problem, classes, problem.survival), []
    for v in rng.permutation(len(problem.vms)).tolist():
        kind, k = int(problem.vm_type[v]), int(rng.integers(classes.servers.count))
        allowed, price = plainly(problem, classes, taken, kind)
        may, costs = side.judge(v)
        assert (may == allowed).all()
        assert (costs == price).all()
        side.take(v, k, 1)
        taken.append((kind, k))


@pytest.mark.parametrize("seed", range(10))
def test_a_vm_taken_back_frees_what_it_drew(seed, random_survival):
    problem = random_survival(seed, vms=9, servers=6, hours=3)
    if not problem.survival.parts:
        return
    classes = placement_classes(problem)
    side, before = (SurvivalSide(problem, classes, problem.survival) for _ in range(2))
    side.take(0, 0, 1)
    side.take(0, 0, -1)
    for v in range(len(problem.vms)):
        assert (side.judge(v)[0] == before.judge(v)[0]).all()


def test_nothing_is_left_to_compile_once_the_loops_are_warm(random_survival):
    """A first emergency is no time to compile: the loops are called with the kinds of arrays they were compiled for."""
    warm_up()
    modules = budget_kernels, placement_kernels, kernels
    loops = [loop for module in modules for loop in vars(module).values() if hasattr(loop, "signatures")]
    before = [len(loop.signatures) for loop in loops]
    for seed in range(6):
        greedy(random_survival(seed, vms=9, servers=8, types=3, hours=4))
    assert [len(loop.signatures) for loop in loops] == before
