"""Instances whose truth is a measured profile."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tapas_opt.domain.configuration import read_profiles
from tapas_opt.domain.site_generator import HARDWARE
from tapas_opt.plant.instances import Instance
from tapas_opt.plant.measured import MeasuredInstance

A100 = HARDWARE["dgx-a100"]


@pytest.fixture(scope="module")
def profiles(repository):
    return {one.configuration.name: one for one in read_profiles(repository / "data" / "demo" / "profiles.csv")}


@pytest.mark.parametrize("name", ["llama2-70b-fp16-tp8-b64-f1410", "llama2-70b-fp8-tp2-r1-b64-f990"])
def test_a_profile_of_an_instance_is_that_instance(profiles, name):
    """Measured with an error of half a per cent, at most one and a half: power of each GPU at each level, and pace."""
    measured = MeasuredInstance(profiles[name], A100)
    true = Instance(profiles[name].configuration, A100)
    assert measured.gpu_powers_w([0.0, 0.5, 1.0]) == pytest.approx(true.gpu_powers_w([0.0, 0.5, 1.0]), rel=0.016)
    assert measured.goodput_tokens_per_s == pytest.approx(true.goodput_tokens_per_s, rel=0.016)
    assert measured.latency.ttft_s(0.5, 0.99) == pytest.approx(float(true.latency.ttft_s(0.5, 0.99)), rel=0.03)
    assert measured.quality == true.quality
    assert measured.gpu_peak_w() == pytest.approx(true.gpu_peak_w(), rel=0.2)


def test_mean_and_hottest_are_the_profiles(profiles):
    for profile in list(profiles.values())[::9]:
        powers = MeasuredInstance(profile, A100).gpu_powers_w(1.0)
        assert powers.mean() == pytest.approx(profile.gpu_power_w[2], rel=0.01)
        assert powers.max() == pytest.approx(profile.hottest_gpu_power_w[2], rel=0.01)


def test_replicas_of_one_gpu_are_alike(profiles):
    profile = profiles["llama2-7b-fp16-tp2-b64-f1410"]
    single = replace(profile, configuration=replace(profile.configuration, tensor_parallel=1, replicas=8))
    assert np.ptp(MeasuredInstance(single, A100).gpu_powers_w(0.7)) == 0.0


def test_a_capped_clock_is_slower_and_cooler_as_a_profile_at_that_clock_would_be(profiles):
    """Against the profile of the same configuration at 990 MHz: power within a sixth, goodput within a tenth."""
    fast, slow = (profiles[f"llama2-70b-fp16-tp8-b64-f{mhz}"] for mhz in (1410, 990))
    capped = MeasuredInstance(fast, A100, frequency_mhz=990.0)
    assert capped.gpu_powers_w(1.0).mean() == pytest.approx(slow.gpu_power_w[2], rel=1 / 6)
    assert capped.goodput_tokens_per_s < 0.8 * fast.goodput_tokens_per_s
    assert capped.pace.prefill_s_per_token == pytest.approx(1.0 / slow.prefill_tokens_per_s, rel=0.01)
    assert capped.pace.step_s == pytest.approx(slow.tbt_s, rel=0.05)
