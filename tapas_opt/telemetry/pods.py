"""GPU pods of Alibaba's cluster trace of 2023 as VMs of somewhere else: only who came and went when is taken from it.

Source: github.com/alibaba/clusterdata, ``cluster-trace-gpu-v2023/csv``; Weng et al., "Beware of Fragmentation:
Scheduling GPU-Sharing Workloads with Fragmentation Gradient Descent", USENIX ATC 2023. The repository asks for that
citation and shows no licence for this trace; tapas-opt reads it by path and ships nothing of it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tapas_opt.domain.vm_list import Lived
from tapas_opt.domain.workload import Vm, VmKind
from tapas_opt.errors import Fault, InvalidInput

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["is_pods", "read_pods"]

COLUMNS = ("name", "num_gpu", "qos", "creation_time", "deletion_time", "scheduled_time")
_TELLING = ("num_gpu", "qos")
_NUMBERS = ("num_gpu", "creation_time", "deletion_time", "scheduled_time")


def is_pods(path: Path) -> bool:
    """Whether a file is such a table, by columns of its header that no list of ours has; False if it cannot be read."""
    import pandas as pd  # noqa: PLC0415  slow to import

    try:
        return set(_TELLING) <= set(pd.read_csv(path, nrows=0).columns)
    except (OSError, EOFError, ValueError):
        return False


def read_pods(path: Path, from_s: float, until_s: float, shortest_s: float) -> tuple[Lived, ...]:
    """Read the pods that had a GPU, their last creation moved to ``until_s``.

    Each becomes an opaque VM that takes a whole server, since power is measured by server; best-effort pods (``BE``)
    are spot VMs. A pod asks when it was created and lives for as long as it ran once it was scheduled.

    Parameters
    ----------
    from_s, until_s
        The days that are replayed; of the others none is returned.
    shortest_s
        Those that lived less are left out.

    Raises
    ------
    InvalidInput
        Listing columns that are missing or hold no number; or if no pod lives in these days.
    """
    import pandas as pd  # noqa: PLC0415  slow to import

    table = pd.read_csv(path)
    faults = [Fault(f"column {name}", "is missing") for name in COLUMNS if name not in table]
    faults += [
        Fault(f"column {name}", "must hold numbers only")
        for name in _NUMBERS
        if name in table and len(table) and not pd.api.types.is_numeric_dtype(table[name])
    ]
    if faults:
        raise InvalidInput(str(path), faults)
    lives = list(_lives(table, until_s))
    found = tuple(one for one in lives if one.deleted_s - one.created_s >= shortest_s and one.deleted_s > from_s)
    if not found:
        raise InvalidInput.one(str(path), "pods", f"none with a GPU lived {shortest_s:g} s or more in these days")
    return found


def _lives(table: pd.DataFrame, until_s: float) -> list[Lived]:
    """Pods that ran on GPUs, in the order in which they were created; times before 0 become 0."""
    ran = table[(table.num_gpu > 0) & table.scheduled_time.notna() & (table.deletion_time > table.scheduled_time)]
    ran = ran.sort_values(["creation_time", "name"], kind="stable")
    if ran.empty:
        return []
    move_s = until_s - float(ran.creation_time.max())
    created = np.asarray(ran.creation_time, dtype=np.float64) + move_s
    lived_s = np.asarray(ran.deletion_time - ran.scheduled_time, dtype=np.float64)
    return [
        Lived(_vm(name, qos), None, max(0.0, at), max(0.0, at + life))
        for name, qos, at, life in zip(
            ran["name"].astype(str), ran.qos, created.tolist(), lived_s.tolist(), strict=True
        )
    ]


def _vm(name: str, qos: object) -> Vm:
    return Vm(name, VmKind.IAAS, f"pods-{qos}", spot=qos == "BE")
