from __future__ import annotations

import random
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from tapas_opt.domain.result import Mode
from tapas_opt.errors import InvalidInput, NoInstance, NotFound
from tapas_opt.routing.pick import Picker, routing_table
from tapas_opt.routing.problem import RoutingPlan

CHI_SQUARE_2_AT_1_IN_1000 = 13.8


@pytest.fixture
def table(two_rows):
    """A takes half of the requests, B three tenths, C a fifth; each carries 1,000 tokens/s, so 60,000 pending."""
    return lambda **changed: table_of(replace(two_rows, **changed), {"A": 0.5, "B": 0.3, "C": 0.2})


def table_of(problem, shares, **more):
    plan = RoutingPlan({"conv/short": shares}, {"conv/short": 1.0 - sum(shares.values())})
    return routing_table(problem, plan, **({"snapshot": "s1", "created_at_s": 0.0, "stale_after_s": 10_000.0} | more))


@pytest.fixture
def rng():
    return random.Random(1)


def picks(picker, rng, count, *, tokens=100, every_s=0.1, start_s=0.0, **more):
    return [picker.pick("conv/short", tokens, now_s=start_s + k * every_s, rng=rng, **more) for k in range(count)]


def counted(picked):
    return Counter(pick.instance for pick in picked)


def test_picks_of_an_idle_fleet_follow_the_shares(table, rng):
    """10,000 requests, each completed before the next comes: chi-square with 2 degrees of freedom."""
    picker, drawn = Picker(table()), Counter()
    for k in range(10_000):
        pick = picker.pick("conv/short", 1, now_s=k * 1.0, rng=rng)
        picker.complete(pick.instance, pick.pending_tokens)
        drawn[pick.instance] += 1
    expected = {"A": 5_000, "B": 3_000, "C": 2_000}
    assert sum((drawn[i] - n) ** 2 / n for i, n in expected.items()) < CHI_SQUARE_2_AT_1_IN_1000


def test_picks_of_a_busy_fleet_follow_the_shares_even_closer(table, rng):
    """With work pending the emptier of two candidates is taken, so that 600 picks end within 3 % of 300, 180, 120."""
    drawn = counted(picks(Picker(table()), rng, 600))
    assert drawn["A"] == pytest.approx(300, abs=18)
    assert drawn["C"] == pytest.approx(120, abs=18)


def test_a_burst_at_one_moment_does_not_herd(two_rows, rng):
    """30 requests before any telemetry moves: a pick counts at once, so that like instances get like numbers."""
    picker = Picker(table_of(two_rows, {"A": 1 / 3, "B": 1 / 3, "C": 1 / 3}))
    drawn = counted(picks(picker, rng, 30, every_s=0.0))
    assert max(drawn.values()) - min(drawn.values()) <= 3


def test_draining_and_reloading_instances_are_never_picked(table, rng):
    """A is told to drain between tables; B has no goodput in this one."""
    picker = Picker(table(instance_goodput=np.array([1_000, 0, 1_000])))
    picker.drain("A")
    assert set(counted(picks(picker, rng, 100))) == {"C"}
    picker.serve("A")
    assert set(counted(picks(picker, rng, 100, start_s=1_000.0))) == {"A", "C"}


def test_draining_outlasts_a_new_table(table, rng):
    """The table may have been planned before the drain."""
    picker = Picker(table())
    picker.drain("A")
    picker.replace(table())
    assert "A" not in counted(picks(picker, rng, 100))


def test_no_instance_gets_more_than_it_may_hold(table, rng):
    """60 s of 1,000 tokens/s are 60,000 pending tokens: 60 requests of 1,000 for each of three, and no more."""
    picker = Picker(table())
    assert counted(picks(picker, rng, 180, tokens=1_000, every_s=1.0)) == {"A": 60, "B": 60, "C": 60}
    with pytest.raises(NoInstance, match=r"endpoint conv: none of 3 instances .* 3 with too much pending"):
        picker.pick("conv/short", 1_000, now_s=180.0, rng=rng)


def test_no_instance_gets_more_than_it_carries(table, rng):
    """Completed or not: 100 s at 3 · 1,000 tokens/s, and a burst of 10 s, are at most 330,000 tokens."""
    picker, given = Picker(table()), 0.0
    for k in range(1_000):
        try:
            pick = picker.pick("conv/short", 1_000, now_s=k * 0.1, rng=rng)
        except NoInstance:
            continue
        picker.complete(pick.instance, pick.pending_tokens)
        given += pick.pending_tokens
    assert 300_000 <= given <= 330_000


def test_an_idle_instance_takes_a_request_of_any_size(table, rng):
    """A prompt larger than a minute of goodput must run somewhere."""
    assert Picker(table()).pick("conv/short", 10**6, now_s=0.0, rng=rng).pending_tokens == 10**6


