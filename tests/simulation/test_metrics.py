"""Metrics, with numbers that a person can work out."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from tapas_opt.domain.failure import Failure, FailureKind
from tapas_opt.domain.topology import topology_of
from tapas_opt.plant.plant import Plant
from tapas_opt.serving.latency import TIMES_S
from tapas_opt.simulation.answering import Answered
from tapas_opt.simulation.metrics import json_safe, metrics_of, relief_s
from tapas_opt.simulation.record import Moment, stacked
from tapas_opt.simulation.story import FailureAt
from tapas_opt.simulation.tally import Tally

U1_FAILS = FailureAt(0.0, 10.0, Failure(FailureKind.UPS, "U1"))
CAPACITY_W = 10_000.0


@pytest.fixture
def topology(two_rows):
    """Two rows, four UPSs, two aisles, six servers of eight GPUs."""
    return topology_of(two_rows)


@pytest.fixture
def record(topology):
    """Make a record of one sample after each of the times given, everything calm unless told otherwise."""

    def make(times_s, ups_power_w=None, ups_capacity_w=None, **series):
        n = len(times_s)
        ups = np.full((n, 4), 5_000.0) if ups_power_w is None else np.array(ups_power_w)
        capacity = np.full((n, 4), CAPACITY_W) if ups_capacity_w is None else np.array(ups_capacity_w)
        calm = {
            "row_power_w": [np.array([9_000.0, 4_000.0])] * n,
            "row_budget_w": [np.array([18_000.0, 18_000.0])] * n,
            "aisle_airflow_cfm": [np.array([1_000.0, 500.0])] * n,
            "aisle_capacity_cfm": [np.array([2_000.0, 2_000.0])] * n,
            "hottest_gpu_c": [60.0] * n,
            "throttled_servers": [0] * n,
            "quality_frac": [1.0] * n,
            "served_frac": [1.0] * n,
            "iaas_performance_frac": [1.0] * n,
        } | series
        moments = [
            Moment(t, ups_power_w=ups[i], ups_capacity_w=capacity[i], **{name: calm[name][i] for name in calm})
            for i, t in enumerate(times_s)
        ]
        return stacked("policy", topology, moments, ())

    return make


@pytest.fixture
def tally():
    """Two servers' and one VM's hour, so that nothing is divided by nothing."""
    return Tally(server_s=7_200.0, vm_s=3_600.0)


def test_ratios_are_to_the_limit_in_force(record, tally):
    """10,000 W of 18,000 W is 56 %; of the 9,000 W that a failure leaves it is 111 %. A limit of 0 has no ratio."""
    row_power = [np.array([10_000.0, 0.0])] * 2
    budgets = [np.array([18_000.0, 18_000.0]), np.array([9_000.0, 0.0])]
    metrics = metrics_of(record([60.0, 120.0], row_power_w=row_power, row_budget_w=budgets), [60.0, 60.0], (), tally)
    assert metrics["peak_row_power_frac"] == pytest.approx(10 / 9)
    assert metrics["peak_aisle_airflow_frac"] == 0.5


def test_latencies_are_told_for_all_and_for_each_endpoint(record, tally):
    """``conv``: four answered at 0.1 s, of which three kept the promise; ``code``: one at 2 s, kept; five were lost."""
    first = np.stack([4.0 * (TIMES_S >= 0.1), 1.0 * (TIMES_S >= 2.0)])
    tally.count(Answered(("conv", "code"), np.array([4.0, 6.0]), np.array([3.0, 1.0]), first, first / 10.0))
    metrics = metrics_of(record([60.0]), [60.0], (), tally)
    assert metrics["slo_attainment_frac"] == pytest.approx(0.4)
    assert metrics["slo_attainment_frac[conv]"] == pytest.approx(3 / 4)
    assert metrics["slo_attainment_frac[code]"] == pytest.approx(1 / 6)
    medians_s = [metrics[f"p50_ttft_s{whose}"] for whose in ("", "[conv]", "[code]")]
    assert medians_s == pytest.approx([0.1, 0.1, 2.0], rel=0.04)
    assert (metrics["p99_ttft_s"], metrics["p99_tbt_s[conv]"]) == pytest.approx((2.0, 0.1), rel=0.04)


def test_losses_are_weighted_by_the_length_of_the_step(record, tally):
    """A minute at 0.9 and a second at 0.1: (60 × 0.1 + 1 × 0.9) / 61 = 0.1131 is lost."""
    times, steps, kept = [60.0, 61.0], [60.0, 1.0], [0.9, 0.1]
    metrics = metrics_of(record(times, served_frac=kept, iaas_performance_frac=kept), steps, (), tally)
    assert metrics["saas_performance_loss_frac"] == pytest.approx(6.9 / 61)
    assert metrics["iaas_performance_loss_frac"] == pytest.approx(6.9 / 61)


def test_quality_counts_only_while_something_is_served(record, tally):
    """Half an answer's quality is missing in one of two minutes of service; the third minute has no answers."""
    lost = metrics_of(record([60.0, 120.0, 180.0], quality_frac=[1.0, 0.5, np.nan]), [60.0] * 3, (), tally)
    assert lost["quality_loss_frac"] == pytest.approx(0.25)
    never = metrics_of(record([60.0], quality_frac=[np.nan]), [60.0], (), tally)
    assert math.isnan(never["quality_loss_frac"])


