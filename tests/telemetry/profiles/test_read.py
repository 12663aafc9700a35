"""Public measurements as profiles: made-up sheets worked by hand, and the real ones where they are at hand."""

from __future__ import annotations

import os
import runpy
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tapas_opt.domain.configuration import read_profiles as read_table
from tapas_opt.domain.configuration import write_profiles
from tapas_opt.errors import InvalidInput
from tapas_opt.serving.latency import LatencyTable
from tapas_opt.serving.mix import CONVERSATION
from tapas_opt.serving.pace import Pace
from tapas_opt.telemetry.profiles import mlenergy, splitwise
from tapas_opt.telemetry.profiles.measured import size_quality
from tapas_opt.telemetry.profiles.read import read_profiles

V3_ROW = {
    "task": "lm-arena-chat",
    "nickname": "Llama 3.1 70B Instruct",
    "gpu_model": "H100",
    "weight_precision": "bfloat16",
    "num_gpus": 4,
    "total_params_billions": 70.0,
    "activated_params_billions": 70.0,
    "avg_batch_size": 8.0,
    "max_num_seqs": 8,
    "avg_output_len": 350.0,
    "avg_power_watts": 1_800.0,
    "median_itl_ms": 16.0,
}
"""As published; further columns are left alone."""

V2_ROW = {
    "task": "chat",
    "model_id": "meta-llama/Meta-Llama-3.1-8B-Instruct",
    "gpu_model": "NVIDIA A100-SXM4-40GB",
    "tensor_parallel": 1,
    "pipeline_parallel": 1,
    "avg_tpot_s": 0.025,
    "avg_output_tokens": 300.0,
    "avg_batch_size": 32.0,
    "max_batch_size": 32,
    "avg_power_watts_derived": 250.0,
}

RUN = {
    "model": "llama2-70b",
    "hardware": "a100-80gb",
    "tensor_parallel": 8,
    "prompt_size": 512,
    "batch_size": 1,
    "token_size": 128,
    "prompt_time": 90.0,
    "token_time": 45.0,
    "peak_power": 0.9,
    "average_power": 0.45,
}


@pytest.fixture
def v3(tmp_path):
    """A folder with these rows of ML.ENERGY's third version."""

    def write(*changes):
        pd.DataFrame([V3_ROW | change for change in changes]).to_csv(tmp_path / mlenergy.V3, index=False)
        return tmp_path

    return write


@pytest.fixture
def v2(tmp_path):
    """A folder with these rows of its second version."""

    def write(*changes):
        pd.DataFrame([V2_ROW | change for change in changes]).to_csv(tmp_path / mlenergy.V2, index=False)
        return tmp_path

    return write


@pytest.fixture
def runs(tmp_path):
    """A folder with these runs of Splitwise, and prompts that take 30 ms and 0.12 ms a token."""

    def write(*changes):
        prompts = [{"prompt_size": n, "prompt_time": 30.0 + 0.12 * n} for n in (512, 1_024, 2_048)]
        pd.DataFrame([RUN | change for change in (*prompts, *changes)]).to_csv(tmp_path / splitwise.FILE, index=False)
        return tmp_path

    return write


def top(profiles):
    """Those at the highest clock."""
    most = {one.hardware: 0.0 for one in profiles}
    for one in profiles:
        most[one.hardware] = max(most[one.hardware], one.configuration.frequency_mhz)
    return [one for one in profiles if one.configuration.frequency_mhz == most[one.hardware]]


def test_measurements_become_the_table_that_all_else_reads(v3, tmp_path):
    """Two replicas of four GPUs; written and read again it is the same."""
    profiles = read_profiles(v3({}, {"max_num_seqs": 32, "avg_batch_size": 32.0, "median_itl_ms": 20.0}))
    assert {one.hardware for one in profiles} == {"dgx-h100"}
    assert {one.configuration.replicas for one in profiles} == {2}
    assert [one.configuration.name for one in top(profiles)] == [
        "llama-3.1-70b-instruct-bfloat16-tp4-b8-f1980",
        "llama-3.1-70b-instruct-bfloat16-tp4-b32-f1980",
    ]
    write_profiles(tmp_path / "table.csv", profiles)
    assert read_table(tmp_path / "table.csv") == profiles == read_profiles(tmp_path / "table.csv")


def test_time_between_tokens_is_the_chord_through_two_batches(v3):
    """16 ms at 8, 20 ms at 24: 0.25 ms a sequence, so 14 ms without any."""
    slower = {"max_num_seqs": 24, "avg_batch_size": 24.0, "median_itl_ms": 20.0}
    small, large = top(read_profiles(v3({}, slower)))
    assert large.tbt_s == pytest.approx(0.014)
    assert small.tbt_s == pytest.approx(0.016), "of one batch alone nothing is known of fewer"


