"""The numbers of the shared budgets, worked out by hand on the six servers of ``two_rows``."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tapas_opt.budgets.check import budget_violations
from tapas_opt.budgets.numbers import BudgetFamily, BudgetNumbers, MostDrawn, budget_numbers
from tapas_opt.domain.failure import Failure, FailureKind, effect_of
from tapas_opt.domain.result import Constraint
from tapas_opt.domain.topology import topology_of
from tapas_opt.errors import InvalidInput

NONE = -1


def test_each_of_two_live_feeds_carries_half(two_rows, at_3_kw, family_of):
    """Three of the six racks hang on each UPS, by halves: 3 × 3,000 / 2 = 4,500 W, of 75 % of 12,000 W."""
    ups = family_of(at_3_kw(two_rows), Constraint.UPS_POWER_CAPACITY)
    assert ups.base.ravel().tolist() == [4_500] * 4
    assert ups.limit.ravel().tolist() == [9_000] * 4


def test_a_row_and_an_aisle_carry_their_servers_whole(two_rows, at_3_kw, family_of):
    """Three servers a row: 9,000 W; and an aisle is one row here: 3 × 400 = 1,200 CFM."""
    numbers = at_3_kw(two_rows)
    assert family_of(numbers, Constraint.ROW_POWER_BUDGET).base.ravel().tolist() == [9_000, 9_000]
    assert family_of(numbers, Constraint.AISLE_AIRFLOW_CAPACITY).base.ravel().tolist() == [1_200, 1_200]
    assert family_of(numbers, Constraint.AISLE_HEAT_CAPACITY).base.ravel().tolist() == [9_000, 9_000]


def test_a_lost_ups_moves_its_half_to_the_partner_and_releases_the_reserve(
    two_rows, one_ups_failed, at_3_kw, family_of
):
    """U2 (K1 whole, K4 and K6 by halves), U3 (K3 whole) and U4 (K5 whole): 3,000 + 2 × 1,500 W, of 12,000 W each."""
    ups = family_of(at_3_kw(two_rows, one_ups_failed), Constraint.UPS_POWER_CAPACITY)
    assert ups.base.ravel().tolist() == [0, 6_000, 6_000, 6_000]
    assert ups.limit.ravel().tolist() == [0, 12_000, 12_000, 12_000]


def test_dark_servers_draw_nothing(two_rows_of_h100, at_3_kw, family_of):
    """An H100 needs four of its six supplies: K1, K3 and K5 go dark with U1, and U2 keeps half of K4 and of K6."""
    effect = effect_of(topology_of(two_rows_of_h100), [Failure(FailureKind.UPS, "U1")])
    numbers = at_3_kw(two_rows_of_h100, effect)
    assert family_of(numbers, Constraint.UPS_POWER_CAPACITY).base.ravel().tolist() == [0, 3_000, 3_000, 3_000]
    assert family_of(numbers, Constraint.ROW_POWER_BUDGET).base.ravel().tolist() == [3_000, 6_000]  # K2; K4 and K6


def test_a_margin_lowers_the_limit(two_rows, at_3_kw, family_of):
    """A row that may draw 5 % more than predicted is planned on up to ⌊18,000 / 1.05⌋ = 17,142 W."""
    row = family_of(at_3_kw(two_rows, row_power_budget=0.05), Constraint.ROW_POWER_BUDGET)
    assert row.limit.ravel().tolist() == [17_142, 17_142]


def test_a_rack_that_the_nameplates_of_its_servers_cannot_fill_needs_no_margin(two_rows, at_3_kw, family_of):
    """A rack's one DGX A100 is rated 6,500 W and fed 6,500 W: no error of a prediction breaks it; 6,499 W would be.

    A row of three such, 19,500 W, can fill its 18,000 W and keeps its margin.
    """
    numbers = at_3_kw(two_rows, rack_power_budget=0.05, row_power_budget=0.05)
    assert family_of(numbers, Constraint.RACK_POWER_BUDGET).limit.ravel().tolist() == [6_500] * 6
    assert family_of(numbers, Constraint.ROW_POWER_BUDGET).limit.ravel().tolist() == [17_142, 17_142]
    effect = effect_of(topology_of(two_rows))
    less = replace(effect, rack_budget_w=np.full(6, 6_499.0))
    racks = family_of(at_3_kw(two_rows, less, rack_power_budget=0.05), Constraint.RACK_POWER_BUDGET)
    assert racks.limit.ravel().tolist() == [6_189] * 6  # ⌊6,499 / 1.05⌋


def test_air_that_all_fans_at_full_speed_cannot_use_up_needs_no_margin(two_rows, at_3_kw, family_of):
    """Three DGX A100 move 3 × 1,050 = 3,150 CFM: an aisle that has as much keeps it, one with 3,149 / 1.25 = 2,519."""
    effect = effect_of(topology_of(two_rows))
    enough = replace(effect, aisle_airflow_capacity_cfm=np.array([3_150.0, 3_149.0]))
    numbers = at_3_kw(two_rows, enough, aisle_airflow_capacity=0.25)
    assert family_of(numbers, Constraint.AISLE_AIRFLOW_CAPACITY).limit.ravel().tolist() == [3_150, 2_519]


def test_loads_are_rounded_up_but_not_by_float_noise(two_rows, at_3_kw, family_of):
    """3,000.2 W counts as 3,001 W a server; 0.1 µW above 3,000 W is how floats add, not load."""
    assert family_of(at_3_kw(two_rows, power_w=3_000.2), Constraint.ROW_POWER_BUDGET).base[0, 0] == 3 * 3_001
    assert family_of(at_3_kw(two_rows, power_w=3_000.0000001), Constraint.ROW_POWER_BUDGET).base[0, 0] == 9_000


def test_overhead_in_the_base_counts_on_every_domain_above(two_rows, family_of):
    """A row's switches are spread over its servers: 100 W more on S1 are 50 W on either UPS and 100 W on the row."""
    topology = topology_of(two_rows)
    power = np.full((6, 1), 3_000.0)
    power[0] += 100.0
    numbers = budget_numbers(topology, effect_of(topology), ("now",), power, power * 0, {})
    assert family_of(numbers, Constraint.UPS_POWER_CAPACITY).base.ravel().tolist() == [4_550, 4_550, 4_500, 4_500]
    assert family_of(numbers, Constraint.ROW_POWER_BUDGET).base.ravel().tolist() == [9_100, 9_000]


