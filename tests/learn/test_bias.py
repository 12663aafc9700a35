"""The tracked bias of each sensor: what it follows, what it ignores, and that it survives a restart."""

from __future__ import annotations

import copy
import json

import numpy as np
import pytest

from tapas_opt.errors import InvalidInput
from tapas_opt.learn.bias import BiasSettings, BiasTracker
from tapas_opt.learn.fitting.bias import fit_settings

STEP_S = 300.0
NOISE_C, PRIOR_C = 0.3, 2.0
SETTINGS = BiasSettings(
    process_var_per_s=2 * PRIOR_C**2 / 86_400,  # σ² = q·τ/2 = 4 °C²
    measurement_var=NOISE_C**2,
    time_constant_s=86_400,
    step_s=STEP_S,
    largest_bias=6.0,
    largest_widening=8.0,
)


def fed(readings, settings=SETTINGS, names=("S1",)):
    """A tracker that was given one reading after the other, and the time of the last."""
    tracker = BiasTracker(names, settings)
    for k, reading in enumerate(readings):
        tracker.update(k * STEP_S, np.broadcast_to(np.asarray(reading, dtype=float), len(names)))
    return tracker, (len(readings) - 1) * STEP_S


def test_nothing_known_is_no_bias_and_a_wide_margin():
    tracker = BiasTracker(["S1"], SETTINGS)
    assert tracker.bias(0.0) == 0.0
    assert tracker.widening(0.0, 0.99)[0] == pytest.approx(2.326 * (np.hypot(2.0, 0.3) - SETTINGS.settled_spread), 1e-3)
    assert "no reading yet" in tracker.widened(0.0)[0]


def test_the_first_reading_counts_by_its_variance_against_the_bias_s_own():
    """K = 4 / (4 + 0.09)."""
    tracker, now = fed([1.0])
    assert tracker.bias(now)[0] == pytest.approx(4.0 / 4.09)


def test_the_settled_variance_is_where_many_readings_lead_to():
    tracker, now = fed(np.zeros(2_000))
    _, variance = tracker._ahead(now + STEP_S)
    assert variance[0] == pytest.approx(SETTINGS.settled_var, rel=1e-6)
    assert tracker.widening(now + STEP_S, 0.99) == 0.0
    assert tracker.widened(now + STEP_S) == ()


def test_it_does_better_than_any_fixed_offset_on_the_process_it_assumes():
    """The Kalman filter is the best linear predictor: its one-step error has the variance that it states."""
    rng = np.random.default_rng(3)
    kept = np.exp(-STEP_S / SETTINGS.time_constant_s)
    bias = rng.normal(0, PRIOR_C, 400)
    tracker, off = BiasTracker([str(i) for i in range(400)], SETTINGS), []
    for k in range(400):
        reading = bias + rng.normal(0, NOISE_C, 400)
        off.append(reading - tracker.bias(k * STEP_S))
        tracker.update(k * STEP_S, reading)
        bias = kept * bias + rng.normal(0, PRIOR_C * np.sqrt(1 - kept**2), 400)
    assert np.std(off[100:]) == pytest.approx(SETTINGS.settled_spread, rel=0.02)


def test_a_step_is_followed_after_three_readings_and_widens_from_the_second():
    """One reading 4 °C off may be absurd; three in a row are the truth."""
    readings = [0.0] * 50
    tracker, now = fed([*readings, 4.0])
    assert abs(tracker.bias(now)[0]) < 1e-9
    assert tracker.widening(now, 0.99)[0] < 0.1
    tracker, now = fed([*readings, 4.0, 4.0])
    assert abs(tracker.bias(now)[0]) < 1e-9
    assert tracker.widening(now, 0.99)[0] >= 4.0
    assert "far above what was expected, the last by 4 °C" in tracker.widened(now)[0]
    tracker, now = fed([*readings, 4.0, 4.0, 4.0])
    assert tracker.bias(now)[0] == pytest.approx(4.0, abs=0.1)
    assert "a lasting change of its readings is being followed, +3.9 °C by now" in tracker.widened(now + STEP_S)[0]
    tracker, now = fed([*readings, *[4.0] * 20])
    assert tracker.bias(now)[0] == pytest.approx(4.0, abs=0.05)
    assert tracker.widened(now) == ()


