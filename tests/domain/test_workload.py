"""VMs, endpoints and requests."""

from __future__ import annotations

import pytest
from pydantic import TypeAdapter

from tapas_opt.domain.fields import field_faults
from tapas_opt.domain.workload import Endpoint, RequestClass, Slo, Vm, VmKind


def test_iaas_is_predicted_by_its_tenant_and_saas_by_its_endpoint():
    """The operator knows what a SaaS VM serves, and of an IaaS VM only whose it is."""
    assert Vm("v1", VmKind.IAAS, "acme").template == "acme"
    assert Vm("v2", VmKind.SAAS, "operator", endpoint="chat").template == "chat"


@pytest.mark.parametrize(
    ("vm", "slowed"),
    [
        pytest.param(Vm("v", VmKind.SAAS, "operator", endpoint="chat"), True, id="saas"),
        pytest.param(Vm("v", VmKind.IAAS, "acme"), False, id="iaas"),
        pytest.param(Vm("v", VmKind.IAAS, "acme", capping_agreed=True), True, id="iaas that agreed"),
    ],
)
def test_nobody_is_slowed_who_did_not_agree(vm, slowed):
    """A tenant's own machine is not the operator's reserve."""
    assert vm.may_be_slowed is slowed


def test_goodput_counts_prompt_and_output_tokens():
    """One unit for profiles and for demand."""
    # 2 requests/s × (2,000 + 30) tokens
    assert RequestClass("code", 2_000, 30, requests_per_s=2.0).tokens_per_s == 4_060


def test_a_vm_from_outside_is_judged_in_full():
    """Everything wrong with a request comes back in one answer."""
    raw = {"name": "", "kind": "paas", "tenant": "a b", "priority": 11, "lifetime_s": 0, "colour": "red"}
    _, faults = field_faults(TypeAdapter(Vm), raw)
    assert {fault.where for fault in faults} == {"name", "kind", "tenant", "priority", "lifetime_s", "colour"}


def test_a_promise_kept_always_or_never_is_no_quantile():
    """An SLO at 100 % cannot be kept, one at 0 % cannot be broken."""
    for quantile in (0.0, 1.0):
        raw = {"name": "chat", "slo": {"ttft_s": 1, "tbt_s": 0.1, "quantile": quantile}, "configuration": "c"}
        _, faults = field_faults(TypeAdapter(Endpoint), raw)
        assert [fault.where for fault in faults] == ["slo.quantile"]


def test_an_slo_promises_the_99th_percentile_unless_it_says_otherwise():
    """The default that answers quote."""
    assert Slo(1.0, 0.1).quantile == 0.99
