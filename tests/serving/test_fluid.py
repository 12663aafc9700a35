"""The fluid model: what it must obey, and how near it is to every request one by one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tapas_opt.domain.workload import Slo
from tapas_opt.errors import InvalidInput
from tapas_opt.serving.fluid import NEW, Fluid
from tapas_opt.serving.latency import LOAD_FRACS, TIMES_S, LatencyTable, quantile_s
from tapas_opt.serving.mix import CODE, CONVERSATION, RequestMix, arrivals_at_once
from tapas_opt.serving.pace import WHOLE_PROMPTS, chunk_within
from tapas_opt.serving.stationary import places, saturated_requests_per_s


@pytest.fixture(scope="session")
def table(chatting, mix):
    return LatencyTable.of(chatting, mix)


def test_saturation_is_a_full_batch_or_prompts_in_every_iteration(slow):
    """Four sequences of 10 + 11 tokens: 4 / (10 · 0.1 + 4 · 0.01) per second. Of 400 + 1: 1 / (4 · 0.1 + 0.4)."""
    assert saturated_requests_per_s(slow, RequestMix.of([10.0], [11.0])) == pytest.approx(4 / 1.04)
    assert saturated_requests_per_s(slow, RequestMix.of([400.0], [1.0])) == pytest.approx(1 / 0.8)


def test_memory_may_hold_less_than_the_batch(slow):
    """10,000 tokens, 5,000 a sequence."""
    assert places(slow, RequestMix.of([4_000.0], [1_000.0])) == 2


def test_an_idle_engine_has_the_unloaded_latencies(table, mix, chatting):
    alone = np.quantile(chatting.unloaded_ttft_s(mix.prompt_tokens), [0.5, 0.99])
    assert [float(table.ttft_s(0.0, q)) for q in (0.5, 0.99)] == pytest.approx(alone, rel=0.05)
    assert float(table.tbt_s(0.0, 0.5)) == pytest.approx(chatting.step_s, rel=0.05)


def test_latency_and_what_is_inside_grow_with_load(table):
    loads = table.at.requests_per_s
    for column in (table.ttft_s(loads, 0.5), table.ttft_s(loads, 0.99), table.tbt_s(loads, 0.99), table.at.inside):
        assert (np.diff(column) >= -1e-9).all()


def test_a_waiting_line_without_decoding_is_that_of_pollaczek_and_khinchine(slow):
    """One token, prompts of 100 in chunks of 100: service D = 0.2 s, mean wait ρD / 2(1 − ρ), 0.1 s at ρ = 0.5."""
    table = LatencyTable.of(replace(slow, batch=1_000), RequestMix.of([100.0], [1.0]))
    half = np.searchsorted(LOAD_FRACS, 0.5)
    rho = 0.2 * table.at.requests_per_s[half]
    assert mean_s(table.at.ttft_cdf[half]) == pytest.approx(0.2 + rho * 0.2 / (2 * (1 - rho)), rel=0.08)


def mean_s(cdf: np.ndarray) -> float:
    """Of what is distributed so."""
    return float((np.diff(TIMES_S, prepend=0.0) * (1.0 - cdf)).sum())


@pytest.mark.parametrize("outputs", [[11.0], [1.0, 21.0]], ids=["all alike", "short and long"])
@pytest.mark.parametrize("load_frac", [0.5, 0.7])
def test_a_waiting_line_for_the_only_place_is_that_of_pollaczek_and_khinchine(slow, outputs, load_frac):
    """Prompts of 10 tokens, 0.11 s, and 10 more tokens of 0.1 s on average: E[wait] = λ·E[S²] / 2(1 − λ·E[S])."""
    table = LatencyTable.of(replace(slow, batch=1), RequestMix.of([10.0] * len(outputs), outputs))
    row = np.searchsorted(LOAD_FRACS, load_frac)
    load, service_s = table.at.requests_per_s[row], 0.11 + 0.1 * (np.array(outputs) - 1.0)
    wait_s = load * np.mean(service_s**2) / (2.0 * (1.0 - load * service_s.mean()))
    assert mean_s(table.at.ttft_cdf[row]) == pytest.approx(0.11 + wait_s, rel=0.06)


def test_who_comes_in_a_group_waits_for_those_before(slow):
    """Groups of five on average, next to no load: geometric, so that four come before one; 0.2 s + 4 · 0.2 s."""
    alone = RequestMix.of([100.0], [1.0], at_once=5.0)
    table = LatencyTable.of(replace(slow, batch=1_000), alone)
    assert mean_s(table.at.ttft_cdf[0]) == pytest.approx(1.0, rel=0.03)


def test_requests_that_come_together_wait_longer(chatting, mix):
    """Groups of five, on average."""
    grouped = LatencyTable.of(chatting, RequestMix.of(mix.prompt_tokens, mix.output_tokens, at_once=5.0))
    single = LatencyTable.of(chatting, mix)
    load = 0.4 * single.saturated_requests_per_s
    assert grouped.ttft_s(load, 0.99) > 2.0 * single.ttft_s(load, 0.99)


def test_groups_are_found_in_arrivals():
    """At chance: one at once. Geometric groups of four on average: about four."""
    random = np.random.default_rng(2)
    alone = np.sort(random.uniform(0.0, 6_000.0, 20_000))
    assert arrivals_at_once(alone) == pytest.approx(1.0, abs=0.1)
    groups = np.repeat(random.uniform(0.0, 6_000.0, 5_000), random.geometric(0.25, 5_000))
    assert arrivals_at_once(np.sort(groups)) == pytest.approx(4.0, rel=0.15)


def test_goodput_keeps_the_promise_and_no_more(table):
    slo = Slo(ttft_s=1.5, tbt_s=0.2)
    load = table.goodput_requests_per_s(slo)
    assert max(table.ttft_s(load, 0.99) / 1.5, table.tbt_s(load, 0.99) / 0.2) == pytest.approx(1.0, rel=0.02)
    assert table.goodput_requests_per_s(replace(slo, quantile=0.9)) > load
    assert table.goodput_requests_per_s(Slo(1e-3, 1.0)) == 0.0


def test_a_chunk_is_what_the_promise_leaves_room_for():
    """0.19 of 0.2 s less a step of 0.05 s, at 0.1 ms a token: 1,400, and the next multiple of 64 below is 1,344."""
    assert chunk_within(0.2, 0.05, 1e-4) == 1_344
    assert chunk_within(0.01, 0.05, 1e-4) == 128


def test_the_made_up_mixes_have_the_means_of_the_traces():
    assert (CONVERSATION.mean.prompt_tokens, CONVERSATION.mean.output_tokens) == pytest.approx((1155.0, 211.0))
    assert (CODE.mean.prompt_tokens, CODE.mean.output_tokens) == pytest.approx((2048.0, 28.0))


def test_a_steady_load_ends_in_its_stationary_state(table):
    """However long the steps are."""
    for dt_s in (10.0, 60.0, 3_600.0):
        fluid, load = Fluid([table], [0]), 0.6 * table.saturated_requests_per_s
        for _ in range(int(7_200 / dt_s)):
            flow = fluid.step(dt_s, [load])
        assert flow.load_requests_per_s[0] == pytest.approx(load, rel=1e-3)
        assert flow.served_requests_per_s[0] == pytest.approx(load, rel=1e-3)
        assert fluid.ttft_s(flow, 0.99)[0] == pytest.approx(float(table.ttft_s(load, 0.99)), rel=1e-3)


def test_requests_are_served_lost_or_inside(table):
    """Nothing comes from nowhere and nothing vanishes, through overload and back; two replicas share alike."""
    fluid = Fluid([table], [0, 0], replicas=[1, 2], patience_s=30.0)
    most = table.saturated_requests_per_s * np.array([1.0, 2.0])
    came = served = lost = np.zeros(2)
    for frac in (0.3, 1.5, 1.5, 0.9, 0.1, 0.0):
        flow = fluid.step(60.0, frac * most)
        came, served = came + 60.0 * frac * most, served + 60.0 * flow.served_requests_per_s
        lost = lost + 60.0 * flow.lost_requests_per_s
        assert (flow.served_requests_per_s <= most * (1 + 1e-9) + 1e-9).all()
    assert served + lost + fluid.inside * [1, 2] == pytest.approx(came)
    assert lost[1] == pytest.approx(2 * lost[0])
    assert lost[0] > 0


def test_an_overload_grows_a_queue_that_drains(table):
    """A minute at twice what can be served leaves a minute's queue, less than patience; it is gone three minutes on."""
    fluid, most = Fluid([table], [0], patience_s=300.0), table.saturated_requests_per_s
    waits = [float(fluid.step(60.0, [frac * most]).wait_s[0]) for frac in (2.0, 0.5, 0.5, 0.5)]
    assert waits[0] == pytest.approx(60.0, rel=0.3)
    assert waits[1] < waits[0]
    assert waits[3] == 0.0