def test_shares_are_counted_exactly_in_thousandths(thirds):
    """334 ‰ of 1,001 W are 334,334 thousandths of a watt on each of three UPSs; no float is near."""
    assert thirds.drawn_permille(np.array([[1_001, 0]])).tolist() == [[334_334, 0]] * 3


def test_two_feeds_on_one_ups_count_together(thirds):
    """A rack whose three feeds hang on U1, U2 and U1 draws 668 ‰ from U1."""
    twice = replace(thirds, member=np.array([[0, 1, 0]]))
    member, share = twice.summed_shares()
    assert (member.tolist(), share.tolist()) == ([[0, 1, NONE]], [[668, 334, 0]])
    assert MostDrawn(np.array([[1_000, 0]]), np.zeros((1, 2)), np.array([1_000, 0])).on(twice)[0, 0] == 668_000


def test_racks_that_name_their_feeds_in_another_order_are_alike(two_rows, at_3_kw, family_of):
    """The order of feeds in the file means nothing, and classes compare places one by one."""
    room = two_rows.rooms[0]
    row = room.aisles[0].rows[0]
    turned = replace(row.racks[0], feeds=row.racks[0].feeds[::-1])
    aisle = replace(room.aisles[0], rows=(replace(row, racks=(turned, *row.racks[1:])),))
    site = replace(two_rows, rooms=(replace(room, aisles=(aisle, *room.aisles[1:])),))
    ours, theirs = (family_of(at_3_kw(s), Constraint.PDU_POWER_BUDGET) for s in (two_rows, site))
    assert ours.member.tolist() == theirs.member.tolist()


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -1.0])
def test_missing_predictions_are_refused_and_named(two_rows, wrong):
    """Missing is never zero: a NaN that became a number would free 3 kW that are drawn."""
    topology = topology_of(two_rows)
    power = np.full((6, 1), 3_000.0)
    power[2, 0] = wrong
    with pytest.raises(InvalidInput, match=r"base_power_w\[S3\] in now"):
        budget_numbers(topology, effect_of(topology), ("now",), power, np.zeros((6, 1)), {})


def test_a_negative_margin_is_refused(two_rows, at_3_kw):
    """It would raise a limit above what the operator stated."""
    with pytest.raises(InvalidInput, match="margins"):
        at_3_kw(two_rows, row_power_budget=-0.1)


def test_many_wrong_numbers_are_counted_not_listed(two_rows):
    """A dead sensor feed of 168 slots must not fill a screen: 20 are named, 6 × 168 − 20 = 988 counted."""
    topology = topology_of(two_rows)
    slots = tuple(f"h{t}" for t in range(168))
    with pytest.raises(InvalidInput) as caught:
        budget_numbers(topology, effect_of(topology), slots, np.full((6, 168), np.nan), np.zeros((6, 168)), {})
    assert len(caught.value.faults) == 21
    assert "988 more" in str(caught.value.faults[-1])


