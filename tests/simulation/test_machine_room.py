"""Actuators that take their time, and what an instance serves and draws meanwhile."""

from __future__ import annotations

import numpy as np
import pytest

from tapas_opt.domain.failure import Failure, FailureKind
from tapas_opt.domain.workload import Vm, VmKind
from tapas_opt.simulation.crew import spread_of
from tapas_opt.simulation.policy import Orders

FULL = "llama2-70b-fp16-tp8-b64-f1410@1"
HALF = "llama2-70b-fp16-tp8-b64-f1410@0.5"
SLOWER = "llama2-70b-fp16-tp8-b64-f1200@1"
OTHER_WEIGHTS = "llama2-70b-fp8-tp8-b64-f1410@1"
PARKED = "parked"

CHAT = Vm("chat", VmKind.SAAS, "operator", endpoint="conv")
OPAQUE = Vm("opaque", VmKind.IAAS, "tenant01")
PLENTY = {"conv": 1e6}
ALL_TO_CHAT = {"conv": {"chat": 1.0}}


@pytest.fixture
def room(two_rows, room_of, started):
    """``two_rows`` with an instance of ``conv`` on S1 and an IaaS VM on S2, at midnight."""
    room = room_of(two_rows)
    room.host(CHAT, "S1", started["conv"])
    room.host(OPAQUE, "S2", None)
    return room


@pytest.fixture
def served(room):
    """Tokens/s that are served in a step of a second."""
    return lambda: room.step(1.0, PLENTY, ALL_TO_CHAT).served_frac * PLENTY["conv"]


def done_at(room, now_s, horizon_s=120.0):
    """When the last order for the instance was done, looking every tenth of a second."""
    return next(s for s in np.arange(0.0, horizon_s, 0.1) if "chat" in room.act(now_s + s))


@pytest.mark.parametrize(
    ("choice", "seconds"),
    [
        (SLOWER, 2.0),  # 0.5 to detect, 0.5 to decide, 1 to lock the clock
        (HALF, 21.0),  # … and 20 until running decodes have drained
        (PARKED, 21.0),
        (FULL, 0.0),  # it runs that already
    ],
)
def test_an_order_takes_as_long_as_its_slowest_step(room, clock, choice, seconds):
    room.order(Orders({"chat": choice}), clock(0))
    assert done_at(room, clock(0)) == pytest.approx(seconds, abs=0.11)
    assert room.running["chat"].option.name == choice


def test_nothing_changes_before_the_order_is_done(room, clock):
    room.order(Orders({"chat": SLOWER}), clock(0))
    assert room.act(clock(0) + 1.9) == []
    assert room.running["chat"].option.name == FULL


def test_other_weights_are_loaded_after_the_drain_and_serve_nothing_meanwhile(room, served, clock, options):
    """Drained at 21 s, then the profile's time of loading."""
    reload_s = options[OTHER_WEIGHTS].profile.reload_s
    room.order(Orders({"chat": OTHER_WEIGHTS}), clock(0))
    before = served()
    assert room.act(clock(0) + 20.9) == []
    assert served() == pytest.approx(before)
    assert room.act(clock(0) + 21.0) == []
    assert served() == 0.0
    assert room.act(clock(0) + 20.9 + reload_s) == []
    assert room.act(clock(0) + 21.0 + reload_s) == ["chat"]
    assert served() == pytest.approx(options[OTHER_WEIGHTS].profile.goodput_tokens_per_s, rel=0.01)


def test_an_order_in_the_middle_of_loading_waits_for_the_weights(room, served, clock, options):
    """A lower load level is a matter of seconds, but not of an instance that cannot serve yet."""
    ready_s = 21.0 + options[OTHER_WEIGHTS].profile.reload_s
    room.order(Orders({"chat": OTHER_WEIGHTS}), clock(0))
    room.act(clock(0) + 22.0)
    room.order(Orders({"chat": OTHER_WEIGHTS.replace("@1", "@0.5")}), clock(0) + 22.0)
    assert room.act(clock(0) + ready_s - 0.1) == []
    assert served() == 0.0
    assert room.act(clock(0) + ready_s) == ["chat"]