def test_waits_grow_without_a_step_where_the_table_ends(table):
    fluid = Fluid([table], [0] * 200)
    fluid.inside = np.linspace(0.5, 1.5, 200) * table.at.inside[-1]
    flow = fluid.step(1e-6, np.zeros(200))
    late = fluid.ttft_s(flow, 0.5)
    assert (np.diff(late) >= -1e-9).all()
    assert np.diff(late).max() < 1.0


def test_lost_requests_and_late_ones_break_the_promise(table):
    fluid = Fluid([table], [0, 0, 0], patience_s=10.0)
    most = table.saturated_requests_per_s
    flow = fluid.step(60.0, [0.0, 0.3 * most, 3.0 * most])
    quiet, normal, flooded = fluid.attained_frac(flow, [Slo(2.0, 0.3)])
    assert quiet == 1.0
    assert normal > 0.98
    assert flooded < 0.05


def test_latencies_of_all_are_the_mixture_of_each(table, chatting, mix):
    """Of two instances that serve alike, half of the first tokens are each one's."""
    other = LatencyTable.of(replace(chatting, batch=16), mix)
    fluid = Fluid([table, other], [0, 1])
    flow = fluid.step(600.0, [0.5, 0.5])
    first, between = (of_table.sum(axis=0) for of_table in fluid.latencies(flow))
    times = np.broadcast_to(TIMES_S, (2, len(TIMES_S)))
    each = [one.first_token_frac(flow.load_requests_per_s, flow.wait_s, times) for one in fluid.tables]
    assert first == pytest.approx(flow.served_requests_per_s @ np.array([each[0][0], each[1][1]]))
    assert between[-1] == pytest.approx(flow.served_requests_per_s.sum() * mix.decoded_tokens)
    assert 0.1 < float(quantile_s(first / first[-1], 0.5)) < 1.0


