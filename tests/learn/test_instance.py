"""What instances were measured to draw, beside what the table of profiles says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tapas_opt.domain.configuration import Configuration, Profile
from tapas_opt.learn.fit import fit
from tapas_opt.learn.fitting.instance import fit_instance_power
from tapas_opt.learn.fitting.split import split_days
from tapas_opt.learn.instance import ENOUGH_READINGS, InstanceEntry, measured_profile, off_profile
from tapas_opt.telemetry.panel import panel_of

CONFIGURATION = Configuration("m-b64", "m", "fp16", 8, 1, 64, 1410.0)
POWERS_W = (60.0, 210.0, 360.0), (62.0, 215.0, 368.0)
PACE = (8_000.0, 2e-8, 500_000.0, 1024)
PROFILE = Profile(CONFIGURATION, "dgx-a100", 1_000.0, *POWERS_W, 1.0, 0.1, 0.03, 30.0, 20.0, *PACE)


@pytest.fixture
def history(make_history, topology):
    """The offices of `two_rows` are instances of one configuration; their power is 60 W and 300 W more at full load."""
    tables = make_history(topology)
    office = tables["vms"]["template"] == "office"
    vms = tables["vms"].assign(configuration=np.where(office, CONFIGURATION.name, None))
    rng = np.random.default_rng(5)  # loads from 0 to 1, so that every level is seen
    load = rng.uniform(0, 1, len(vms))
    vms["load_frac"] = np.where(office, load, vms["load_frac"])
    by_place = {"t_s": vms["t_s"], "server": vms["server"], "asked": np.where(office, load, np.nan)}
    gpus = tables["gpus"].merge(vms.assign(**by_place)[["t_s", "server", "asked"]], how="left", on=["t_s", "server"])
    power = 60.0 + 300.0 * gpus["asked"] + rng.normal(0, 2, len(gpus))
    gpus["power_w"] = np.where(gpus["asked"].notna(), power, gpus["power_w"])
    return tables | {"vms": vms, "gpus": gpus.drop(columns="asked")}


def entry_of(history, topology):
    panel = panel_of(history, topology)
    (entry,) = fit_instance_power(panel, split_days(panel.day)).entries.values()
    return entry


def test_power_by_load_is_recovered_with_its_margin(history, topology):
    """The hottest of eight sensors with a noise of 2 W reads 1.42 σ, that is 2.8 W, above the mean."""
    entry = entry_of(history, topology)
    assert (entry.configuration, entry.hardware) == (CONFIGURATION.name, "dgx-a100")
    assert entry.gpu_power_w == pytest.approx((60.0, 210.0, 360.0), abs=1.0)
    assert entry.hottest_gpu_power_w == pytest.approx((62.8, 212.8, 362.8), abs=1.5)
    assert 1.0 < entry.gpu_margin_w < 5.0
    assert min(entry.readings) > ENOUGH_READINGS


def test_a_history_without_configurations_teaches_nothing_and_the_table_stands(learned):
    assert learned.instance_power.entries == {}
    assert learned.measured_profile(PROFILE) == PROFILE
    assert list(off_profile([PROFILE], learned.instance_power.entries)) == []


def test_it_is_saved_loaded_and_judged_with_the_other_models(history, topology, tmp_path):
    learned = fit(panel_of(history, topology))
    learned.save(tmp_path)
    assert type(learned).load(tmp_path) == learned
    assert learned.errors()["instance_power"].coverage >= 0.9
    assert learned.errors()["instance_power"].mae < 3.0


def measured(**changes):
    entry = InstanceEntry(
        CONFIGURATION.name, "dgx-a100", (70.0, 220.0, 350.0), (75.0, 225.0, 355.0), 5.0, 8.0, (1_000, 1_000, 1_000)
    )
    return {"m-b64@dgx-a100": replace(entry, **changes)}


def test_mean_power_is_the_measured_one_and_the_hottest_gpu_is_never_lowered():
    """At full load 350 W were measured where the table has 360 W, and 355 W of the hottest GPU instead of 368 W."""
    profile = measured_profile(PROFILE, measured())
    assert profile.gpu_power_w == (70.0, 220.0, 350.0)
    assert profile.hottest_gpu_power_w == (75.0, 225.0, 368.0)
    assert replace(profile, gpu_power_w=PROFILE.gpu_power_w, hottest_gpu_power_w=PROFILE.hottest_gpu_power_w) == PROFILE


def test_a_level_with_few_readings_keeps_the_table():
    few = measured(readings=(1_000, ENOUGH_READINGS, ENOUGH_READINGS - 1))
    profile = measured_profile(PROFILE, few)
    assert profile.gpu_power_w == (70.0, 220.0, 360.0)
    assert profile.hottest_gpu_power_w == (75.0, 225.0, 368.0)


def test_power_never_falls_with_the_load_where_table_and_measurement_meet():
    """400 W measured at half load beside 360 W in the table at full load."""
    mixed = measured(gpu_power_w=(70.0, 400.0, 400.0), hottest_gpu_power_w=(75.0, 410.0, 410.0), readings=(0, 999, 0))
    profile = measured_profile(PROFILE, mixed)
    assert profile.gpu_power_w == (60.0, 400.0, 400.0)
    assert profile.hottest_gpu_power_w == (62.0, 410.0, 410.0)


def test_a_table_that_is_off_by_more_than_the_margin_is_named_with_its_watts():
    """Mean: 10, 10, 10 W off with a margin of 5 W; hottest 13, 10, 13 W off with one of 12 W, too few at full load."""
    said = list(off_profile([PROFILE], measured(hottest_margin_w=12.0, readings=(1_000, 1_000, 3))))
    assert len(said) == 3
    assert said[0] == ("m-b64 on dgx-a100, mean GPU at load 0: the table says 60 W, 1,000 readings 70 W (margin 5 W)")
    assert said[2].startswith("m-b64 on dgx-a100, hottest GPU at load 0: ")