def test_completion_makes_room(table, rng):
    """The queue limit is on what is pending, not on what ever was."""
    picker = Picker(table())
    for pick in picks(picker, rng, 180, tokens=1_000, every_s=1.0):
        picker.complete(pick.instance, pick.pending_tokens)
    assert [picker.pending_tokens(name) for name in "ABC"] == [0.0, 0.0, 0.0]
    assert picker.pick("conv/short", 1_000, now_s=181.0, rng=rng).mode is Mode.SOLVER


def test_work_that_is_never_completed_is_forgotten(table, rng):
    """A gateway that crashed must not lock instances for ever: after two periods of 900 s all is free again."""
    picker = Picker(table())
    picks(picker, rng, 180, tokens=1_000, every_s=1.0)
    with pytest.raises(NoInstance):
        picker.pick("conv/short", 1_000, now_s=400.0, rng=rng)
    assert picker.pick("conv/short", 1_000, now_s=2_000.0, rng=rng).instance in "ABC"


def test_work_is_counted_by_class(conv_and_code, rng):
    """A token of ``conv/long`` is one and a half of the mix that goodput was measured at."""
    picker = Picker(routing_table(conv_and_code, None, snapshot="s1", created_at_s=0.0))
    pick = picker.pick("conv/long", 200, now_s=0.0, rng=rng)
    assert pick.pending_tokens == picker.pending_tokens(pick.instance) == 300.0


def test_a_full_share_falls_back_to_whoever_has_room(two_rows, rng):
    """The plan gives all to A; when A holds its 60,000, B and C take the rest though they have no share."""
    picker = Picker(table_of(two_rows, {"A": 1.0}))
    drawn = counted(picks(picker, rng, 100, tokens=1_000, every_s=1.0))
    assert drawn["A"] == 60
    assert drawn["B"] + drawn["C"] == 40


def test_an_endpoint_that_nobody_serves_is_named(conv_and_code, rng):
    """The message says whose endpoint and why: no instance at all, or none that serves."""
    nobody = replace(conv_and_code, instance_endpoint=np.array([0, 0, 0]))
    with pytest.raises(NoInstance, match="endpoint code has no instance in snapshot s1"):
        Picker(routing_table(nobody, None, snapshot="s1", created_at_s=0.0)).pick("code/any", 1, now_s=0.0, rng=rng)
    closed = replace(conv_and_code, instance_goodput=np.array([1_000, 1_000, 0]))
    with pytest.raises(NoInstance, match="endpoint code: none of 1 instances may take 1 tokens now: 1 not serving"):
        Picker(routing_table(closed, None, snapshot="s1", created_at_s=0.0)).pick("code/any", 1, now_s=0.0, rng=rng)


def test_unknown_names_are_said_to_be_unknown(table, rng):
    """A typo is not an overload."""
    picker = Picker(table())
    with pytest.raises(NotFound, match="request class 'conv/shrt'"):
        picker.pick("conv/shrt", 1, now_s=0.0, rng=rng)
    with pytest.raises(NotFound, match="instance 'Z'"):
        picker.drain("Z")


@pytest.mark.parametrize("tokens", [-1.0, float("nan"), float("inf")])
def test_a_count_that_is_none_is_refused(table, rng, tokens):
    """One NaN among the counts would make every later comparison at that instance false."""
    picker = Picker(table())
    with pytest.raises(InvalidInput, match="tokens"):
        picker.pick("conv/short", tokens, now_s=0.0, rng=rng)
    with pytest.raises(InvalidInput, match="tokens"):
        picker.complete("A", tokens)


def test_a_session_stays_with_its_instance(table, rng):
    """Its prefix is cached there."""
    picker = Picker(table())
    assert len(counted(picks(picker, rng, 50, tokens=10, session="s"))) == 1


def test_a_session_leaves_an_instance_that_drains_or_is_far_busier(table, rng):
    """Affinity is worth 5 s of waiting, not an error and not a minute."""
    picker = Picker(table())
    first = picker.pick("conv/short", 100, now_s=0.0, rng=rng, session="s").instance
    picker.drain(first)
    second = picker.pick("conv/short", 100, now_s=1.0, rng=rng, session="s").instance
    assert second != first
    picker.serve(first)
    assert picker.pick("conv/short", 100, now_s=2.0, rng=rng, session="s").instance == second
    moved = counted(picks(picker, rng, 100, tokens=1_000, every_s=1.0, start_s=3.0, session="s"))
    assert len(moved) == 3


def test_sessions_remembered_are_bounded(table, rng):
    """Memory does not grow with users; the ones used least recently go first."""
    picker = Picker(table(), sessions_kept=10)
    for k in range(1_000):
        picker.pick("conv/short", 1, now_s=k * 1.0, rng=rng, session=f"s{k}")
    assert list(picker._sessions) == [f"s{k}" for k in range(990, 1_000)]