def test_who_is_inside_stays_when_an_instance_runs_something_else(table, chatting, mix):
    """A queue of one replica is half as long for each of two, and gone sooner."""
    fluid = Fluid([table], [0, 0])
    fluid.step(60.0, [2.5 * table.saturated_requests_per_s] * 2)
    wider = fluid.running([table, LatencyTable.of(replace(chatting, batch=32), mix)], [0, 1], replicas=[2, 1])
    assert wider.inside == pytest.approx(fluid.inside * [0.5, 1.0])
    quiet = [one.step(10.0, [0.0, 0.0]).wait_s for one in (fluid, wider)]
    assert quiet[1][0] < quiet[0][0]


def test_others_may_come_and_go_meanwhile(table):
    """Of three, the last is now the first, the second is new, the others are gone."""
    fluid = Fluid([table], [0, 0, 0])
    fluid.step(60.0, [0.2, 0.4, 0.8])
    assert fluid.running([table], [0, 0], before=[2, NEW]).inside == pytest.approx([fluid.inside[2], 0.0])


def test_everything_happens_twice_as_late_at_half_the_speed(table):
    """An engine at half speed under a load is, in its own time, one at full speed under twice that load."""
    slow, fast = Fluid([table], [0]), Fluid([table], [0])
    load = 0.3 * table.saturated_requests_per_s
    for _ in range(20):
        late, plain = slow.step(60.0, [load], 0.5), fast.step(30.0, [2.0 * load])
    assert slow.inside == pytest.approx(fast.inside)
    assert late.served_requests_per_s == pytest.approx(load)
    for quantile in (0.5, 0.99):
        assert slow.ttft_s(late, quantile) == pytest.approx(2.0 * fast.ttft_s(plain, quantile))
        assert slow.tbt_s(late, quantile) == pytest.approx(2.0 * fast.tbt_s(plain, quantile))
        first, between = (of[0] / of[0, -1] for of in slow.latencies(late))
        assert float(quantile_s(first, quantile)) == pytest.approx(slow.ttft_s(late, quantile)[0], rel=0.02)
        assert float(quantile_s(between, quantile)) == pytest.approx(slow.tbt_s(late, quantile)[0], rel=0.02)
    assert slow.attained_frac(late, [Slo(1.0, 0.1)]) == pytest.approx(fast.attained_frac(plain, [Slo(0.5, 0.05)]))


