"""Pods of a public trace as VMs: when they came and how long they ran."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tapas_opt.errors import InvalidInput
from tapas_opt.telemetry.pods import is_pods, read_pods

HEADER = (
    "name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec,qos,pod_phase,creation_time,deletion_time,scheduled_time\n"
)
DAY_S = 86_400.0


def test_only_pods_that_ran_on_gpus_count_and_their_last_creation_is_the_end(write):
    path = write(
        HEADER
        + "late,1,1,1,1000,,LS,Running,2000,9000,2100.0\n"
        + "early,1,1,8,1000,,BE,Running,1000,1700,1200.0\n"
        + "no-gpu,1,1,0,0,,LS,Running,1000,9000,1000.0\n"
        + "never-ran,1,1,1,1000,,LS,Pending,1500,9000,\n"
        + "too-short,1,1,1,1000,,LS,Running,1500,1600,1500.0\n"
    )
    assert is_pods(path)
    early, late = read_pods(path, 0.0, 5000.0, shortest_s=300.0)
    assert (early.vm.name, early.created_s, early.deleted_s, early.vm.spot) == ("early", 4000.0, 4500.0, True)
    assert (late.vm.name, late.created_s, late.deleted_s, late.vm.spot) == ("late", 5000.0, 11_900.0, False)
    assert late.server is None


def test_a_list_of_ours_is_no_such_table(write):
    assert not is_pods(write("vm,kind,server,created_s,deleted_s\n"))
    assert not is_pods(Path("nowhere.csv"))


def test_columns_that_are_missing_or_hold_words_are_told_at_once(write):
    path = write("name,num_gpu,qos,creation_time,deletion_time\na,one,LS,0,900\n")
    assert is_pods(path)
    with pytest.raises(InvalidInput) as error:
        read_pods(path, 0.0, 1000.0, shortest_s=300.0)
    assert [fault.where for fault in error.value.faults] == ["column scheduled_time", "column num_gpu"]
    with pytest.raises(InvalidInput, match="none with a GPU"):
        read_pods(write(HEADER), 0.0, 1000.0, shortest_s=300.0)


def test_a_table_with_no_pod_in_these_days_is_refused(write):
    path = write(HEADER + "a,1,1,1,1000,,LS,Running,0,10,0.0\n")
    with pytest.raises(InvalidInput, match="none with a GPU"):
        read_pods(path, 0.0, 1000.0, shortest_s=300.0)


def test_the_public_table_is_read(repository):
    folder = Path(os.environ.get("TAPAS_DATA_DIR", repository.parent / "shared" / "datasets"))
    path = folder / "alibaba-gpu-pods-2023" / "pods.csv.gz"
    if not path.exists():
        pytest.skip(f"alibaba-gpu-pods-2023 is not in {folder}; set TAPAS_DATA_DIR")
    lives = read_pods(path, 7 * DAY_S, 14 * DAY_S, shortest_s=300.0)
    assert len(lives) > 100
    assert all(one.deleted_s > 7 * DAY_S and one.created_s <= 14 * DAY_S for one in lives)
