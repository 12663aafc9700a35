"""What users live to see: latencies of the instances that serve them, and promises kept, of all that asked."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tapas_opt.control.actuation import Actuation
from tapas_opt.domain.failure import Failure, FailureKind
from tapas_opt.domain.topology import topology_of
from tapas_opt.domain.workload import Endpoint, Slo, Vm, VmKind
from tapas_opt.plant.plant import Plant
from tapas_opt.plant.workload import Workload
from tapas_opt.serving.latency import TIMES_S
from tapas_opt.simulation.answering import REQUEST_TOKENS, Answered
from tapas_opt.simulation.day import endpoint_of
from tapas_opt.simulation.machine_room import MachineRoom
from tapas_opt.simulation.policy import Orders

CHAT = Vm("chat", VmKind.SAAS, "operator", endpoint="conv")
MORE = Vm("more", VmKind.SAAS, "operator", endpoint="conv")
EVEN = {"conv": {"chat": 0.5, "more": 0.5}}
SLOWER = "llama2-70b-fp16-tp8-b64-f1200@1"


@pytest.fixture
def conv(started):
    return endpoint_of("conv", started["conv"])


@pytest.fixture
def room(two_rows, options, started, conv):
    """``two_rows`` on a mild day with two instances of ``conv``, on S1 (of K1) and S6 (of K2)."""
    plant = Plant(topology_of(two_rows), seed=1, outdoor=lambda t_s: 15.0)
    room = MachineRoom(plant, Workload(seed=1), options, Actuation(), (conv,))
    room.host(CHAT, "S1", started["conv"])
    room.host(MORE, "S6", started["conv"])
    return room


def settled(room, demand, shares=EVEN, steps=40):
    """What becomes of the requests of a minute, after others like it."""
    for _ in range(steps):
        room.step(60.0, demand, shares)
    return room.answered


def test_users_see_what_the_table_of_their_load_says(room, conv):
    """Two instances at half their goodput, each as the table has it at that load."""
    (instance, _), *_ = room.crew.kinds
    table, asked = instance.latency, room.crew.goodput_tokens_per_s[0]
    load = 0.5 * asked / REQUEST_TOKENS / instance.configuration.replicas
    seen = settled(room, {"conv": asked})
    assert seen.ended == pytest.approx([60.0 * asked / REQUEST_TOKENS], rel=1e-6)
    assert seen.ttft_s(0.99) == pytest.approx(float(table.ttft_s(load, 0.99)), rel=0.02)
    assert seen.tbt_s(0.99) == pytest.approx(float(table.tbt_s(load, 0.99)), rel=0.02)
    kept = np.interp(load, table.at.requests_per_s, table.kept_frac(conv.slo))
    assert seen.attainment_frac == pytest.approx(kept, rel=1e-6)
    assert 0.98 < seen.attainment_frac < 1.0


def test_who_is_refused_or_has_no_instance_was_promised_as_much(room):
    """Asked for twice what both carry, half is refused; where nobody serves, all."""
    most = float(room.crew.most_tokens_per_s.sum())
    seen = settled(room, {"conv": 2.0 * most})
    assert seen.ended == pytest.approx([60.0 * 2.0 * most / REQUEST_TOKENS], rel=1e-3)
    assert 0.48 < seen.attainment_frac < 0.5
    assert settled(room, {"conv": most}, {}).attainment_frac == pytest.approx(0.0, abs=1e-6)


def test_what_a_dark_instance_has_and_is_sent_is_lost(room):
    """K1 hangs on U1 and U2; the instance on S6 lives on U3 and U4 and keeps its promise."""
    before = settled(room, {"conv": 1_000.0}).attainment_frac
    for ups in ("U1", "U2"):
        room.plant.fail(Failure(FailureKind.UPS, ups))
    moment = settled(room, {"conv": 1_000.0}, steps=3)
    assert moment.attainment_frac == pytest.approx(0.5 * before, rel=0.01)


def test_a_server_that_throttles_answers_later(room):
    """Half the clock for all of the step."""
    plain = settled(room, {"conv": 2_000.0}).ttft_s(0.5)
    truth = room.plant.truth
    room.plant.truth = replace(truth, throttled_frac=np.ones_like(truth.throttled_frac))
    room.step(60.0, {"conv": 2_000.0}, EVEN)
    assert room.answered.ttft_s(0.5) > 1.9 * plain


def test_requests_inside_go_on_when_another_configuration_takes_over(room, clock):
    """At a lower clock, in the next second: the instance is not empty, and as many end as came."""
    settled(room, {"conv": 2_000.0})
    room.order(Orders({"chat": SLOWER}), clock(0))
    assert room.act(clock(0) + 2.0) == ["chat"]
    room.step(1.0, {"conv": 2_000.0}, EVEN)
    assert room.answered.ended == pytest.approx([2_000.0 / REQUEST_TOKENS], rel=0.2)
    room.evict(["more"])
    room.step(1.0, {"conv": 2_000.0}, {"conv": {"chat": 1.0}})
    assert room.answered.first[0, -1] > 0.4 * 2_000.0 / REQUEST_TOKENS


def test_who_is_sent_elsewhere_draws_on_until_what_it_began_has_ended(room):
    """Some 200 tokens each, 40 ms a token: half a minute until hardly anything is left inside."""
    settled(room, {"conv": 2_000.0})
    loaded_w = room.plant.truth.gpu_power_w[0].mean()
    drawn_w = []
    for _ in range(60):
        room.step(1.0, {"conv": 1_000.0}, {"conv": {"more": 1.0}})
        drawn_w.append(room.plant.truth.gpu_power_w[0].mean())
    idle_w = room.plant.idle_demand().gpu_power_w[0].mean()
    above_idle = (np.array(drawn_w) - idle_w) / (loaded_w - idle_w)
    assert above_idle[0] > 0.9
    assert above_idle[5] > 0.5
    assert above_idle[-1] < 0.05
    assert (np.diff(drawn_w) <= 0.0).all()


def test_in_a_step_of_a_minute_what_had_begun_has_ended(room):
    settled(room, {"conv": 2_000.0})
    room.step(60.0, {"conv": 1_000.0}, {"conv": {"more": 1.0}})
    soon_w = room.plant.truth.gpu_power_w[0].mean()
    settled(room, {"conv": 1_000.0}, {"conv": {"more": 1.0}})
    assert soon_w == pytest.approx(room.plant.truth.gpu_power_w[0].mean(), rel=0.02)


def test_endpoints_are_told_apart_and_others_are_not_looked_at(two_rows, options, started, conv):
    """``code`` promises what nobody can keep; ``chat`` is nobody's endpoint here."""
    hasty = Endpoint("code", Slo(1e-3, 1e-3), started["code"].configuration.name)
    plant = Plant(topology_of(two_rows), seed=1, outdoor=lambda t_s: 15.0)
    room = MachineRoom(plant, Workload(seed=1), options, Actuation(), (conv, hasty))
    for number, (endpoint, kind) in enumerate((("conv", "conv"), ("code", "code"), ("other", "conv"))):
        vm = Vm(endpoint, VmKind.SAAS, "operator", endpoint=endpoint)
        room.host(vm, f"S{number + 1}", started[kind])
    shares = {name: {name: 1.0} for name in ("conv", "code", "other")}
    seen = settled(room, dict.fromkeys(shares, 1_000.0), shares)
    assert seen.endpoints == ("conv", "code")
    assert seen.of("code").attainment_frac == 0.0
    assert seen.of("conv").attainment_frac > 0.98
    assert seen.attainment_frac == pytest.approx(0.5 * seen.of("conv").attainment_frac, rel=1e-6)


def test_quantiles_are_over_all_requests_of_all_times():
    """Three answered by 10 ms and one by 1 s: the median is the first, p99 the other, a step of the grid apart."""
    early, late = ((at_s <= TIMES_S).astype(float)[None, :] for at_s in (0.01, 1.0))
    one = Answered(("conv",), np.array([3.0]), np.array([3.0]), 3.0 * early, 3.0 * early)
    two = Answered(("conv",), np.array([3.0]), np.array([0.0]), 1.0 * late, 1.0 * late)
    both = one + two
    assert both.attainment_frac == 0.5
    assert both.ttft_s(0.5) == pytest.approx(0.01, rel=0.04)
    assert both.tbt_s(0.99) == pytest.approx(1.0, rel=0.04)
    assert np.isnan(Answered.nobody(("conv",)).attainment_frac)
