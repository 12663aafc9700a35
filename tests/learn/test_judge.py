"""What is said of models is what happened: errors, coverage where it counts, and whom it is worst for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tapas_opt.learn.fitting.split import split_days
from tapas_opt.learn.judge import judge
from tapas_opt.telemetry.panel import panel_of

SLOTS_PER_DAY, SERVERS, JUDGED_DAYS = 288, 6, 2
DAYS = slice(6 * SLOTS_PER_DAY, 8 * SLOTS_PER_DAY)
"""The judging days of the eight that `learned` comes from."""


@pytest.fixture
def panel(make_history, topology):
    return panel_of(make_history(topology), topology)


@pytest.fixture
def judged(learned, panel):
    """Judge `learned` on its judging days, with readings raised by what a test says."""

    def run(observed=None, **raised):
        shown = panel
        for name, rise in raised.items():
            shown = replace(shown, **{name: getattr(panel, name) + rise})
        return judge(learned, shown, split_days(panel.day).judge, observed)

    return run


def at(panel, name, *index, rise):
    """What to add to a reading of the panel: ``rise`` at the index, 0 elsewhere."""
    out = np.zeros_like(getattr(panel, name))
    out[index] = rise
    return out


def test_the_mean_error_of_a_server_is_that_of_its_own_formula(learned, panel, judged):
    """Between 15 and 25 °C outside only the middle slope counts: base + slope·(T_out − 15) + load·L."""
    entry, outdoor = learned.inlet_temperature.entries["S3"], panel.outdoor_c[DAYS, 0]
    low, middle, high = entry.outdoor_slopes
    weather = low * np.minimum(outdoor - 15, 0) + middle * np.clip(outdoor - 15, 0, 10)
    weather += high * np.maximum(outdoor - 25, 0)
    expected = entry.base_c + weather + entry.load_c * panel.room_load_frac[DAYS, 0]
    residual = panel.inlet_c[DAYS, 2] - expected
    told = next(place for place in judged()["inlet_temperature"].by_place if place.name == "S3")
    assert told.rows == residual.size
    assert told.mae == pytest.approx(np.abs(residual).mean(), rel=0.01)
    assert told.bias == pytest.approx(residual.mean(), abs=0.01)


def test_predictions_come_from_the_sensors_and_are_compared_with_what_else_was_observed(panel, judged):
    """A truth one degree warmer than its sensors is one degree of bias, and no other prediction."""
    by_sensor, by_truth = judged(), judged(observed=replace(panel, inlet_c=panel.inlet_c + 1.0))
    assert by_truth["inlet_temperature"].bias == pytest.approx(by_sensor["inlet_temperature"].bias + 1.0)
    assert by_truth["gpu_temperature"].mae == by_sensor["gpu_temperature"].mae
    assert by_truth["server_power"].mae == by_sensor["server_power"].mae


def test_slots_that_the_observed_panel_does_not_have_are_not_judged(make_history, topology, judged):
    late = {name: frame[frame["t_s"] >= 7 * 86_400] for name, frame in make_history(topology).items()}
    told = judged(observed=panel_of(late, topology))["inlet_temperature"]
    assert told.rows == SLOTS_PER_DAY * SERVERS
    assert told.mae == pytest.approx(judged()["inlet_temperature"].by_day[1].mae)


def test_the_worst_server_is_named_with_its_bias(panel, judged):
    worst = judged(inlet_c=at(panel, "inlet_c", DAYS, 3, rise=3.0))["inlet_temperature"].worst(2)
    assert worst[0].name == "S4"
    assert worst[0].bias == pytest.approx(3.0, abs=0.1)
    assert worst[1].mae < 1.0


def test_gpus_of_a_server_are_told_together(panel, judged):
    """One of eight GPUs off by 8 °C is 1 °C of its server."""
    told = judged()["gpu_temperature"], judged(gpu_c=at(panel, "gpu_c", DAYS, 1, 5, rise=8.0))["gpu_temperature"]
    before, after = (next(place for place in one.by_place if place.name == "S2") for one in told)
    assert after.bias == pytest.approx(before.bias + 1.0, abs=1e-5)
    assert len(told[0].by_place) == SERVERS


def test_a_miss_on_the_hottest_day_counts_for_more_there(panel, judged):
    """One server of six on the hotter of two days."""
    tops = [panel.outdoor_c[panel.day == day].max() for day in (6, 7)]
    hot = 6 + int(np.argmax(tops))
    raised = at(panel, "inlet_c", np.flatnonzero(panel.day == hot)[100], 1, rise=6.0)
    told = judged(inlet_c=raised)["inlet_temperature"]
    assert told.coverage == pytest.approx(11 / 12)
    assert told.coverage_hottest_days == pytest.approx(5 / 6)
    assert [day.coverage for day in told.by_day] == pytest.approx([5 / 6, 1.0] if hot == 6 else [1.0, 5 / 6])


def test_a_miss_counts_in_the_top_hours_only_if_it_happens_there(panel, judged):
    """Two of 48 hours are the 5 % of highest power; offices work from 8 h, so midnight is none of them."""
    power = panel.server_power_w[DAYS].mean(axis=1).reshape(-1, 12).mean(axis=1)
    top = DAYS.start + 12 * int(np.argmax(power))
    night = judged(inlet_c=at(panel, "inlet_c", DAYS.start, 0, rise=6.0))["inlet_temperature"]
    peak = judged(inlet_c=at(panel, "inlet_c", top, 0, rise=6.0))["inlet_temperature"]
    assert night.coverage == peak.coverage == pytest.approx(11 / 12)
    assert night.coverage_top_hours == 1.0
    assert peak.coverage_top_hours == pytest.approx(11 / 12)


def test_a_row_day_is_missed_only_above_the_rows_highest_upper_value(panel, judged):
    """The eighth GPU of a server is 7 °C warmer than the first: 5 °C more on the first is nothing to its row."""
    cool = judged(gpu_c=at(panel, "gpu_c", DAYS.start + 150, 0, 0, rise=5.0))["gpu_temperature"]
    hot = judged(gpu_c=at(panel, "gpu_c", DAYS.start + 150, 0, 7, rise=40.0))["gpu_temperature"]
    assert cool.coverage == hot.coverage == pytest.approx(1 - 1 / (8 * SERVERS * JUDGED_DAYS))
    assert cool.coverage_row_day == 1.0
    assert hot.coverage_row_day == pytest.approx(1 - 1 / (2 * JUDGED_DAYS))


def test_what_was_refused_is_a_share_of_what_was_due(panel, judged):
    refused = np.where(np.random.default_rng(0).random(panel.inlet_c.shape) < 0.1, np.nan, 0.0)
    told = judged(inlet_c=refused)
    assert told["inlet_temperature"].refused_frac == pytest.approx(0.1, abs=0.01)
    assert told["server_power"].refused_frac == pytest.approx(0.1, abs=0.01)
    assert told["vm_load"].refused_frac == 0.0


def test_a_domain_is_judged_by_its_own_sum_once_a_day(panel, judged):
    told = judged(meter_w=at(panel, "meter_w", DAYS, 0, rise=20_000.0))["domain_margin"]
    assert told.worst(1)[0].name == "row:R1"
    assert told.worst(1)[0].rows == JUDGED_DAYS
    assert told.coverage_row_day == 0.5


def test_inputs_outside_the_fitting_days_are_said(panel, judged):
    """Ten degrees more outside than ever: most of the weather is new, the room's load is not."""
    told = judged(outdoor_c=10.0)["inlet_temperature"]
    assert told.extrapolated
    assert "outdoor_c" in told.extrapolated[0]
    assert told.beyond["room_load_frac"] < 0.05
    assert judged()["server_power"].extrapolated == ()