def test_a_table_is_replaced_and_what_is_pending_stays(two_rows, rng):
    """The next table moves all to B and C; what A still works on is remembered until A comes back."""
    picker = Picker(table_of(two_rows, {"A": 1.0}))
    picks(picker, rng, 10)
    without_a = replace(
        two_rows,
        instances=("B", "C"),
        **{
            name: getattr(two_rows, name)[1:]
            for name in (
                "instance_server", "instance_endpoint", "instance_goodput", "latency_cost", "power_w",
                "airflow_cfm", "gpu_power_w", "gpu_headroom_w",
            )
        },
    )  # fmt: skip
    picker.replace(table_of(without_a, {"B": 0.5, "C": 0.5}, snapshot="s2"))
    later = picks(picker, rng, 10, start_s=2.0)
    assert {pick.snapshot for pick in later} == {"s2"}
    assert "A" not in counted(later)
    picker.replace(table_of(two_rows, {"A": 1.0}, snapshot="s3"))
    assert picker.pending_tokens("A") == 1_000.0
    picker.complete("A", 1_000.0)
    assert picker.pending_tokens("A") == 0.0


def test_an_instance_that_left_idle_is_forgotten(two_rows, conv_and_code):
    """Years of instances coming and going leave nothing behind; completing at one of them is no error."""
    picker = Picker(table_of(two_rows, {"A": 1.0}))
    picker.replace(
        routing_table(replace(conv_and_code, instances=("X", "Y", "Z")), None, snapshot="s2", created_at_s=0.0)
    )
    assert set(picker._known) == {"X", "Y", "Z"}
    picker.complete("A", 5.0)


def test_an_old_table_is_used_with_a_margin_and_says_so(two_rows, rng):
    """After 60 s: nine tenths of 60,000 pending tokens are 54 requests of 1,000 for each of three."""
    picker = Picker(table_of(two_rows, {"A": 0.5, "B": 0.3, "C": 0.2}, stale_after_s=60.0))
    assert picks(picker, rng, 1)[0].mode is Mode.SOLVER
    picker = Picker(table_of(two_rows, {"A": 0.5, "B": 0.3, "C": 0.2}, created_at_s=-61.0, stale_after_s=60.0))
    with pytest.raises(NoInstance):
        picks(picker, rng, 163, tokens=1_000, every_s=1.0)
    assert [picker.pending_tokens(name) for name in "ABC"] == [54_000.0] * 3


def test_a_refusal_is_believed_only_for_a_moment(table, rng):
    """Walking all instances for each refused request would cost most when there is least to spare."""
    picker = Picker(table())
    picks(picker, rng, 180, tokens=1_000, every_s=1.0)
    for now_s in (200.0, 200.00001):
        with pytest.raises(NoInstance, match="3 with too much pending"):
            picker.pick("conv/short", 1_000, now_s=now_s, rng=rng)
    picker.complete("B", 1_000)
    assert picker.pick("conv/short", 1_000, now_s=200.1, rng=rng).instance == "B"


@pytest.fixture
def eager_threads():
    """Threads that take turns every 10 µs, so that races show."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


class Interrupted(random.Random):
    """Lets something else happen at its second draw, as another thread might."""

    def __init__(self, meanwhile):
        super().__init__(1)
        self.draws, self.meanwhile = 0, meanwhile

    def random(self):
        self.draws += 1
        if self.draws == 2:
            self.meanwhile()
        return super().random()


def test_a_place_taken_between_choosing_and_counting_is_not_taken_twice(two_rows, rng):
    """A has one place left and is chosen; before it is counted, another pick takes that place."""
    picker = Picker(table_of(two_rows, {"A": 1.0}))
    picks(picker, rng, 59, tokens=1_000, every_s=1.0)
    other = []
    interrupted = Interrupted(lambda: other.append(picker.pick("conv/short", 1_000, now_s=60.0, rng=rng)))
    assert picker.pick("conv/short", 1_000, now_s=60.0, rng=interrupted).instance in {"B", "C"}
    assert other[0].instance == "A"
    assert picker.pending_tokens("A") == 60_000.0


@pytest.mark.usefixtures("eager_threads")
def test_threads_never_overfill_an_instance_and_lose_no_count(table):
    """Eight threads race for 180 places, also while the table is replaced under them."""
    picker = Picker(table())

    def race(thread):
        rng, got = random.Random(thread), []
        for k in range(60):
            if thread == 0 and k % 10 == 0:
                picker.replace(table())
            try:
                got.append(picker.pick("conv/short", 1_000, now_s=100.0 + k, rng=rng, session=f"{thread}/{k % 7}"))
            except NoInstance:
                continue
        return got

    with ThreadPoolExecutor(8) as threads:
        picked = [pick for got in threads.map(race, range(8)) for pick in got]
    held = {name: 1_000.0 * count for name, count in counted(picked).items()}
    assert {name: picker.pending_tokens(name) for name in held} == held
    assert max(held.values()) <= 60_000.0
    for pick in picked:
        picker.complete(pick.instance, pick.pending_tokens)
    assert [picker.pending_tokens(name) for name in "ABC"] == [0.0, 0.0, 0.0]


def test_the_same_seed_picks_the_same_instances(table):
    """Time and randomness are arguments, so that a day can be replayed."""
    one, other = (picks(Picker(table()), random.Random(5), 200, session="s") for _ in range(2))
    assert one == other
