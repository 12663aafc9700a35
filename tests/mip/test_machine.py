import os

import pytest

from tapas_opt.mip.machine import cores

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