def test_the_hottest_gpu_is_told_at_its_worst_and_for_99_percent_of_the_time(record, tally):
    """A second at 84 °C in 101 seconds is less than 1 % of the time; two seconds in 102 are more."""
    one = metrics_of(record([100.0, 101.0], hottest_gpu_c=[70.0, 84.0]), [100.0, 1.0], (), tally)
    assert (one["max_gpu_temperature_c"], one["p99_gpu_temperature_c"]) == (84.0, 70.0)
    two = metrics_of(record([100.0, 102.0], hottest_gpu_c=[70.0, 84.0]), [100.0, 2.0], (), tally)
    assert two["p99_gpu_temperature_c"] == 84.0


U1_DEAD = [0.0, CAPACITY_W, CAPACITY_W, CAPACITY_W]


def outage(*loads_of_u2):
    """Loads and capacities while U1 is lost and U2 carries this."""
    return [[0.0, load, 5_000.0, 5_000.0] for load in loads_of_u2], [U1_DEAD] * len(loads_of_u2)


def test_relief_is_when_the_overload_has_ended_for_good(record):
    """Above at 1 s, below at 2 s, above again at 3 s, below from 4 s on: 4 s, not 2."""
    loads, capacities = outage(12_000.0, 9_000.0, 11_000.0, 9_000.0, 9_000.0)
    assert relief_s(record([1.0, 2.0, 3.0, 4.0, 10.0], loads, capacities), U1_FAILS) == 4.0


def test_without_an_overload_there_is_nothing_to_relieve(record):
    loads, capacities = outage(9_000.0, 9_000.0)
    assert relief_s(record([1.0, 10.0], loads, capacities), U1_FAILS) == 0.0


def test_an_overload_that_lasts_as_long_as_the_failure_was_never_relieved(record, tally):
    loads, capacities = outage(12_000.0, 11_000.0)
    told = record([1.0, 10.0], loads, capacities)
    assert relief_s(told, U1_FAILS) == math.inf
    assert metrics_of(told, [1.0, 9.0], [U1_FAILS], tally)["ups_overload_s"] == 10.0


def test_a_trip_is_no_relief(record):
    """U2 is overloaded, trips at 3 s and carries nothing any more: that must not look like success."""
    loads, capacities = outage(12_000.0, 12_000.0, 0.0)
    capacities[2] = [0.0, 0.0, CAPACITY_W, CAPACITY_W]
    assert relief_s(record([1.0, 2.0, 3.0], loads, capacities), U1_FAILS) == math.inf


def test_a_failure_during_another_counts_by_itself(record, tally):
    """U1 is out by plan and relieved at 2 s; U2 is lost at 5 s, which is no trip, and U3 is relieved 3 s later."""
    lost = FailureAt(5.0, 9.0, Failure(FailureKind.UPS, "U2"))
    loads, capacities = outage(12_000.0, 9_000.0, 9_000.0)
    loads += [[0.0, 0.0, load, 5_000.0] for load in (14_000.0, 14_000.0, 9_000.0)]
    capacities += [[0.0, 0.0, CAPACITY_W, CAPACITY_W]] * 3
    told = record([1.0, 2.0, 5.0, 6.0, 7.0, 8.0], loads, capacities)
    assert [relief_s(told, item, (U1_FAILS, lost)) for item in (U1_FAILS, lost)] == [2.0, 3.0]
    assert metrics_of(told, [1.0] * 6, [U1_FAILS, lost], tally)["relief_s"] == 3.0


def test_a_failure_that_meets_an_overload_does_not_end_it(record):
    """U1 is lost at 0 s, and an air handler at 2 s while U2 is above its capacity until 4 s."""
    loads, capacities = outage(12_000.0, 12_000.0, 12_000.0, 9_000.0, 9_000.0)
    told = record([1.0, 2.0, 3.0, 4.0, 10.0], loads, capacities)
    assert relief_s(told, U1_FAILS, (U1_FAILS, FailureAt(2.0, 9.0, Failure(FailureKind.AHU, "AHU1")))) == 4.0


def test_the_worst_of_several_failures_counts(record, tally):
    loads, capacities = outage(12_000.0, 9_000.0, 9_000.0)
    later = FailureAt(5.0, 10.0, Failure(FailureKind.AHU, "AHU1"))
    metrics = metrics_of(record([1.0, 2.0, 10.0], loads, capacities), [1.0, 1.0, 8.0], [U1_FAILS, later], tally)
    assert metrics["relief_s"] == 2.0


