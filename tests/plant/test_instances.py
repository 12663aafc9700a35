"""LLM instances: trends that any model of them must have, and public measurements where they are found."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest

from tapas_opt.domain.configuration import Configuration, read_profiles
from tapas_opt.domain.site_generator import HARDWARE
from tapas_opt.errors import NotFound
from tapas_opt.plant.instances import Instance, gpu_power_w
from tapas_opt.plant.profiling import measure_profiles
from tapas_opt.serving.clock import clock_power_frac, prefill_speed_frac
from tapas_opt.serving.mix import CODE, RequestMix
from tapas_opt.serving.pace import Pace

A100 = HARDWARE["dgx-a100"]
BASE = Configuration("base", "llama2-70b", "fp16", 8, 1, 64, 1410.0)


def instance(**changes: object) -> Instance:
    return Instance(replace(BASE, **changes), A100)


def full_power_w(**changes: object) -> float:
    return float(instance(**changes).gpu_powers_w(1.0).max())


def test_a_waiting_instance_draws_little_more_than_idle_gpus():
    """Idle with a CUDA context: about 80 W against 63 W on an A100."""
    mean, hottest = gpu_power_w(BASE, A100, 0.0)
    assert mean == pytest.approx(80.0, abs=1.0)
    assert hottest == pytest.approx(80.6, abs=1.0)


def test_reading_prompts_draws_more_than_a_full_mix_of_reading_and_decoding():
    """Near the limit on all GPUs in use, less at a lower clock; those not in use idle."""
    for changes in ({}, {"tensor_parallel": 2}, {"frequency_mhz": 990.0}):
        one = instance(**changes)
        peak, full = one.gpu_peak_w(), one.gpu_powers_w(1.0)
        used = changes.get("tensor_parallel", 8)
        assert (peak[:used] > full[:used]).all()
        assert peak[used:] == pytest.approx(A100.gpu_idle_power_w)
    assert instance(tensor_parallel=2).gpu_peak_w()[0] > 0.95 * A100.gpu_max_power_w
    assert instance(frequency_mhz=990.0).gpu_peak_w()[0] < 0.6 * instance().gpu_peak_w()[0]


def test_power_is_concave_in_load():
    """Half a batch decodes almost as long as a whole one: half the load costs more than half of the dynamic power."""
    idle, half, full = instance().gpu_powers_w([0.0, 0.5, 1.0]).mean(axis=-1)
    assert 0.6 < (half - idle) / (full - idle) < 0.8


def test_smaller_models_and_lower_precision_are_cooler_and_worse():
    """TAPAS: less power, lower quality."""
    sizes = [instance(model=model) for model in ("llama2-7b", "llama2-13b", "llama2-70b")]
    powers = [one.gpu_powers_w(1.0).max() for one in sizes]
    assert powers == sorted(powers)
    assert [one.quality for one in sizes] == [0.80, 0.88, 1.00]
    assert full_power_w(precision="fp8") < full_power_w()
    assert instance(precision="fp8").quality < 1.0


def test_fewer_gpus_per_instance_are_hotter_and_the_server_draws_less():
    """TAPAS: four busy GPUs of eight, each with more to do."""
    eight, four = instance().gpu_powers_w(1.0), instance(tensor_parallel=4).gpu_powers_w(1.0)
    assert four.max() > eight.max()
    assert four.sum() < eight.sum()
    assert (four[4:] == A100.gpu_idle_power_w).all()


def test_a_lower_clock_saves_more_power_than_it_costs_speed():
    """At 70 % of the clock dynamic power falls by more than 40 %, goodput by less than 30 %."""
    slow, fast = instance(frequency_mhz=990.0), instance()
    dynamic = [one.gpu_powers_w(1.0).mean() - A100.gpu_idle_power_w for one in (slow, fast)]
    assert dynamic[0] / dynamic[1] < 0.60
    assert slow.goodput_tokens_per_s / fast.goodput_tokens_per_s > 0.70
    assert float(slow.decode_step_s(64) / fast.decode_step_s(64)) < 1.15, "decoding waits for memory"


def test_goodput_is_the_load_at_which_five_times_the_unloaded_latency_is_just_kept():
    """At 99 % both promises hold, and one of them breaks a little above."""
    one = instance()
    load = one.goodput_tokens_per_s / (one.request.prompt_tokens + one.request.output_tokens)
    kept = [
        (one.latency.ttft_s(x, 0.99) / one.unloaded_ttft_s, one.latency.tbt_s(x, 0.99) / one.unloaded_tbt_s)
        for x in (load, 1.05 * load)
    ]
    assert max(kept[0]) == pytest.approx(5.0, rel=0.02)
    assert max(kept[1]) > 5.0
    assert 0.3 < load / one.latency.saturated_requests_per_s < 0.7


def test_a_profile_tells_the_pace_that_it_was_measured_at(repository):
    """What reads the table knows latencies as the plant has them, but for rounding and the error of measuring."""
    for profile in read_profiles(repository / "data" / "demo" / "profiles.csv")[::17]:
        true, told = Instance(profile.configuration, A100).pace, Pace.of(profile)
        assert told.iteration_s(512.0, 40_000.0) == pytest.approx(float(true.iteration_s(512.0, 40_000.0)), rel=0.02)
        assert (told.batch, told.chunk_tokens) == (true.batch, true.chunk_tokens)
        assert told.kv_tokens == pytest.approx(true.kv_tokens, rel=1e-3)


def test_code_is_faster_per_token_and_its_promise_leaves_less_of_that():
    """Nearly all of it is prompt, faster per token than decoding; but some prompts are far longer than most."""
    chat, code = instance(), Instance(BASE, A100, CODE)
    tokens = [one.request.prompt_tokens + one.request.output_tokens for one in (chat, code)]
    most = [n * one.latency.saturated_requests_per_s for n, one in zip(tokens, (chat, code), strict=True)]
    assert most[1] > most[0]
    assert code.goodput_tokens_per_s / most[1] < chat.goodput_tokens_per_s / most[0]


def test_an_unknown_model_is_named():
    """A table of another model family needs a row here first."""
    with pytest.raises(NotFound, match="gpt-9"):
        _ = instance(model="gpt-9").quality


def test_the_committed_table_is_what_the_plant_measures(repository):
    """Rewritten by python -m tapas_opt.plant.demo_data."""
    assert read_profiles(repository / "data" / "demo" / "profiles.csv") == measure_profiles(A100, "dgx-a100", 1)


def test_the_table_holds_what_fits_and_nothing_twice():
    """70B in fp16 needs 138 GB: not on two GPUs of 80 GB."""
    profiles = measure_profiles(A100, "dgx-a100", 1)
    names = [profile.configuration.name for profile in profiles]
    assert 60 <= len(names) == len(set(names)) <= 110
    assert "llama2-70b-fp16-tp8-b64-f1410" in names
    assert not [name for name in names if name.startswith("llama2-70b-fp16-tp2")]
    assert max(profile.gpu_memory_gb for profile in profiles) < 80.0
    assert {profile.configuration.frequency_mhz for profile in profiles} == {1410.0, 1200.0, 990.0, 795.0}


def test_another_hardware_has_its_own_clocks_and_powers():
    """H100: idle with a context about 106 W, and never above its 700 W."""
    profiles = measure_profiles(HARDWARE["dgx-h100"], "dgx-h100", 1)
    assert {profile.configuration.frequency_mhz for profile in profiles} == {1980.0, 1680.0, 1380.0, 1125.0}
    assert all(70.0 < p.gpu_power_w[0] < p.hottest_gpu_power_w[2] <= 710.0 for p in profiles)


def test_speed_and_power_agree_with_splitwise_within_a_factor_of_two(dataset):
    """Llama 2 70B on A100: mean power of a run of 512 + 128 tokens at batch 16, prefill and decode times alone."""
    table = pd.read_csv(dataset("splitwise-perf-model/perf_model.csv.gz"))
    table = table[(table.model == "llama2-70b") & (table.hardware == "a100-80gb") & (table.token_size == 128)]
    for parallel in (2, 4, 8):
        rows = table[(table.tensor_parallel == parallel) & (table.prompt_size == 512)]
        batch, alone = rows[rows.batch_size == 16], rows[rows.batch_size == 1]
        c = replace(BASE, tensor_parallel=parallel, replicas=1, batch=16)
        ours = Instance(c, A100, RequestMix.of([512.0], [128.0]))
        assert ours.gpu_powers_w(1.0).max() == within_a_factor_of_two(400.0 * batch.average_power.mean())
        assert 512.0 / ours.prefill_tokens_per_s == within_a_factor_of_two(alone.prompt_time.mean() / 1e3)
        assert float(ours.decode_step_s(1)) == within_a_factor_of_two(alone.token_time.mean() / 1e3)


def test_power_agrees_with_ml_energy_within_a_factor_of_two(dataset):
    """CodeLlama 7B and 13B on two A100 under vLLM with batches of 64, which are shaped as Llama 2."""
    table = pd.read_csv(dataset("mlenergy-llm-profiles/v2_a100_h100.csv.gz"))
    table = table[table.gpu_model.str.contains("A100") & (table.tensor_parallel == 2)]
    for name, model in (("CodeLlama-7b", "llama2-7b"), ("CodeLlama-13b", "llama2-13b")):
        rows = table[table.model_id.str.contains(name) & table.max_batch_size.between(32, 128)]
        c = replace(BASE, model=model, tensor_parallel=2)
        ours = Instance(c, A100, RequestMix.of([150.0], [97.0])).gpu_powers_w(1.0).max()
        assert ours == within_a_factor_of_two(float((rows.avg_power_watts_derived / 2).mean()))


def test_power_by_clock_agrees_with_measured_sweeps(dataset):
    """Perseus/Zeus on A100: relative power of forward passes; 16 % of it is taken as idle power."""
    table = pd.read_csv(dataset("zeus-clock-sweeps/clock_sweeps.csv.gz"))
    table = table[(table.gpu == "a100_sxm") & (table.instruction == "forward")]
    power = table.groupby("frequency").power_w_derived.mean()
    for mhz in (855, 990, 1200):
        measured = float(power[mhz] / power[1410])
        assert 0.16 + 0.84 * float(clock_power_frac(mhz / 1410.0)) == pytest.approx(measured, abs=0.06)


def test_prefill_by_clock_agrees_with_measured_sweeps(dataset):
    """Perseus/Zeus on A100: relative time of forward passes, the nearest public stand-in for reading prompts."""
    table = pd.read_csv(dataset("zeus-clock-sweeps/clock_sweeps.csv.gz"))
    table = table[(table.gpu == "a100_sxm") & (table.instruction == "forward")]
    time = table.groupby("frequency").time.mean()
    for mhz in (855, 990, 1200):
        assert prefill_speed_frac(mhz / 1410.0) == pytest.approx(float(time[1410] / time[mhz]), abs=0.06)


def within_a_factor_of_two(value: float) -> object:
    return pytest.approx(1.25 * value, abs=0.75 * value)
