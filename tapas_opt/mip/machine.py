"""How much of this machine the process may use."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

__all__ = ["cores", "memory_bytes", "worker_memory_bytes"]

WORKER_SHARE = 0.5
"""Of the machine's memory, for each process of a worker: more would leave the server nothing."""

WORKER_LEAST_BYTES = 2**31
"""Address space is no memory: a solver's libraries and threads alone map most of a gigabyte."""


def cores(root: Path = Path("/")) -> int:
    """Count the CPUs that this process may really use: the affinity mask, cut by the cgroup's quota.

    More solver threads than this make a solve worse, not faster: eight CP-SAT workers on two cores
    found 19,652 where the optimum was 1,518.

    Parameters
    ----------
    root
        Where ``proc`` and ``sys`` are mounted.
    """
    allowed = float(len(os.sched_getaffinity(0))) if hasattr(os, "sched_getaffinity") else float(os.cpu_count() or 1)
    return max(1, int(min([allowed, *_quotas(root)])))


def memory_bytes(root: Path = Path("/")) -> int:
    """Memory that this process may really use: the machine's, cut by the cgroup's limit.

    Parameters
    ----------
    root
        Where ``proc`` and ``sys`` are mounted.
    """
    return min([_physical_bytes(), *_memory_limits(root)])


def worker_memory_bytes(root: Path = Path("/")) -> int:
    """Default cap of the address space of a worker's process."""
    return max(WORKER_LEAST_BYTES, int(WORKER_SHARE * memory_bytes(root)))


def _physical_bytes() -> int:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _memory_limits(root: Path) -> Iterator[int]:
    for folder in _cgroup_folders(root, "memory"):
        for file in ("memory.max", "memory.limit_in_bytes"):
            limit = _text(folder / file).strip()
            if limit.isdigit():  # no limit reads "max", or in the old cgroups a number beyond any machine
                yield int(limit)


def _quotas(root: Path) -> Iterator[float]:
    for folder in _cgroup_folders(root, "cpu"):
        yield from _quota_v2(folder / "cpu.max")
        yield from _quota_v1(folder / "cpu.cfs_quota_us", folder / "cpu.cfs_period_us")


def _cgroup_folders(root: Path, controller: str) -> Iterator[Path]:
    """The group's folder and all above it, for each hierarchy: a quota anywhere on the way binds."""
    mounts = root / "sys/fs/cgroup"
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        group = PurePosixPath(path.lstrip("/"))
        for mount in (mounts / controllers, mounts / controller, mounts / "unified", mounts):
            if not controllers or controller in controllers.split(","):
                yield from (mount / part for part in (group, *group.parents))


def _quota_v2(file: Path) -> Iterator[float]:
    quota, _, period = _text(file).strip().partition(" ")
    if quota.isdigit() and period.isdigit():
        yield int(quota) / int(period)


def _quota_v1(quota_file: Path, period_file: Path) -> Iterator[float]:
    quota, period = _text(quota_file).strip(), _text(period_file).strip()
    if quota.isdigit() and period.isdigit():  # no quota reads -1
        yield int(quota) / int(period)


def _text(file: Path) -> str:
    try:
        return file.read_text()
    except OSError:
        return ""