@pytest.mark.parametrize("absurd", [1e300, 127.0, -60.0, 3.0])
def test_a_single_absurd_reading_moves_nothing(absurd):
    calm, now = fed([0.5] * 60)
    hit, _ = fed([0.5] * 50 + [absurd] + [0.5] * 9)
    assert hit.bias(now)[0] == pytest.approx(calm.bias(now)[0], abs=0.02)
    assert hit.widened(now) == ()


def test_absurd_readings_on_both_sides_are_never_followed():
    tracker, now = fed([0.0] * 50 + [50.0, -50.0] * 20)
    assert abs(tracker.bias(now)[0]) < 0.1


def test_a_slow_drift_is_followed_without_any_alarm():
    """2 °C in a day."""
    drift = np.linspace(0, 2, 288)
    tracker, now = fed(drift)
    assert tracker.bias(now)[0] == pytest.approx(2.0, abs=0.1)
    assert tracker.widened(now) == ()


def test_bias_and_widening_keep_to_their_bounds():
    """A stuck sensor reads 127 °C for an hour: the bias stops at its bound, the margin at its own, and it is said."""
    tracker, now = fed([0.0] * 20 + [100.0] * 12)
    assert tracker.bias(now)[0] == SETTINGS.largest_bias
    assert tracker.widening(now, 0.99)[0] == SETTINGS.largest_widening
    assert "at the largest allowed, 6 °C" in tracker.widened(now)[0]


def test_without_readings_the_bias_fades_and_the_margin_grows_to_that_of_nothing_known():
    tracker, now = fed([1.0] * 100)
    ages = now + np.array([0.0, 1.0, 6.0, 24.0, 24.0 * 30]) * 3_600
    widening = [tracker.widening(t, 0.99)[0] for t in ages]
    assert widening == sorted(widening)
    assert widening[0] == 0.0
    assert widening[-1] == pytest.approx(BiasTracker(["S1"], SETTINGS).widening(0.0, 0.99)[0])
    assert tracker.bias(ages[3])[0] == pytest.approx(np.exp(-1.0), abs=0.01)
    assert abs(tracker.bias(ages[4])[0]) < 1e-9
    assert "its last reading is 21,600 s old, normally one comes every 300 s" in tracker.widened(ages[2])[0]


def test_a_missing_reading_leaves_a_sensor_alone_and_its_neighbours_not():
    tracker, now = fed([1.0] * 30, names=("S1", "S2"))
    before = tracker.to_json()["sensors"]["S1"]
    tracker.update(now + STEP_S, np.array([np.nan, 1.0]))
    assert tracker.to_json()["sensors"]["S1"] == before
    later = tracker.widening(now + 10 * STEP_S, 0.99)
    assert later[0] > later[1] > 0


def test_a_reading_that_comes_twice_or_late_counts_once():
    """Telemetry is delivered at least once, and not in order."""
    once, now = fed([0.0, 1.0, 0.5])
    twice, _ = fed([0.0, 1.0, 0.5])
    twice.update(now, np.array([0.5]))
    twice.update(now - STEP_S, np.array([3.0]))
    assert twice.to_json() == once.to_json()


def test_a_level_below_the_middle_widens_nothing_by_age():
    assert BiasTracker(["S1"], SETTINGS).widening(0.0, 0.4) == 0.0


def test_what_is_kept_of_other_names_is_what_was_known_of_them():
    tracker, now = fed([1.0] * 30, names=("S1", "S2"))
    changed = tracker.of(["S9", "S2"])
    assert changed.names == ("S9", "S2")
    assert changed.bias(now).tolist() == [0.0, tracker.bias(now)[1]]


