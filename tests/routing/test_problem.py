from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tapas_opt.domain.result import Constraint
from tapas_opt.errors import InvalidInput
from tapas_opt.routing.problem import RoutingPrices, routing_classes, whole_segments


def test_interchangeable_instances_are_one_class(two_rows):
    """No domain can be filled, so that all three are alike although C is in another row."""
    assert routing_classes(two_rows).instances.size.tolist() == [3]


def test_a_row_that_can_fill_sets_its_instances_apart(two_rows, with_limit):
    """R1 may draw 2,500 W: 1,000 W idle and 2 · 1,000 W for A and B would be 3,000 W."""
    tight = with_limit(two_rows, Constraint.ROW_POWER_BUDGET, "R1", 2_500)
    assert routing_classes(tight).instances.of.tolist() == [0, 0, 1]


def test_a_row_whose_price_can_begin_sets_its_instances_apart(two_rows, with_limit):
    """At a limit of 3,300 W the row cannot be filled by 3,000 W, but its price begins at 850 ‰, 2,550 W."""
    near = with_limit(two_rows, Constraint.ROW_POWER_BUDGET, "R1", 3_300)
    free = replace(near, prices=RoutingPrices(peak_permille={}))
    assert routing_classes(near).instances.of.tolist() == [0, 0, 1]
    assert routing_classes(free).instances.of.tolist() == [0, 0, 0]


def test_whole_segments_stay_convex_where_rounding_would_bend_them():
    """Rises 10.1 over 100 ‰ and 20.3 over 200 ‰ become 11 and 21; 21/200 < 11/100, so the second becomes 22."""
    assert whole_segments([[0.0, 10.1, 30.4]], np.array([0, 100, 300])).tolist() == [[11, 22]]


def test_whole_segments_leave_whole_numbers_alone():
    """A sum of floats such as 0.1 + 0.2 must not cost a watt."""
    assert whole_segments([[0.0, 0.1 + 0.2 + 2.7, 6.0]], np.array([0, 500, 1_000])).tolist() == [[3, 3]]


def test_every_fault_is_named_at_once(two_rows):
    """An adapter's author fixes them in one go."""
    with pytest.raises(InvalidInput) as refused:
        replace(
            two_rows,
            instance_endpoint=np.array([0, 0, 7]),
            class_tokens_per_s=np.array([-1]),
            power_w=np.array([[500, 400], [500, 500], [500, 500]]),
            breakpoints_permille=np.array([0, 500, 999]),
            prices=RoutingPrices(energy_kw=-1),
        )
    assert [fault.where for fault in refused.value.faults] == [
        "breakpoints_permille",
        "instance_endpoint[C]",
        "class_tokens_per_s[conv/short]",
        "prices.energy_kw",
        "power_w[A]",
    ]


def test_wrong_shapes_and_repeated_names_are_refused(two_rows):
    """Ranges are not judged of arrays whose shape is wrong already."""
    with pytest.raises(InvalidInput) as refused:
        replace(two_rows, latency_cost=np.zeros((3, 5), dtype=np.int64), instances=("A", "A", "C"))
    assert {fault.where for fault in refused.value.faults} == {"latency_cost", "instances"}


def test_a_base_over_its_limit_is_tolerated_but_may_not_grow(two_rows, with_limit):
    """An emergency may leave a row over its limit without any routed load; routing must still answer."""
    over = with_limit(two_rows, Constraint.ROW_POWER_BUDGET, "R1", 400)
    assert over.budgets.families[0].limit.ravel().tolist() == [1_000, 10_000]
    assert over.budgets.families[0].room.ravel().tolist() == [0, 9_000]