def test_json_gets_null_for_what_never_was(record, tally):
    """JSON has no infinity and no NaN."""
    safe = json_safe({"relief_s": math.inf, "quality_loss_frac": math.nan, "ups_trips": 0})
    assert safe == {"relief_s": None, "quality_loss_frac": None, "ups_trips": 0}
    json.dumps(json_safe(metrics_of(record([60.0]), [60.0], (), tally)), allow_nan=False)


@pytest.fixture
def truth(topology):
    """A moment of an idle plant, to be changed."""
    return Plant(topology, seed=1, outdoor=lambda t_s: 15.0).truth


def throttling(truth, *servers):
    throttled = np.zeros((6, 8), dtype=bool)
    throttled[list(servers), 0] = True
    return replace(truth, throttled=throttled, throttled_frac=throttled.astype(float))


def test_throttling_is_counted_once_per_server_from_start_to_end(truth, record):
    """S1 throttles for two steps, S2 joins in the second; S1 begins again later: three events.

    Server time: 10 s + 2 × 10 s + 10 s = 40 of 6 × 40 = 240 s.
    """
    tally = Tally()
    for servers in ((0,), (0, 1), (), (0,)):
        tally.step(throttling(truth, *servers), 10.0, 0, ())
    metrics = metrics_of(record([10.0]), [10.0], (), tally)
    assert metrics["thermal_throttle_events"] == 3
    assert metrics["thermal_throttle_time_frac"] == pytest.approx(40 / 240)


def test_capping_is_counted_once_per_vm_from_start_to_end(truth, record):
    """v1 for two steps of three, v2 for one; four VMs: 30 of 120 s of VM time."""
    tally = Tally()
    for capped in (("v1",), ("v1", "v2"), ()):
        tally.step(truth, 10.0, 4, capped)
    metrics = metrics_of(record([10.0]), [10.0], (), tally)
    assert metrics["power_throttle_events"] == 2
    assert metrics["power_cap_time_frac"] == pytest.approx(30 / 120)


def test_a_row_is_looked_at_in_its_worst_second(truth, record):
    """12 of 18 kW in one, 9 of 9 in the other; a row without a budget has no ratio."""
    tally = Tally()
    for budget_w in ([18_000.0, 9_000.0], [18_000.0, 0.0]):
        tally.look_within(replace(truth, row_power_p999_w=np.array([12_000.0, 9_000.0])), np.array(budget_w))
    tally.step(truth, 10.0, 0, ())
    assert metrics_of(record([10.0]), [10.0], (), tally)["peak_row_second_power_frac"] == 1.0


def test_a_trip_is_counted_once_and_a_repaired_ups_may_trip_again(truth, record):
    tally, names = Tally(), []
    for upses in (("U3",), ("U3",), (), ("U3",)):
        names += tally.step(replace(truth, tripped_upses=upses), 1.0, 0, ())
    tally.step(replace(truth, tripped_pdus=("P1",), tripped_rows=("R1",)), 1.0, 0, ())
    metrics = metrics_of(record([10.0]), [10.0], (), tally)
    assert (metrics["ups_trips"], metrics["breaker_trips"]) == (2, 2)
    assert names == ["U3", "U3"]


def test_energy_tolerance_and_rise_are_what_the_plant_says(truth, record):
    """Six servers at 3,000 W for 200 s are 1 kWh; a tenth of U1's tolerance was used; a GPU was at inlet + 30 K."""
    temperature = np.repeat(truth.inlet_c[:, None] + 5.0, 8, axis=1)
    temperature[2, 3] = truth.inlet_c[2] + 30.0
    used = np.array([0.1, 0.0, 0.0, 0.0])
    loaded = {"server_power_w": np.full(6, 3_000.0), "gpu_temperature_c": temperature, "ups_tolerance_used": used}
    tally = Tally()
    tally.step(replace(truth, **loaded), 200.0, 0, ())
    metrics = metrics_of(record([10.0]), [10.0], (), tally)
    assert metrics["energy_kwh"] == pytest.approx(1.0)
    assert metrics["worst_overload_frac_of_tolerance"] == 0.1
    assert metrics["max_gpu_rise_over_inlet_k"] == pytest.approx(30.0)


def test_the_room_is_kept_as_it_was_when_a_gpu_was_hottest(truth):
    """S3's fourth GPU at 80 °C in the second of three steps; a missing GPU (NaN) is none."""
    tally = Tally()
    for t_s, hottest_c in ((10.0, 70.0), (20.0, 80.0), (30.0, 75.0)):
        temperature = np.full((6, 8), 50.0)
        temperature[2, 3], temperature[0, 0] = hottest_c, np.nan
        tally.step(replace(truth, t_s=t_s, gpu_temperature_c=temperature), 10.0, 0, ())
    assert tally.hottest_s == 20.0
    assert tally.hottest_gpus_c.tolist() == [50.0, 50.0, 80.0, 50.0, 50.0, 50.0]