def test_a_later_order_replaces_an_earlier_one(room, clock):
    room.order(Orders({"chat": HALF}), clock(0))
    room.order(Orders({"chat": SLOWER}), clock(0) + 5.0)
    assert room.act(clock(0) + 100.0) == ["chat"]
    assert room.running["chat"].option.name == SLOWER


def test_a_cap_reaches_an_instance_in_band_and_an_opaque_vm_out_of_band(room, clock):
    """Detection and decision take a second; the clock one more, the baseboard controller forty."""
    room.order(Orders(frequency_frac_of={"chat": 0.65, "opaque": 0.65}), clock(0))
    room.act(clock(0) + 1.9)
    assert room.running["chat"].frequency_frac == 1.0
    room.act(clock(0) + 2.0)
    assert room.running["chat"].frequency_frac == 0.65
    room.act(clock(0) + 40.9)
    assert room.running["opaque"].frequency_frac == 1.0
    room.act(clock(0) + 41.0)
    assert room.running["opaque"].frequency_frac == 0.65


def test_a_cap_slows_an_opaque_vm_by_as_much(room, clock):
    assert room.step(1.0, {}, {}).iaas_performance_frac == pytest.approx(1.0)
    room.order(Orders(frequency_frac_of={"opaque": 0.65}), clock(0))
    room.act(clock(0) + 41.0)
    assert room.step(1.0, {}, {}).iaas_performance_frac == pytest.approx(0.65)


def test_a_braked_server_halves_what_its_vm_does_and_the_vm_counts_as_capped(room):
    assert room.capped == frozenset()
    room.plant.brake([1])
    for _ in range(2):
        moment = room.step(10.0, {}, {})
    assert room.capped == {"opaque"}
    assert moment.iaas_performance_frac == pytest.approx(0.5)


def test_replicas_read_prompts_independently(room, clock):
    """An instance of two engines on S1; any other VM, and a server without one, counts as one."""
    room.order(Orders({"chat": "llama2-70b-fp8-tp4-b64-f1410@1"}), clock(0))
    assert room.crew.engines(6).tolist() == [1] * 6
    room.act(clock(0) + 600.0)
    assert room.crew.engines(6).tolist() == [2, 1, 1, 1, 1, 1]


def test_power_within_the_minute_is_that_of_what_servers_run(room, served, clock):
    """The instance swings up to what its GPUs draw while they read, a parked one and empty servers not at all."""
    (instance, _), *_ = room.crew.kinds
    served()
    truth = room.plant.truth
    rise_w = truth.server_power_p999_w - truth.server_power_w
    assert 0.0 < rise_w[0] < 1.5 * float((instance.gpu_peak_w() - truth.gpu_power_w[0]).sum())
    assert rise_w[2:] == pytest.approx(0.0)
    room.order(Orders({"chat": PARKED}), clock(0))
    room.act(clock(0) + 21.0)
    served()
    truth = room.plant.truth
    assert truth.server_power_p999_w[0] - truth.server_power_w[0] < 0.2 * rise_w[0]


def test_vms_of_a_training_tenant_work_in_step(two_rows, room_of):
    """Three of them in row R1 (S1 to S3): what they rise by adds up; those of a business tenant each rise alone."""
    rises_w = {}
    for tenant in ("tenant01", "tenant02"):
        room = room_of(two_rows)
        for number in range(3):
            room.host(Vm(f"{tenant}-{number}", VmKind.IAAS, tenant), f"S{number + 1}", None)
        room.step(60.0, {}, {})
        truth = room.plant.truth
        each_w = (truth.server_power_p999_w - truth.server_power_w)[:3].sum()
        rises_w[tenant] = (truth.row_power_p999_w - truth.row_power_w)[0] / each_w
    assert rises_w["tenant01"] > 0.99
    assert rises_w["tenant02"] < 0.75


