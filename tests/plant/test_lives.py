"""The list of VMs beside a generated history."""

from __future__ import annotations

from math import inf

import numpy as np
import pyarrow.parquet as pq

from tapas_opt.domain.topology import topology_of
from tapas_opt.domain.vm_list import read_vm_list
from tapas_opt.domain.workload import Vm, VmKind
from tapas_opt.plant.history import VM_LIST, generate_history
from tapas_opt.plant.lives import Lives

A, B = (Vm(name, VmKind.IAAS, "tenant01") for name in "ab")


def test_who_comes_and_goes_is_noted_at_the_look_that_sees_it():
    lives = Lives(("S1", "S2"))
    lives.look(60.0, [A], np.array([1]))
    lives.look(120.0, [A, B], np.array([1, 0]))
    lives.look(180.0, [B], np.array([0]))
    assert [(one.vm.name, one.server, one.created_s, one.deleted_s) for one in lives.all()] == [
        ("a", "S2", 0.0, 180.0),
        ("b", "S1", 120.0, inf),
    ]


def test_a_generated_list_says_of_every_sample_who_ran_where(two_rows, tmp_path):
    """The list and the table of VMs are two witnesses of the same days."""
    generate_history(two_rows, out=tmp_path, days=0.5, seed=3)
    servers = topology_of(two_rows).servers
    lives = {one.vm.name: one for one in read_vm_list(tmp_path / VM_LIST, servers, 0.0, 43_500.0)}
    seen = pq.read_table(tmp_path / "vms.parquet").to_pandas()
    assert set(seen.vm) <= set(lives)
    for row in seen.itertuples():
        one = lives[row.vm]
        assert one.server == row.server
        assert one.created_s <= row.t_s < one.deleted_s
    present = sum(one.created_s <= t_s < one.deleted_s for t_s in seen.t_s.unique() for one in lives.values())
    assert present == len(seen)