def test_power_is_the_batchs_and_the_prompts_by_their_time(v3):
    """450 W a GPU at every batch, 700 W while reading: at full load between the two, idle with a context 122 W."""
    profile = top(read_profiles(v3({})))[0]
    waiting, half, full = profile.gpu_power_w
    assert waiting == 122.0
    assert 250.0 < half < full
    assert 430.0 < full < 600.0
    assert profile.hottest_gpu_power_w[2] == pytest.approx(1.04 * full, abs=0.1)


def test_power_at_a_load_is_that_of_each_share_of_time(v3):
    """122 W waiting, 450 W decoding at any batch, 700 W reading: by what the latency table has of each."""
    profile = top(read_profiles(v3({})))[0]
    table, mean = LatencyTable.of(Pace.of(profile), CONVERSATION), CONVERSATION.mean
    requests = profile.goodput_tokens_per_s / 2 / (mean.prompt_tokens + mean.output_tokens)
    busy, read = (float(table.by_load(column, requests)) for column in (table.at.busy_frac, table.at.read_frac))
    assert 0.05 < read < busy < 1.0
    assert profile.gpu_power_w[2] == pytest.approx(122.0 + (busy - read) * 328.0 + read * 578.0, abs=0.5)


def test_the_second_version_is_read_too(v2):
    """8B on one A100: prompts at half of 312 TFLOP/s, 2 · 8·10⁹ a token; watts and seconds as they stand."""
    profile = top(read_profiles(v2({})))[0]
    assert profile.configuration.name == "meta-llama-3.1-8b-instruct-bfloat16-tp1-b32-f1410"
    assert (profile.hardware, profile.configuration.replicas, profile.gpu_memory_gb) == ("dgx-a100", 8, 40.0)
    assert profile.prefill_tokens_per_s == pytest.approx(0.5 * 312e12 / 16e9)
    assert profile.tbt_s == pytest.approx(0.025)
    assert 200.0 < profile.gpu_power_w[2] < 400.0


def test_watts_are_of_all_gpus_and_only_active_experts_read(v2):
    """Mixtral 8x7B on four: 1,000 W are 250 each; of 46.7·10⁹ parameters 12.9 are active."""
    change = {"model_id": "mistralai/Mixtral-8x7B-Instruct-v0.1", "tensor_parallel": 4, "avg_power_watts_derived": 1e3}
    profile = top(read_profiles(v2(change)))[0]
    assert profile.prefill_tokens_per_s == pytest.approx(4 * 0.5 * 312e12 / 25.8e9, rel=1e-5)
    assert profile.gpu_power_w[1] < 330.0, "between 250 W decoding and 400 W reading"
    assert profile.reload_s == pytest.approx(20.0 + 2 * 46.7 / 14.0, abs=0.1)


def test_pipelines_and_code_are_left_out(v2):
    others = {"pipeline_parallel": 2}, {"task": "code"}
    assert {one.configuration.batch for one in read_profiles(v2({}, *others))} == {32}
    with pytest.raises(InvalidInput, match="holds nothing that fits into a server"):
        read_profiles(v2(*others))


def test_lower_clocks_are_slower_cooler_and_there(v3):
    fast, slow = (read_profiles(v3({}))[i] for i in (0, 2))
    assert slow.configuration.frequency_mhz == pytest.approx(0.7 * fast.configuration.frequency_mhz, abs=8)
    assert slow.goodput_tokens_per_s < fast.goodput_tokens_per_s
    assert slow.gpu_power_w[2] < 0.85 * fast.gpu_power_w[2]
    assert slow.tbt_s < 1.1 * fast.tbt_s, "decoding waits for memory"


def test_what_a_server_cannot_hold_or_nobody_could_promise_is_left_out(v3):
    """Sixteen GPUs; and a batch at which one step alone breaks five times the unloaded one."""
    huge = {"max_num_seqs": 1_024, "avg_batch_size": 1_000.0, "median_itl_ms": 400.0}
    profiles = read_profiles(v3({}, huge, {"nickname": "Wide", "num_gpus": 16}, {"nickname": "Other", "task": "gpqa"}))
    assert {one.configuration.batch for one in profiles} == {8}
    assert {one.configuration.model for one in profiles} == {"llama-3.1-70b-instruct"}


def test_splitwise_tells_prompts_as_well(runs):
    """0.12 ms a token: 8,333 tokens per second. Full load draws between 180 W, decoding, and 360 W, reading."""
    profile = top(read_profiles(runs({"batch_size": 16, "token_time": 50.0})))[0]
    assert profile.configuration.name == "llama2-70b-fp16-tp8-b16-f1410"
    assert profile.prefill_tokens_per_s == pytest.approx(8_333.3, abs=0.1)
    assert profile.tbt_s == pytest.approx(0.045 - 0.005 / 15, abs=1e-5)
    assert 180.0 < profile.gpu_power_w[2] < 300.0