def test_an_engine_that_stands_still_loses_what_it_has_and_what_comes(table):
    fluid = Fluid([table], [0])
    fluid.step(600.0, [0.5])
    had = float(fluid.inside[0])
    flow = fluid.step(10.0, [0.5], 0.0)
    assert flow.lost_requests_per_s == pytest.approx([0.5 + had / 10.0])
    assert (fluid.inside[0], flow.served_requests_per_s[0]) == (0.0, 0.0)
    assert fluid.attained_frac(flow, [Slo(100.0, 100.0)]) == [0.0]
    assert fluid.latencies(flow)[0].sum() == 0.0
    assert np.isinf(fluid.ttft_s(flow, 0.5)).all()


def test_wrong_instances_are_named_together(table):
    with pytest.raises(InvalidInput) as refused:
        Fluid([table], [0, 1], replicas=0.0, patience_s=0.0)
    assert [fault.where for fault in refused.value.faults] == ["table", "replicas", "patience_s"]


@pytest.mark.parametrize(
    ("load_frac", "engine"),
    [
        pytest.param(0.2, {}, id="a quiet engine"),
        pytest.param(0.5, {}, id="a busy one"),
        pytest.param(0.5, {"chunk_tokens": WHOLE_PROMPTS}, id="prompts go first"),
        pytest.param(0.5, {"kv_tokens": 60_000.0}, id="memory for fewer than the batch"),
    ],
)
def test_it_is_near_to_single_requests(chatting, mix, load_frac, engine):
    """At random arrivals, up to half the load, which is what promises leave: medians within 12 %, p99 within 20 %."""
    pytest.importorskip("simpy", reason="simpy is not installed; it comes with the dev extra")
    from tapas_opt.serving.requests import serve_requests  # noqa: PLC0415

    random, pace = np.random.default_rng(5), replace(chatting, **engine)
    table = LatencyTable.of(pace, mix)
    load, picked = load_frac * table.saturated_requests_per_s, random.integers(0, mix.prompt_tokens.size, 5_000)
    run = serve_requests(
        pace,
        np.cumsum(random.exponential(1.0 / load, picked.size)),
        mix.prompt_tokens[picked],
        mix.output_tokens[picked],
    )
    for quantile, near in ((0.5, 0.12), (0.99, 0.2)):
        assert float(table.ttft_s(load, quantile)) == pytest.approx(np.quantile(run.ttft_s, quantile), rel=near)
        assert float(table.tbt_s(load, quantile)) == pytest.approx(float(run.gap_quantile_s(quantile)), rel=near)
    assert float(table.by_load(table.at.busy_frac, load)) == pytest.approx(run.busy_s / run.until_s, rel=0.05)
    assert float(table.by_load(table.at.read_frac, load)) == pytest.approx(run.read_s / run.until_s, rel=0.05)
