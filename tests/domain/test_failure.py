"""What a failure leaves of a site, worked out by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tapas_opt.domain.failure import Effect, Failure, FailureKind, effect_of
from tapas_opt.domain.site_generator import SiteShape, generate_site
from tapas_opt.domain.topology import NONE, topology_of
from tapas_opt.errors import NotFound


def ups_load_w(site, effect: Effect, rack_w: float) -> dict[str, float]:
    """Watts on each UPS when every rack draws ``rack_w``, in plain loops."""
    topology = topology_of(site)
    load = dict.fromkeys(topology.upses, 0.0)
    for feeds, permille in zip(topology.rack_feeds, effect.feed_permille, strict=True):
        for pdu, share in zip(feeds, permille, strict=True):
            if pdu != NONE:
                load[topology.upses[topology.pdu_ups[pdu]]] += rack_w * share / 1000
    return load


def after(site, *failures: Failure) -> Effect:
    return effect_of(topology_of(site), failures)


def named(names, values) -> dict[str, float]:
    return dict(zip(names, values.tolist(), strict=True))


def test_each_feed_carries_half_in_normal_operation(two_rows):
    """The starting point of all that follows."""
    effect = after(two_rows)
    assert (effect.feed_permille == 500).all()
    # each UPS is in three of six pairs: 3 × ½ × 6,000 W
    assert ups_load_w(two_rows, effect, 6_000) == dict.fromkeys(["U1", "U2", "U3", "U4"], 9_000)


def test_upses_loaded_to_three_quarters_survive_the_loss_of_one_at_their_rating(two_rows, one_ups_failed):
    """4N/3: this is what a reserve held back buys."""
    # 75 % before: 9,000 of 12,000 W. U1 was in three pairs; each survivor takes one more half: 9,000 + 3,000
    load = ups_load_w(two_rows, one_ups_failed, 6_000)
    assert load == {"U1": 0, "U2": 12_000, "U3": 12_000, "U4": 12_000}
    assert named(("U1", "U2", "U3", "U4"), one_ups_failed.ups_capacity_w)["U2"] == 12_000  # exactly its rating: 100 %


def test_upses_sold_in_full_see_four_thirds_of_their_rating_when_one_is_lost(two_rows, one_ups_failed):
    """Selling the reserve means 133 %, which a battery bears for seconds."""
    # 100 % before: 3 × ½ × 8,000 = 12,000 W; after: 4 × ½ × 8,000 = 16,000 W = 4/3 of 12,000 W
    load = ups_load_w(two_rows, one_ups_failed, 8_000)
    assert load["U3"] / 12_000 == pytest.approx(4 / 3)


def test_the_loss_of_any_ups_hurts_the_demo_site_alike(demo_site, demo_topology):
    """Racks spread over all six pairs: no UPS is the one that matters."""
    for lost in demo_topology.upses:
        # ten racks have a foot on each UPS: 10 × ½ × 20 kW = 100 kW; lost, its ten halves spread over three others,
        # of which each shares 3 or 4 racks with it: 10 × ½ × 20 + (3 or 4) × ½ × 20 = 130 or 140 kW
        load = ups_load_w(demo_site, after(demo_site, Failure(FailureKind.UPS, lost)), 20_000)
        assert load.pop(lost) == 0
        assert sorted(load.values()) == [130_000, 130_000, 140_000]


def test_a_reserve_may_be_used_only_once_power_has_failed(two_rows, one_ups_failed):
    """The budget holds 75 % back in normal operation, and the rating counts when the reserve is called."""
    assert after(two_rows).ups_capacity_w.tolist() == [9_000] * 4
    assert one_ups_failed.ups_capacity_w.tolist() == [0, 12_000, 12_000, 12_000]


def test_a_lost_air_handler_does_not_release_the_power_reserve(two_rows, one_ahu_failed):
    """The reserve is for power; air that fails must not lift power limits."""
    assert one_ahu_failed.ups_capacity_w.tolist() == [9_000] * 4


def test_a_rack_that_lost_both_feeds_is_dark_and_draws_nothing(two_rows):
    """Its load must not land on anybody."""
    effect = after(two_rows, Failure(FailureKind.UPS, "U1"), Failure(FailureKind.UPS, "U2"))
    assert effect.feed_permille[0].tolist() == [0, 0]  # K1 hangs on U1 and U2
    assert effect.server_dark.tolist() == [True, False, False, False, False, False]
    # the other five racks, 6,000 W each, hang on U3 and U4 alone: K2 on both, K3 and K6 on U3, K4 and K5 on U4
    assert ups_load_w(two_rows, effect, 6_000) == {"U1": 0, "U2": 0, "U3": 15_000, "U4": 15_000}


def test_a_lost_pdu_moves_its_racks_to_their_other_feed(two_rows):
    """A PDU stops feeding although its UPS lives."""
    effect = after(two_rows, Failure(FailureKind.PDU, "P1"))
    assert effect.feed_permille.tolist() == [[0, 1000], [500, 500], [0, 1000], [500, 500], [0, 1000], [500, 500]]
    assert effect.pdu_capacity_w.tolist() == [0, 16_000, 16_000, 16_000]
    assert not effect.server_dark.any()


def test_survivors_give_an_aisle_what_they_have(two_rows, one_ahu_failed):
    """Air follows the shares: an aisle loses what the lost handler gave it and no more."""
    # A1: AHU1 2,000 + half of AHU2 1,000 = 3,000 CFM, of which 1,000 is left; A2 is not touched
    assert after(two_rows).aisle_airflow_capacity_cfm.tolist() == [3_000, 3_000]
    assert one_ahu_failed.aisle_airflow_capacity_cfm.tolist() == [1_000, 3_000]
    assert one_ahu_failed.aisle_heat_capacity_w.tolist() == [10_000, 30_000]


def test_a_derated_ups_still_feeds_and_carries_less(two_rows):
    """Derating takes capacity, not connections."""
    effect = after(two_rows, Failure(FailureKind.UPS, "U3", remaining_frac=0.8))
    assert (effect.feed_permille == 500).all()
    # power has failed in the room, so the others count with their rating; U3 keeps 0.8 × 12,000 W
    assert effect.ups_capacity_w.tolist() == pytest.approx([12_000, 12_000, 9_600, 12_000])


def test_the_paper_s_power_emergency_takes_a_quarter_of_rows_and_upses(two_rows):
    """Reproduction: capacity of the whole room falls to 75 %."""
    effect = after(two_rows, Failure(FailureKind.ROOM_POWER, "room1", remaining_frac=0.75))
    assert effect.row_budget_w.tolist() == [13_500, 13_500]  # 0.75 × 18,000
    assert effect.ups_capacity_w.tolist() == [6_750] * 4  # 0.75 × the 9,000 that may be planned on
    assert effect.rack_budget_w.tolist() == [6_500] * 6


def test_the_paper_s_cooling_emergency_takes_a_tenth_of_the_air(two_rows):
    """Reproduction: airflow of every aisle falls to 90 %; the coils are as they were."""
    effect = after(two_rows, Failure(FailureKind.ROOM_AIRFLOW, "room1", remaining_frac=0.9))
    assert effect.aisle_airflow_capacity_cfm.tolist() == pytest.approx([2_700, 2_700])
    assert effect.aisle_heat_capacity_w.tolist() == [30_000, 30_000]


def test_air_flows_on_without_chilled_water_but_carries_no_heat(two_rows):
    """The supply air warms; airflow alone would look healthy."""
    effect = after(two_rows, Failure(FailureKind.CHILLED_WATER, "room1"))
    assert effect.aisle_airflow_capacity_cfm.tolist() == [3_000, 3_000]
    assert effect.aisle_heat_capacity_w.tolist() == [0, 0]
    assert effect.supply_rise_c.tolist() == [12]


def test_a_server_that_needs_four_of_six_supplies_goes_dark_with_one_feed(two_rows_of_h100):
    """Six supplies on two feeds: losing one leaves three, and the machine needs four."""
    effect = after(two_rows_of_h100, Failure(FailureKind.UPS, "U1"))
    assert effect.server_dark.tolist() == [True, False, True, False, True, False]  # those with a foot on U1
    assert not after(two_rows_of_h100).server_dark.any()


def test_a_server_that_needs_three_of_six_supplies_lives_on_one_feed(one_ups_failed):
    """The other half of the rule: A100 machines stay up."""
    assert not one_ups_failed.server_dark.any()


def test_three_feeds_carry_a_third_each_rounded_up(two_rows):
    """Shares are whole thousandths and never too small: 334, not 333."""
    room = two_rows.rooms[0]
    aisle = room.aisles[0]
    rack = replace(aisle.rows[0].racks[0], feeds=("P1", "P2", "P3"))
    rows = (replace(aisle.rows[0], racks=(rack, *aisle.rows[0].racks[1:])),)
    site = replace(two_rows, rooms=(replace(room, aisles=(replace(aisle, rows=rows), *room.aisles[1:])),))
    effect = after(site)
    assert effect.feed_permille[0].tolist() == [334, 334, 334]
    assert effect.feed_permille[1].tolist() == [500, 500, 0]
    assert after(site, Failure(FailureKind.PDU, "P2")).feed_permille[0].tolist() == [500, 0, 500]


def test_the_worse_of_two_reports_about_one_element_holds(two_rows):
    """Order of reports must not matter."""
    mild, bad = (Failure(FailureKind.AHU, "AHU3", remaining_frac=left) for left in (0.9, 0.5))
    # A2: half of AHU2 1,000 + half of AHU3 1,000
    for failures in ((mild, bad), (bad, mild)):
        assert after(two_rows, *failures).aisle_airflow_capacity_cfm.tolist() == [3_000, 2_000]


def test_thin_air_carries_less(two_rows):
    """CFM are of standard air; at 1,600 m a handler moves the same volume and less mass."""
    high = after(replace(two_rows, altitude_m=1_600.0))
    # (1 − 2.25577e-5 × 1,600)^4.2559 = 0.963908^4.2559 = e^(4.2559 × −0.036760) = 0.8552; 3,000 × 0.8552 = 2,565.5
    assert high.aisle_airflow_capacity_cfm[0] == pytest.approx(2_565.5, abs=1)


def test_an_unknown_element_is_refused_with_the_names_that_exist(two_rows):
    """A typing error in an emergency must not be taken for a healthy site."""
    with pytest.raises(NotFound, match=r"ups 'U9' does not exist; the site has U1, U2, U3, U4"):
        after(two_rows, Failure(FailureKind.UPS, "U9"))
    with pytest.raises(NotFound, match="room1"):
        after(two_rows, Failure(FailureKind.ROOM_POWER, "U1"))


def test_a_failure_leaves_other_rooms_alone():
    """Budgets, air and failures belong to rooms."""
    site = generate_site(80, shape=SiteShape(servers_per_room=40))
    topology = topology_of(site)
    normal, failed = effect_of(topology), effect_of(topology, [Failure(FailureKind.UPS, "room2-U3")])
    first = topology.rack_room == 0
    assert np.array_equal(normal.feed_permille[first], failed.feed_permille[first])
    assert not np.array_equal(normal.feed_permille[~first], failed.feed_permille[~first])


def test_a_failure_is_named_as_commands_name_it():
    """``tapas-opt client fail ups:U2`` and answers use the same words."""
    assert Failure(FailureKind.UPS, "U2").label == "ups:U2"
