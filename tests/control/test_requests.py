"""Everything that is wrong with a request is said at once, each fault by its field."""

import pytest

from tapas_opt.control import events as happened
from tapas_opt.control.requests import endpoint_faults, placed_faults, vm_faults
from tapas_opt.domain.workload import Endpoint, Group, Slo, Vm, VmKind


@pytest.fixture
def faults(controller, profiles):
    """``faults(vms, groups)`` as texts."""
    return lambda vms, groups=(): [str(fault) for fault in vm_faults(controller.fleet, profiles, vms, groups)]


@pytest.fixture
def placed(controller, profiles):
    """``placed({"v1": "S1"})``: faults of IaaS VMs said to run on servers."""

    def judged(pairs, leaving=()):
        on = [happened.VmOnServer(Vm(name, VmKind.IAAS, "acme"), server) for name, server in pairs]
        return [str(fault) for fault in placed_faults(controller.fleet, profiles, on, (), leaving)]

    return judged


def test_a_sound_batch_has_no_faults(faults, iaas, saas):
    """Opaque VMs and instances side by side, in a group that comes along."""
    assert faults([*iaas(2, group="g1"), *saas(2, gpu_models=("A100",))], [Group("g1")]) == []


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({"kind": VmKind.SAAS}, "vms[0].endpoint: is missing; a SaaS VM serves an endpoint"),
        ({"endpoint": "conv"}, "vms[0].endpoint: 'conv': an IaaS VM serves none; leave it out or set kind saas"),
        (
            {"kind": VmKind.SAAS, "endpoint": "chess"},
            "vms[0].endpoint: 'chess': no such endpoint; known are conv",
        ),
        ({"gpu_models": ("H100",)}, "vms[0].gpu_models: 'H100': the site has A100"),
        ({"group": "g9"}, "vms[0].group: 'g9': no such group; send it along with the VMs"),
    ],
)
def test_a_field_that_is_wrong_is_named_with_what_is_right(faults, fields, fault):
    """So that whoever asked can mend it without reading the manual."""
    assert faults([Vm(**{"name": "v1", "kind": VmKind.IAAS, "tenant": "acme", **fields})]) == [fault]


def test_a_configuration_without_a_profile_is_refused(faults, saas, profiles):
    """Nobody knows what it would draw."""
    (fault,) = faults(saas(1, configuration="gpt-9"))
    assert fault.startswith("vms[0].configuration: 'gpt-9': has no profile; profiled are ")
    (fault,) = map(str, endpoint_faults(Endpoint("e", Slo(1.0, 0.1), "gpt-9"), profiles))
    assert fault.startswith("configuration: 'gpt-9'")
    assert endpoint_faults(Endpoint("e", Slo(1.0, 0.1), profiles.all[0].configuration.name), profiles) == []


def test_names_are_taken_once(faults, iaas, run):
    """Twice in one batch, or already on a server."""
    run(iaas(1))
    assert faults(iaas(1)) == ["VM i0: already exists on R1-K1-S1; names are unique"]
    assert faults(iaas(1, name="twin") * 3) == ["VM twin: is named 3 times in one request"]


def test_all_faults_of_a_batch_are_listed(faults, iaas, saas):
    """Three VMs with a fault or two each: whoever mends them asks once more, not four times."""
    batch = [*iaas(1, gpu_models=("H100",), group="g9"), *saas(1, endpoint="chess"), *saas(1, name="c0")]
    assert [fault.split(":")[0] for fault in faults(batch)] == [
        "vms[0].gpu_models",
        "vms[0].group",
        "vms[1].endpoint",
        "VM c0",
    ]


def test_an_endpoint_that_nobody_made_yet_is_said_so(make, profiles, saas):
    """``known are none`` and not an empty list."""
    (fault,) = vm_faults(make().fleet, profiles, saas(1), ())
    assert str(fault).endswith("no such endpoint; known are none")


def test_a_vm_can_only_run_on_a_free_server_that_exists(placed, iaas, run):
    """Unknown, held by a VM that stays, and named twice in one list."""
    run(iaas(1))
    assert placed([("v1", "R9"), ("v2", "R1-K1-S1"), ("v3", "R1-K1-S2"), ("v4", "R1-K1-S2")]) == [
        "vms[0].server: 'R9': is no server of site demo",
        "vms[1].server: 'R1-K1-S1': already holds VM 'i0'",
        "vms[3].server: 'R1-K1-S2': already holds VM 'v3'",
    ]


def test_who_leaves_makes_room(placed, iaas, run):
    """Its server and its name are free in the same breath."""
    run(iaas(1))
    assert placed([("v1", "R1-K1-S1"), ("i0", "R1-K1-S2")], leaving={"i0"}) == []
