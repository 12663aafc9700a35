import os

import pytest

from tapas_opt.mip.machine import cores, memory_bytes, worker_memory_bytes

ALLOWED = len(os.sched_getaffinity(0))


@pytest.fixture
def machine(tmp_path):
    """A machine whose files are those given."""

    def made(files):
        for name, text in files.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text)
        return tmp_path

    return made


def test_without_a_quota_the_affinity_mask_counts(machine):
    assert cores(machine({})) == ALLOWED


def test_a_quota_of_one_and_a_half_cores_is_one(machine):
    files = {"proc/self/cgroup": "0::/pod/app\n", "sys/fs/cgroup/pod/app/cpu.max": "150000 100000\n"}
    assert cores(machine(files)) == 1


def test_a_quota_above_binds_too(machine):
    files = {
        "proc/self/cgroup": "0::/pod/app\n",
        "sys/fs/cgroup/pod/app/cpu.max": "max 100000\n",
        "sys/fs/cgroup/pod/cpu.max": "50000 100000\n",
    }
    assert cores(machine(files)) == 1


def test_a_container_that_sees_only_its_own_group_is_bound(machine):
    files = {"proc/self/cgroup": "0::/kubepods/far/away\n", "sys/fs/cgroup/cpu.max": "100000 100000\n"}
    assert cores(machine(files)) == 1


@pytest.mark.parametrize(("quota", "expected"), [("100000", 1), ("-1", ALLOWED)])
def test_the_old_cgroups_bind_too(machine, quota, expected):
    files = {
        "proc/self/cgroup": "3:memory:/box\n4:cpu,cpuacct:/box\n",
        "sys/fs/cgroup/cpu,cpuacct/box/cpu.cfs_quota_us": f"{quota}\n",
        "sys/fs/cgroup/cpu,cpuacct/box/cpu.cfs_period_us": "100000\n",
    }
    assert cores(machine(files)) == expected


MACHINE_BYTES = memory_bytes()


def test_without_a_limit_the_machines_memory_counts(machine):
    files = {"proc/self/cgroup": "0::/pod\n", "sys/fs/cgroup/pod/memory.max": "max\n"}
    assert memory_bytes(machine(files)) >= MACHINE_BYTES


@pytest.mark.parametrize(
    ("line", "file"),
    [("0::/pod/app", "pod/memory.max"), ("3:memory:/box", "memory/box/memory.limit_in_bytes")],
)
def test_a_limit_of_the_group_or_of_one_above_it_binds(machine, line, file):
    """A process that takes more is killed by the kernel, and with it all that it held."""
    files = {"proc/self/cgroup": f"{line}\n", f"sys/fs/cgroup/{file}": f"{600 * 2**20}\n"}
    assert memory_bytes(machine(files)) == 600 * 2**20


def test_a_worker_gets_a_share_and_enough_to_load_a_solver(machine):
    assert worker_memory_bytes() == max(2**31, MACHINE_BYTES // 2)
    files = {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": f"{2**20}\n"}
    assert worker_memory_bytes(machine(files)) == 2**31