def test_h100_without_power_takes_the_simulators_and_capped_ones_are_left_out(runs):
    missing = {"peak_power": 0.0, "average_power": 0.0}
    h100 = [
        RUN | missing | {"hardware": hardware, "batch_size": batch, "prompt_size": size}
        for hardware in ("h100-80gb", "h100-80gb-pcap")
        for batch, size in ((1, 512), (1, 1_024), (16, 512))
    ]
    for row in h100:
        row["prompt_time"] = 20.0 + 0.06 * row["prompt_size"]
    profiles = top(read_profiles(runs({"batch_size": 16}, *h100)))
    assert [one.hardware for one in profiles] == ["dgx-a100", "dgx-h100"]
    assert 380.0 < profiles[1].gpu_power_w[2] < 700.0


def test_every_bad_cell_is_named_by_line_and_column(v3):
    with pytest.raises(InvalidInput) as refused:
        read_profiles(v3({}, {"avg_power_watts": -5.0, "gpu_model": "H900"}, {"median_itl_ms": "soon"}))
    assert sorted(fault.where for fault in refused.value.faults) == [
        "line 3, column avg_power_watts",
        "line 3, column gpu_model",
        "line 4, column median_itl_ms",
    ]


def test_missing_columns_empty_tables_and_unknown_folders_are_refused(v3, tmp_path):
    folder = v3({})
    sheet = pd.read_csv(folder / mlenergy.V3).drop(columns=["num_gpus", "task"])
    sheet.to_csv(folder / mlenergy.V3, index=False)
    with pytest.raises(InvalidInput, match=r"(?s)column task: is missing.*column num_gpus: is missing"):
        read_profiles(folder)
    (folder / mlenergy.V3).write_bytes(b"\x1f\x8b no gzip")
    with pytest.raises(InvalidInput, match="cannot be read"):
        read_profiles(folder)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InvalidInput, match="holds none of"):
        read_profiles(tmp_path / "empty")


def test_a_folder_is_turned_into_a_table_by_a_command(v3, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["profiles", str(v3({})), str(tmp_path / "table.csv")])
    runpy.run_module("tapas_opt.telemetry.profiles", run_name="__main__")
    assert capsys.readouterr().out == "3 profiles\n"
    assert len(read_table(tmp_path / "table.csv")) == 3


def test_quality_by_size_is_that_of_the_models_we_know():
    assert [size_quality(n, "bf16") for n in (7e9, 70e9, 400e9)] == [0.8, 1.0, 1.0]
    assert size_quality(70e9, "fp8") == 0.99


@pytest.fixture
def real(repository):
    """A folder of the public data sets, which the project reads where they are found and never ships."""
    folder = Path(os.environ.get("TAPAS_DATA_DIR", repository.parent / "shared" / "datasets"))

    def find(name):
        if not (folder / name).exists():
            pytest.skip(f"{name} is not in {folder}; set TAPAS_DATA_DIR")
        return folder / name

    return find


def test_our_own_table_has_the_trends_of_splitwise(real, repository, tmp_path):
    """Llama 2 70B in fp16 on A100: what is in both differs by less than a factor of two in each figure."""
    sheet = pd.read_csv(real("splitwise-perf-model") / splitwise.FILE)
    sheet[(sheet.model == "llama2-70b") & (sheet.hardware == "a100-80gb")].to_csv(
        tmp_path / splitwise.FILE, index=False
    )
    ours = {one.configuration.name: one for one in read_profiles(repository / "data" / "demo" / "profiles.csv")}
    pairs = [(ours[one.configuration.name], one) for one in read_profiles(tmp_path) if one.configuration.name in ours]
    assert len(pairs) >= 3
    for name in ("goodput_tokens_per_s", "ttft_s", "tbt_s", "prefill_tokens_per_s"):
        ratio = np.array([getattr(mine, name) / getattr(theirs, name) for mine, theirs in pairs])
        assert (np.abs(np.log2(ratio)) < 1.0).all(), (name, ratio)
    power = np.array([mine.gpu_power_w[2] / theirs.gpu_power_w[2] for mine, theirs in pairs])
    assert (np.abs(np.log2(power)) < 1.0).all()


def test_real_rows_of_ml_energy_can_be_read(real, tmp_path):
    """One model on both GPUs: a larger batch carries more until the promise stops it, and draws more."""
    sheet = pd.read_csv(real("mlenergy-llm-profiles") / mlenergy.V3)
    sheet[sheet.nickname == "Llama 3.1 70B Instruct"].to_csv(tmp_path / mlenergy.V3, index=False)
    profiles = top(read_profiles(tmp_path))
    assert {one.hardware for one in profiles} == {"dgx-h100", "dgx-b200"}
    for hardware in ("dgx-h100", "dgx-b200"):
        some = {one.configuration.batch: one for one in profiles if one.hardware == hardware}
        assert some[64].goodput_tokens_per_s > 2.0 * some[8].goodput_tokens_per_s
        assert some[64].gpu_power_w[2] > some[8].gpu_power_w[2]
        assert max(some) <= 512
