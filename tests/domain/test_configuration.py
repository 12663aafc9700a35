"""Configurations, and tables of profiles."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tapas_opt.domain.configuration import Configuration, Profile, read_profiles, write_profiles
from tapas_opt.errors import InvalidInput

FULL = Configuration("70b-full", "llama-2-70b", "fp16", tensor_parallel=8, replicas=1, batch=64, frequency_mhz=1_410.0)
PROFILE = Profile(
    configuration=FULL,
    hardware="dgx-a100",
    goodput_tokens_per_s=5_000.5,
    gpu_power_w=(80.0, 250.0, 330.25),
    hottest_gpu_power_w=(85.0, 260.0, 345.0),
    quality=1.0,
    ttft_s=0.4,
    tbt_s=0.05,
    reload_s=210.0,
    gpu_memory_gb=70.0,
    prefill_tokens_per_s=7_600.0,
    step_s_per_kv_token=3.4e-08,
    kv_tokens=1_300_000.0,
    chunk_tokens=1_024,
)


@pytest.fixture
def table(tmp_path):
    """A file with two profiles."""
    path = tmp_path / "profiles.csv"
    slow = replace(PROFILE, configuration=replace(FULL, name="70b-slow", frequency_mhz=1_005.0), quality=0.98)
    write_profiles(path, [PROFILE, slow])
    return path


def test_profiles_survive_writing_and_reading(table, tmp_path):
    """A committed table is what the models use."""
    profiles = read_profiles(table)
    assert profiles[0] == PROFILE
    assert [profile.configuration.name for profile in profiles] == ["70b-full", "70b-slow"]
    write_profiles(tmp_path / "again.csv", profiles)
    assert (tmp_path / "again.csv").read_bytes() == table.read_bytes()


def test_every_bad_cell_is_named_by_line_and_column(table):
    """A table is corrected in a spreadsheet, where lines and columns are what one sees."""
    text = table.read_text()
    head, first, second = text.splitlines()
    first = first.replace(",1410.0", ",fast").replace("80|250|330.25", "80|250")
    second = second.replace(",0.98,", ",1.5,").replace("dgx-a100", "")
    table.write_text("\n".join([head, first, second]))
    with pytest.raises(InvalidInput) as refused:
        read_profiles(table)
    places = sorted(fault.where for fault in refused.value.faults)
    assert places == [
        "line 2, configuration.frequency_mhz",
        "line 2, gpu_power_w[2]",
        "line 3, hardware",
        "line 3, quality",
    ]


def test_what_was_profiled_twice_and_powers_that_cannot_be_are_refused(table):
    """Of two profiles of the same one would stand by chance; GPUs do not draw less at work than without."""
    head, first, second = table.read_text().splitlines()
    second = second.replace("80|250|330.25", "330.25|250|80")
    table.write_text("\n".join([head, first, second, first.replace("85|260|345", "70|200|300")]))
    with pytest.raises(InvalidInput) as refused:
        read_profiles(table)
    assert [(fault.where, fault.what.partition(";")[0]) for fault in refused.value.faults] == [
        ("line 3, gpu_power_w", "is less at work than without"),
        ("line 3, hottest_gpu_power_w", "is below the mean in gpu_power_w"),
        ("line 4, hottest_gpu_power_w", "is below the mean in gpu_power_w"),
        ("line 4, name", "was profiled on dgx-a100 in line 2 already"),
    ]


def test_a_missing_column_is_named_once(table):
    """Not once for every line."""
    table.write_text(table.read_text().replace("quality", "qualty", 1))
    with pytest.raises(InvalidInput, match="column quality: is missing"):
        read_profiles(table)


def test_a_table_without_profiles_is_refused(write, tmp_path):
    """No profile means no choice, and that is never meant."""
    with pytest.raises(InvalidInput, match="holds no profile"):
        read_profiles(write(""))
    with pytest.raises(InvalidInput, match="cannot be read: No such file"):
        read_profiles(tmp_path / "none.csv")


@pytest.mark.parametrize(
    ("change", "reload"),
    [
        ({"batch": 32}, False),
        ({"frequency_mhz": 1_005.0}, False),
        ({"name": "other"}, False),
        ({"model": "llama-2-13b"}, True),
        ({"precision": "fp8"}, True),
        ({"tensor_parallel": 4}, True),
        ({"replicas": 2}, True),
    ],
    ids=lambda value: "+".join(value) if isinstance(value, dict) else str(value),
)
def test_only_what_changes_the_weights_needs_a_reload(change, reload):
    """Minutes of silence against milliseconds: relief in time rests on this."""
    assert FULL.reload_needed(replace(FULL, **change)) is reload