def test_the_sample_holds_what_was_predicted_and_observed(judged):
    predicted, observed = judged()["server_power"].sample
    assert predicted.shape == observed.shape == (SLOTS_PER_DAY * SERVERS * JUDGED_DAYS,)
    assert np.abs(observed - predicted).mean() == pytest.approx(judged()["server_power"].mae)


def test_a_day_without_any_reading_is_no_day(panel, judged):
    silent = judged(inlet_c=at(panel, "inlet_c", panel.day == 7, rise=np.nan))["inlet_temperature"]
    assert len(silent.by_day) == 1
    assert silent.rows == SLOTS_PER_DAY * SERVERS


def test_a_day_that_had_hardly_begun_is_not_judged(make_history, topology, learned):
    """Its maximum is still to come."""
    panel = panel_of(make_history(topology, days=3), topology)
    slots = np.arange(len(panel.t_s)) < 2 * SLOTS_PER_DAY + 20
    told = judge(learned, panel, slots)["inlet_temperature"]
    assert [day.from_s for day in told.by_day] == [0.0, 86_400.0]


def test_a_draw_of_many_readings_gives_every_gpu_its_turn(learned, panel, judged, monkeypatch):
    """Each GPU of a server is a degree warmer than the one before; every eighth reading would be of the same one."""
    whole = judged()["gpu_temperature"]
    monkeypatch.setattr("tapas_opt.learn.judging.tally.SAMPLE_PER_DAY", 288 * SERVERS)
    monkeypatch.setattr("tapas_opt.learn.judging.tally.ERRORS_PER_DAY", 288 * SERVERS)
    drawn = judged()["gpu_temperature"]
    assert drawn.sample[1].size == JUDGED_DAYS * -(-288 * 8 * SERVERS // 11)  # 11 is the first above 8 prime to 48
    assert drawn.sample[1].mean() == pytest.approx(whole.sample[1].mean(), abs=0.3)
    assert drawn.p95_error == pytest.approx(whole.p95_error, rel=0.1)
    assert drawn.mae == whole.mae