def test_what_an_instance_is_given_beyond_its_goodput_is_lost(served, started):
    assert served() == pytest.approx(started["conv"].goodput_tokens_per_s, rel=0.01)


def test_half_a_level_serves_half_the_goodput(room, served, clock):
    full = served()
    room.order(Orders({"chat": HALF}), clock(0))
    room.act(clock(0) + 21.0)
    assert served() == pytest.approx(full / 2)


def test_a_parked_instance_serves_nothing_and_draws_what_idle_gpus_draw(room, served, clock, two_rows):
    """Not less: weights stay in memory. S1 parked is compared with S6, which has no VM."""
    room.order(Orders({"chat": PARKED}), clock(0))
    room.act(clock(0) + 21.0)
    for _ in range(120):
        assert served() == 0.0
    gpu_power_w = room.plant.truth.gpu_power_w
    assert gpu_power_w[0].mean() == pytest.approx(gpu_power_w[5].mean(), rel=0.02)


def test_a_dark_server_serves_nothing_and_its_iaas_vms_do_nothing(room, served):
    """K1 hangs on U1 and U2: with both lost it is dark, and so is the instance on S1; K2 with S2 lives on U3 and U4."""
    for ups in ("U1", "U2"):
        room.plant.fail(Failure(FailureKind.UPS, ups))
    served()  # power is lost in the first second
    assert served() == 0.0
    assert room.step(1.0, {}, {}).iaas_performance_frac == pytest.approx(1.0)


def test_orders_for_a_vm_that_has_left_are_forgotten(room, clock):
    room.order(Orders({"chat": HALF}, {"chat": 0.65}), clock(0))
    room.evict(["chat"])
    assert room.act(clock(0) + 100.0) == []
    assert set(room.running) == {"opaque"}


def test_what_sensors_did_not_say_is_left_out(room):
    """Missing is never zero: the plant's sensors are asked, and only what is finite is passed on."""
    readings = room.telemetry({"conv": 100.0}).named(room.topology)
    assert set(readings.server_power_w) == set(room.topology.servers)
    assert readings.endpoint_tokens_per_s == {"conv": 100.0}
    assert {len(values) for values in readings.gpu_power_w.values()} == {8}
    assert set(readings.row_power_w) == set(room.topology.rows)
    sensed = room.plant.read()
    sensed.server_power_w[0] = np.nan
    sensed.gpu_temperature_c[0] = np.nan
    sensed.gpu_temperature_c[1, 3] = np.nan
    room.plant.read = lambda: sensed
    readings = room.telemetry({}).named(room.topology)
    assert "S1" not in readings.server_power_w
    assert "S1" not in readings.gpu_temperature_c
    assert [np.isnan(value) for value in readings.gpu_temperature_c["S2"]].count(True) == 1


def test_what_one_instance_cannot_take_goes_to_those_that_are_named_and_have_room(two_rows, room_of, started):
    """Three instances of 1, each able to carry g: asked for 2 g, all of it sent to the first. The second is named."""
    room = room_of(two_rows)
    for number, server in enumerate(("S1", "S2", "S3")):
        room.host(Vm(f"chat{number}", VmKind.SAAS, "operator", endpoint="conv"), server, started["conv"])
    most = room.crew.most_tokens_per_s
    spread = spread_of({"conv": {"chat0": 1.0, "chat1": 0.0}}, room.crew.position)
    assert spread.given({"conv": 2.0 * most[0]}, most) == pytest.approx([most[0], most[0], 0.0])
    assert spread.given({"conv": 1.5 * most[0]}, most) == pytest.approx([most[0], 0.5 * most[0], 0.0])
    assert spread.given({"conv": 9.0 * most[0]}, most) == pytest.approx([most[0], most[0], 0.0])
