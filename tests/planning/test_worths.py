"""What a step of a limit is worth."""

from __future__ import annotations

import pytest

from tapas_opt.domain.result import Constraint, Rejection
from tapas_opt.domain.site_generator import SiteShape, generate_site
from tapas_opt.planning.study import Steps
from tapas_opt.planning.worths import intervals, kept_out, placed_on, raised, scarcest, together
from tapas_opt.simulation.case import Case, world_of


def test_one_limit_is_raised_and_nothing_else(two_rows):
    steps = Steps(power_w=1_000, airflow_cfm=500)
    more = raised(two_rows, "ahu:AHU2", steps).rooms[0]
    assert [ahu.max_airflow_cfm for ahu in more.ahus] == [2_000.0, 2_500.0, 2_000.0]
    assert [ahu.coil_capacity_w for ahu in more.ahus] == [20_000.0, 25_000.0, 20_000.0]
    assert more.upses == two_rows.rooms[0].upses
    assert raised(two_rows, "row:R2", steps).rooms[0].aisles[1].rows[0].power_budget_w == 19_000.0
    assert raised(two_rows, "ups:U3", steps).rooms[0].upses[2].rating_w == 13_000.0
    assert raised(two_rows, "", steps) == two_rows


def test_all_of_a_kind_may_be_raised_each_by_a_step(two_rows):
    """Where any UPS may be lost, one that carries more is worth nothing while the others do not."""
    steps = Steps(power_w=1_000, airflow_cfm=500)
    assert together(two_rows) == ["row:*", "ups:*", "ahu:*"]
    more = raised(two_rows, "ups:*", steps).rooms[0]
    assert [
        ups.rating_w - before.rating_w for ups, before in zip(more.upses, two_rows.rooms[0].upses, strict=True)
    ] == [1_000] * 4
    assert (more.ahus, more.aisles) == (two_rows.rooms[0].ahus, two_rows.rooms[0].aisles)
    assert raised(two_rows, "row:*", steps) == raised(raised(two_rows, "row:R1", steps), "row:R2", steps)


def test_the_scarcest_come_first(two_rows):
    """All rows and UPSs of the room are alike; with a smaller U3 and R2 these are the scarcest."""
    small = raised(raised(two_rows, "ups:U3", Steps(power_w=1)), "row:R1", Steps(power_w=1_000))
    assert scarcest(small, 1)[0] == "row:R2"
    assert scarcest(small, 2)[2:4] == ["ups:U1", "ups:U2"]
    assert scarcest(small, 4)[5] == "ups:U3"


def test_a_worth_lies_between_what_both_answers_prove():
    """Before: 3 VMs left out, proven 2; after: 1, proven 0.5. So at least 2 − 1 and at most 3 − 0.5."""
    room = {"site": "a", "oversubscription": 0.2, "saas_share": 0.5, "wanted": 10.0, "kept_out": []}
    before = room | {"element": "", "step": 0, "unit": "", "placed": 7.0, "objective": 3.0, "bound": 2.0}
    after = room | {"element": "ups:U1", "step": 1_000, "unit": "W", "placed": 9.0, "objective": 1.0, "bound": 0.5}
    (found,) = intervals([before, after])
    assert (found["least"], found["most"], found["found"]) == (1.0, 2.5, 2.0)
    (unproven,) = intervals([before | {"bound": None}, after])
    assert (unproven["least"], unproven["most"]) == (0.0, 2.5)
    (unproven,) = intervals([before, after | {"bound": None}])
    assert (unproven["least"], unproven["most"]) == (1.0, None)


def test_nobody_need_use_what_a_limit_has_more():
    """With 20 kW more in a row inlets are forecast warmer, and the plan of before is the best of both.

    Before: 3 VMs left out, proven 2; after: 4, proven 3.5. Nothing is gained, and nothing is lost.
    """
    room = {"site": "a", "oversubscription": 0.2, "saas_share": 0.5, "wanted": 10.0, "kept_out": []}
    before = room | {"element": "", "step": 0, "unit": "", "placed": 7.0, "objective": 3.0, "bound": 2.0}
    after = room | {"element": "row:R1", "step": 20, "unit": "W", "placed": 6.0, "objective": 4.0, "bound": 3.5}
    (found,) = intervals([before, after])
    assert (found["least"], found["most"], found["found"], found["placed_after"]) == (0.0, 0.0, 0.0, 7.0)


def test_in_a_room_with_plenty_of_power_and_air_what_is_left_out_is_proven(learned):
    """Only the heat of single GPUs keeps VMs out there, which no search can help: plan and bound meet."""
    plenty = SiteShape(ups_power_frac=2.0, row_power_frac=2.0, airflow_frac=2.0, heat_frac=2.0, rack_power_frac=2.0)
    told = placed_on(world_of(Case("saas_share", site=generate_site(16, shape=plenty), saas_share=0.0), learned))
    assert told["wanted"] == 14.0
    assert told["objective"] == pytest.approx(told["bound"], abs=0.1)
    left_out = told["wanted"] - told["placed"]
    assert 0.0 <= told["objective"] - left_out < 1.0
    assert [(item["constraint"], item["vms"]) for item in told["kept_out"]] == [("gpu_temperature_limit", left_out)]


def test_what_keeps_vms_out_is_counted_by_constraint():
    """Two VMs meet a UPS, one of them at two failures; one meets the air, by another unit."""
    ups, secure = Constraint.UPS_TRANSIENT_LIMIT, Constraint.FAILURE_SECURE
    met = [("a", secure, 90.0, "CFM"), ("a", ups, 800.0, "W"), ("b", ups, 900.0, "W"), ("b", ups, 700.0, "W")]
    assert kept_out([Rejection(*item) for item in met]) == [
        {"constraint": "ups_transient_limit", "vms": 2, "short_by": 700.0, "unit": "W"},
        {"constraint": "failure_secure", "vms": 1, "short_by": 90.0, "unit": "CFM"},
    ]
