"""VMs change places so that peaks fall."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tapas_opt.placement import kernels
from tapas_opt.placement.aggregate import shares
from tapas_opt.placement.check import check
from tapas_opt.placement.evening import Evening, evened
from tapas_opt.placement.greedy import greedy
from tapas_opt.placement.problem import placement_classes
from tapas_opt.placement.taps import Taps


@pytest.mark.parametrize("seed", range(20))
def test_an_exchange_is_what_taking_both_back_and_placing_them_anew_is(seed, random_problem):
    """On classes that share domains, with shares of their own there, and with nobody on one side."""
    problem = random_problem(seed, vms=6, servers=8)
    taps = Taps.of(problem, placement_classes(problem))
    rng = np.random.default_rng(seed)
    draw = rng.integers(0, 5_000, (2, 2 * problem.type_fits.shape[1], len(problem.budgets.slots)))
    k1, k2 = rng.integers(0, len(taps.of_class), 2)
    w2 = int(rng.integers(-1, 2))
    drawn = rng.integers(10**8, 10**9, len(taps.row_slot))
    expected = drawn.copy()
    for k, sign, w in ((k1, -1, 0), (k2, 1, 0), (k2, -1, w2), (k1, 1, w2)):
        if w >= 0:
            kernels.draw_on(taps.of_class[k], sign, taps.tap, taps.row_begin, taps.row_slot, expected, draw[w])
    unlimited = np.full(len(drawn), float(10**15))
    row = (taps.row_slot, taps.row_room, unlimited, np.zeros(len(drawn)))
    if k1 != k2:
        kernels.exchange(k1, 0, k2, w2, True, taps.of_class, taps.tap, taps.row_begin, row, drawn, draw)
        assert (drawn == expected).all()


def test_vms_that_peak_at_the_same_hour_are_parted(two_hot_vms):
    """Two of 6 kW by day in R1, two by night in R2: one of each in each row halves the peak of 12 kW."""
    slots = ("day", "night")
    rows = two_hot_vms.budgets.families[0]
    rows = replace(rows, limit=np.full((2, 2), 20_000), base=np.zeros((2, 2), dtype=np.int64))
    problem = replace(
        two_hot_vms,
        vms=("D1", "D2", "N1", "N2"),
        vm_type=np.array([0, 0, 1, 1]),
        vm_priority=np.ones(4, dtype=np.int64),
        vm_group=np.full(4, -1),
        type_power_w=np.array([[[6_000, 0]], [[0, 6_000]]]),
        type_airflow_cfm=np.zeros((2, 1, 2), dtype=np.int64),
        type_gpu_power_w=np.array([[400], [400]]),
        type_fits=np.array([[True], [True]]),
        budgets=replace(two_hot_vms.budgets, slots=slots, families=(rows,)),
    )
    classes = placement_classes(problem)
    taps = Taps.of(problem, classes)
    day, night = classes.servers.of[[0, 2]]
    by_unit = np.stack([problem.type_power_w, problem.type_airflow_cfm], axis=2).reshape(2, 2, 2)
    drawn = np.zeros(len(taps.row_slot), dtype=np.int64)
    for k, w in ((day, 0), (day, 0), (night, 1), (night, 1)):
        kernels.draw_on(taps.of_class[k], 1, taps.tap, taps.row_begin, taps.row_slot, drawn, by_unit[w])
    state = Evening(
        kind=problem.vm_type,
        class_of=np.array([day, day, night, night]),
        bucket=np.zeros(4, dtype=np.int64),
        eligible=np.ones((2, classes.servers.count), dtype=bool),
        cost=np.zeros((2, classes.servers.count), dtype=np.int64),
        gpus=np.ones((2, classes.servers.count), dtype=np.int64),
        free=np.zeros(classes.servers.count, dtype=np.int64),
        drawn=drawn,
        draw=by_unit,
        aim=np.zeros(1, dtype=np.int64),
        price=np.array([10]),
    )
    after = evened(taps, state)
    assert sorted(after[:2]) == sorted(after[2:]) == sorted({day, night})
    assert check(problem, greedy(problem, shares(problem, deadline_s=20.0))).terms["peak_utilisation"] == 300 * 10
