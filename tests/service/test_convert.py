"""What comes in is judged in full; what goes out comes back the same."""

import pytest
from pydantic import TypeAdapter

from tapas_opt.api.v1 import common_pb2, placement_service_pb2
from tapas_opt.domain.failure import Failure, FailureKind, FailureSource
from tapas_opt.domain.workload import Group, SpreadOver, Vm, VmKind
from tapas_opt.errors import InvalidInput
from tapas_opt.service import convert

BUSY = Vm("v1", VmKind.SAAS, "acme", "chat", "llama", ("A100", "H100"), "replicas", 9, True, True, 3_600.0)


@pytest.mark.parametrize(
    ("message", "value"),
    [
        (common_pb2.Vm(), BUSY),
        (common_pb2.Vm(), Vm("v1", VmKind.IAAS, "acme")),
        (common_pb2.Group(), Group("replicas", SpreadOver.UPS_PAIR, 2, True)),
        (common_pb2.Group(), Group("anywhere")),
        (common_pb2.Failure(), Failure(FailureKind.ROOM_AIRFLOW, "room1", 0.9, FailureSource.INFERRED, 5.0, 300.0)),
    ],
)
def test_a_value_comes_back_from_its_message_unchanged(message, value):
    assert TypeAdapter(type(value)).validate_python(convert.plain(convert.fill(message, value))) == value


def test_all_faults_of_a_request_are_listed_at_once():
    """A caller who has to fix one fault a round trip gives up."""
    message = placement_service_pb2.PlaceVmsRequest(
        request_id="not-a-uuid",
        vms=[common_pb2.Vm(name="a b", kind="VM_KIND_IAAS", tenant="acme"), common_pb2.Vm(name="b", priority=11)],
        groups=[common_pb2.Group(name="g", max_per_place=0), common_pb2.Group(name="g")],
    )
    request = convert.Request(message)
    request.mutation()
    request.vms(message.vms)
    request.groups(message.groups)
    with pytest.raises(InvalidInput) as caught:
        request.done()
    assert [fault.where for fault in caught.value.faults] == [
        "request_id",
        "vms[0].name",
        "vms[1].kind",
        "vms[1].tenant",
        "vms[1].priority",
        "groups[0].max_per_place",
        "groups[1].name",
    ]


def test_an_enum_value_of_a_newer_client_is_a_fault_and_not_a_crash():
    message = placement_service_pb2.PlaceVmsRequest(vms=[common_pb2.Vm(name="a", kind=77, tenant="acme")])
    request = convert.Request(message)
    request.vms(message.vms)
    with pytest.raises(InvalidInput, match=r"vms\[0\].kind: '77'"):
        request.done()
