"""An operator's list of VMs: every fault of it at once, by its line."""

from __future__ import annotations

from math import inf

import pytest

from tapas_opt.domain.vm_list import Lived, read_vm_list, write_vm_list
from tapas_opt.domain.workload import Vm, VmKind
from tapas_opt.errors import InvalidInput

SERVERS = ("S1", "S2")
HEADER = "vm,kind,server,created_s,deleted_s,tenant,endpoint,configuration,capping_agreed\n"


def faults_of(path) -> list[str]:
    with pytest.raises(InvalidInput) as error:
        read_vm_list(path, SERVERS, 0.0, 1000.0)
    return [str(fault) for fault in error.value.faults]


def test_a_list_that_was_written_is_read_again(tmp_path):
    lives = (
        Lived(Vm("a", VmKind.IAAS, "t1", capping_agreed=True, spot=True, priority=7), "S1", 0.0, 300.5),
        Lived(Vm("b", VmKind.SAAS, "operator", endpoint="conv", configuration="c1"), "S1", 300.5, inf),
    )
    write_vm_list(tmp_path / "vms.csv", lives)
    assert read_vm_list(tmp_path / "vms.csv", SERVERS, 0.0, 1000.0) == lives


def test_what_is_not_stated_has_its_default(write):
    """An operator need not say who rents its own instances, nor when a VM that is still there will end."""
    (one,) = read_vm_list(write(HEADER + "a,saas,S1,5,,,conv,c1,\n"), SERVERS, 0.0, 1000.0)
    assert one == Lived(Vm("a", VmKind.SAAS, "operator", endpoint="conv", configuration="c1"), "S1", 5.0, inf)


def test_every_fault_is_told_at_once_by_its_line(write):
    path = write(
        HEADER
        + "a,iaas,S1,0,100,t1,,,\n"
        + "a,iaas,S1,50,80,t1,,,\n"  # listed twice, and S1 is taken until 100
        + "b,iaas,S9,0,100,t1,,,\n"
        + "c,iaas,S2,100,100,t1,,,\n"
        + "d,iaas,S2,1000,,t1,,,\n"
        + "e,saas,S2,200,300,,conv,,\n"
        + "f,iaas,S2,300,400,,,,\n"
        + "g,mainframe,S2,400,soon,t1,,,maybe\n"
        + "h,iaas,S2,500,600,t1,conv,,\n"
    )
    found = faults_of(path)
    expected = [
        "line 3, vm: 'a' is on line 2",
        "line 3, server: 'S1' ran 'a' (line 2) until 100 s",
        "line 4, server: 'S9'",
        "line 5, deleted_s: 100: must be after created_s",
        "line 6, created_s: lives outside the history",
        "line 7, configuration: is missing",
        "line 8, tenant: is missing",
        "line 9, kind:",
        "line 9, deleted_s:",
        "line 9, capping_agreed:",
        "line 10, endpoint: 'conv': an opaque VM",
    ]
    assert [text for text in expected if not any(fault.startswith(text) for fault in found)] == []
    assert len(found) == len(expected)


def test_a_list_of_another_site_and_time_has_two_faults_and_not_two_a_vm(write):
    path = write(HEADER + "a,iaas,X1,2000,2100,t1,,,\nb,iaas,X2,2000,,t1,,,\n")
    assert [fault.split(":")[0] for fault in faults_of(path)] == ["column server", "column created_s"]


def test_a_row_that_is_longer_than_the_header_is_told_by_its_line(write):
    assert faults_of(write(HEADER + "a,iaas,S1,0,100,t1,,,,surplus\n")) == [
        "line 2: has more cells than there are columns"
    ]


def test_a_server_that_changes_hands_within_a_moment_is_not_shared(write):
    lives = read_vm_list(write(HEADER + "b,iaas,S1,100,,t1,,,\na,iaas,S1,0,100,t1,,,\n"), SERVERS, 0.0, 1000.0)
    assert [one.vm.name for one in lives] == ["b", "a"]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("vm,kind,server\na,iaas,S1\n", "column created_s: is missing"),
        (HEADER.replace("tenant", "tennant") + "a,iaas,S1,0,1,t,,,\n", "column tennant: is not known"),
        (HEADER, "file: holds no VM"),
    ],
)
def test_a_table_that_is_no_list_is_refused(write, text, fault):
    assert any(found.startswith(fault) for found in faults_of(write(text)))