def test_a_restart_changes_nothing_to_the_last_bit():
    rng = np.random.default_rng(5)
    names = [f"S{i}" for i in range(50)]
    readings = rng.normal(0, 1, (60, 50)) + rng.normal(0, 1, 50)
    readings[rng.random(readings.shape) < 0.2] = np.nan
    readings[40:, 3] += 9.0
    running, restarted = BiasTracker(names, SETTINGS), BiasTracker(names, SETTINGS)
    for k, reading in enumerate(readings):
        now = k * STEP_S / 7
        running.update(now, reading)
        restarted = BiasTracker.from_json(json.loads(json.dumps(restarted.to_json())))
        restarted.update(now, reading)
        assert restarted.bias(now + 1).tobytes() == running.bias(now + 1).tobytes()
        assert restarted.widening(now + 1, 0.99).tobytes() == running.widening(now + 1, 0.99).tobytes()
        assert restarted.widened(now + 1) == running.widened(now + 1)


def test_a_damaged_state_is_refused_with_all_its_faults():
    tracker, _ = fed([1.0] * 3, names=("S1", "S2", "S3"))
    raw = copy.deepcopy(tracker.to_json())
    raw["sensors"]["S1"]["bias"] = float("nan")
    raw["sensors"]["S2"]["colour"] = "red"
    del raw["sensors"]["S3"]["streak"]
    raw["settings"]["process_var_per_s"] = -1
    raw["format"] = "tapas-opt/bias/0"
    with pytest.raises(InvalidInput) as caught:
        BiasTracker.from_json(raw)
    where = {fault.where for fault in caught.value.faults}
    assert where == {
        "sensors.S1.bias",
        "sensors.S2.colour",
        "sensors.S3.streak",
        "settings.process_var_per_s",
        "format",
    }


@pytest.mark.parametrize("raw", [None, [], "text", 3, {}])
def test_what_is_no_state_at_all_is_refused(raw):
    with pytest.raises(InvalidInput):
        BiasTracker.from_json(raw)


def test_a_state_out_of_its_own_bounds_is_refused_with_all_its_faults():
    tracker, _ = fed([1.0] * 3)
    raw = tracker.to_json()
    raw["sensors"]["S1"] |= {"bias": -6.5, "variance": 99.0, "streak": 4}
    with pytest.raises(InvalidInput) as caught:
        BiasTracker.from_json(raw)
    assert [fault.where for fault in caught.value.faults] == [f"sensors.S1.{x}" for x in ("bias", "variance", "streak")]


def test_two_sensors_of_one_name_are_refused():
    with pytest.raises(InvalidInput, match=r"names\.S1: is there twice"):
        BiasTracker(["S1", "S2", "S1"], SETTINGS)


def test_fitted_settings_are_those_of_the_process():
    """Learned from a wandering bias, the tracker's one-step errors come within 3 % of the best possible."""
    rng = np.random.default_rng(7)
    steps, sensors = 1_000, 40
    kept = np.exp(-STEP_S / SETTINGS.time_constant_s)
    bias = rng.normal(0, PRIOR_C, sensors)
    residual = np.empty((steps, sensors))
    for k in range(steps):
        residual[k] = bias + rng.normal(0, NOISE_C, sensors)
        bias = kept * bias + rng.normal(0, PRIOR_C * np.sqrt(1 - kept**2), sensors)
    residual[rng.random(residual.shape) < 0.005] = 90.0
    residual[rng.random(residual.shape) < 0.05] = np.nan
    learned = fit_settings(residual[:500], STEP_S * np.arange(500))
    assert learned.step_s == STEP_S
    assert learned.settled_spread == pytest.approx(SETTINGS.settled_spread, rel=0.1)
    tracker, off = BiasTracker([str(i) for i in range(sensors)], learned), []
    for k in range(500, steps):
        off.append(np.abs(residual[k] - tracker.bias(k * STEP_S)))
        tracker.update(k * STEP_S, residual[k])
    best = np.sqrt(2 / np.pi) * SETTINGS.settled_spread
    good = np.array(off)[100:]
    assert np.nanmean(good[good < 10]) < 1.03 * best


def test_settings_cannot_be_learned_from_nothing():
    with pytest.raises(InvalidInput, match="two in a row"):
        fit_settings(np.full((10, 3), np.nan), STEP_S * np.arange(10))