def test_present_excess_is_tolerated_but_may_not_grow(two_rows, at_3_kw, family_of):
    """7,000 W a server put 21,000 W on a row of 18,000 W: it keeps its 21,000 W, and has no watt of room."""
    row = family_of(at_3_kw(two_rows, power_w=7_000.0).tolerating_present_excess(), Constraint.ROW_POWER_BUDGET)
    assert row.limit.ravel().tolist() == [21_000, 21_000]
    assert row.room.ravel().tolist() == [0, 0]


def test_a_domain_that_nobody_can_fill_is_forgotten(two_rows, at_3_kw, family_of):
    """Three VMs of 2,000 W fit into the 9,000 W that a row has left, but one of them not into K1's 6,500 − 5,000 W."""
    most = np.full((6, 1), 2_000)
    numbers = at_3_kw(two_rows)
    left = numbers.without_slack_domains(most, most * 0)
    assert (family_of(left, Constraint.ROW_POWER_BUDGET).member == NONE).all()
    assert family_of(left, Constraint.ROW_POWER_BUDGET).needs_row.sum() == 0
    tight = at_3_kw(two_rows, power_w=5_000.0).without_slack_domains(most, most * 0)
    assert family_of(tight, Constraint.RACK_POWER_BUDGET).member.ravel().tolist() == [0, 1, 2, 3, 4, 5]


def test_what_all_together_can_draw_leaves_more_domains_slack(thirds):
    """Ten servers could draw 334 W each on U1, but a batch of 2,000 W in all only 668 W of its 1,000 W."""
    ten = replace(
        thirds, member=np.tile(thirds.member, (10, 1)), share_permille=np.tile(thirds.share_permille, (10, 1))
    )
    numbers, most = BudgetNumbers(("t0", "t1"), (ten,)), np.full((10, 2), 1_000)
    assert numbers.without_slack(MostDrawn(most, most)).families[0].needs_row.all()
    in_all = np.full(2, 2_000)
    assert not numbers.without_slack(MostDrawn(most, most, in_all, in_all)).families[0].needs_row.any()


def test_servers_that_can_draw_nothing_draw_on_nothing(two_rows, at_3_kw, family_of):
    """So that all servers that are taken are alike, whatever feeds them."""
    most = np.array([[9_000], [0], [0], [0], [0], [0]])
    row = family_of(at_3_kw(two_rows, power_w=8_000.0).without_slack_domains(most, most), Constraint.ROW_POWER_BUDGET)
    assert row.member.ravel().tolist() == [0, NONE, NONE, NONE, NONE, NONE]


@pytest.mark.parametrize("seed", range(40))
def test_forgetting_slack_domains_judges_every_plan_the_same(seed, random_numbers):
    """What no plan can fill excludes no plan: every draw up to the most breaks the same domains before and after."""
    rng = np.random.default_rng(1_000 + seed)
    numbers = random_numbers(seed).tolerating_present_excess()
    most_power, most_airflow = rng.integers(0, 5_000, (6, 2)), rng.integers(0, 500, (6, 2))
    less = numbers.without_slack_domains(most_power, most_airflow)
    for _ in range(10):
        draw = rng.integers(0, most_power + 1), rng.integers(0, most_airflow + 1)
        assert list(budget_violations(numbers, *draw)) == list(budget_violations(less, *draw))


def test_a_family_without_servers_draws_nothing(thirds):
    """A site may be empty of free servers; arrays of length 0 must not raise."""
    empty: BudgetFamily = replace(
        thirds, member=np.zeros((0, 3), dtype=int), share_permille=np.zeros((0, 3), dtype=int)
    )
    assert empty.drawn_permille(np.zeros((0, 2), dtype=int)).tolist() == [[0, 0]] * 3


@pytest.mark.parametrize("seed", range(10))
def test_the_most_that_kinds_of_servers_draw_is_the_most_that_the_servers_draw(seed):
    """The compiled sums by kind against sums over servers; a server may name a domain twice, or draw nothing."""
    rng = np.random.default_rng(seed)
    servers, domains, slots, kinds = 12, 4, 5, 3
    family = BudgetFamily(
        Constraint.UPS_POWER_CAPACITY,
        "W",
        tuple("ABCD"),
        rng.integers(-1, domains, (servers, 3)),
        rng.integers(0, 1_000, (servers, 3)),
        *rng.integers(0, 900, (2, domains, slots)),
    )
    kind, by_kind, in_all = (
        rng.integers(-1, kinds, servers),
        rng.integers(0, 99, (kinds, slots)),
        rng.integers(0, 500, slots),
    )
    by_server = np.vstack([by_kind, np.zeros((1, slots), dtype=np.int64)])[kind]
    one = MostDrawn(by_kind, by_kind, in_all, in_all, kind)
    same = MostDrawn(by_server, by_server, in_all, in_all)
    assert (one.on(family) == same.on(family)).all()
    assert (one.exceeds(family, family.room) == (same.on(family) > 1_000 * family.room)).all()
