"""Events are what the journal keeps: each must come back from JSON as it went in."""

import inspect
from typing import get_args

import pytest
from pydantic import ValidationError

from tapas_opt.control import events as happened
from tapas_opt.control.events import Event, events_from_json, events_to_json
from tapas_opt.domain.failure import Failure, FailureKind, FailureSource
from tapas_opt.domain.workload import Endpoint, Group, Reservation, Slo, SpreadOver, Vm, VmKind

UNION = get_args(get_args(Event)[0])
"""The classes that the journal can read."""


@pytest.fixture
def one_of_each(two_rows):
    """An event of every class, with every field given."""
    vm = Vm(
        "v1",
        VmKind.SAAS,
        "acme",
        "chat",
        "cfg",
        ("A100", "H100"),
        "g1",
        9,
        spot=True,
        capping_agreed=True,
        lifetime_s=60.0,
    )
    part = Vm("v2", VmKind.IAAS, "acme", gpus=2)
    on = (happened.VmOnServer(vm, "S1"), happened.VmOnServer(part, "S2", (4, 5)))
    failure = Failure(FailureKind.UPS, "U1", 0.25, FailureSource.PLANNED, 12.5, 600.0)
    return (
        happened.SiteApplied(two_rows),
        happened.EndpointPut(Endpoint("chat", Slo(2.0, 0.2, 0.9), "cfg", 0.8)),
        happened.GroupPut(Group("g1", SpreadOver.UPS_PAIR, 2, all_or_nothing=True, together_over=SpreadOver.ROOM)),
        happened.VmsAdopted(on),
        happened.VmsReserved(on, 1234.5),
        happened.VmsConfirmed(("v1", "v2")),
        happened.VmsReleased(("v1",), "expired"),
        happened.ReservationPut(Reservation("r1", "h100", 3, "acme", "R1", "room-1")),
        happened.ReservationRemoved("r1"),
        happened.ServerStateSet("S1", happened.ServerState.DRAINING),
        happened.FailureReported(failure),
        happened.FailureCleared("ups:U1"),
        happened.OutageScheduled(Failure(FailureKind.UPS, "U1", started_at_s=7.0)),
        happened.OutageCancelled("ups:U1"),
        happened.PlanApplied("now-1", "now", {"v1": "cfg@0.5", "v2": "parked"}, "alice", (("v1",), ("v2",))),
        happened.WaveStarted(at_s=12.0),
        happened.WaveGivenUp(("v1",)),
        happened.ConfigurationAcknowledged("v1", 3, 120.0),
        happened.ModeSet(happened.OperatingMode.SHADOW),
    )


def test_every_event_class_is_in_the_union_and_here(one_of_each):
    """A class that is missing from the union is journaled and can never be read again."""
    classes = {
        item
        for _, item in inspect.getmembers(happened, inspect.isclass)
        if item.__module__ == happened.__name__ and "kind" in getattr(item, "__dataclass_fields__", {})
    }
    assert classes == set(UNION) == {type(event) for event in one_of_each}


def test_kinds_are_different():
    """The kind is how the journal tells them apart."""
    kinds = [item.__dataclass_fields__["kind"].default for item in UNION]
    assert len(set(kinds)) == len(UNION)


def test_every_event_comes_back_from_json_as_it_went_in(one_of_each):
    """A restart brings back exactly the fleet that was."""
    assert events_from_json(events_to_json(one_of_each)) == one_of_each


@pytest.mark.parametrize(("then", "now"), [("null", ()), ('"A100"', ("A100",))])
def test_a_journal_from_when_a_vm_named_one_gpu_model_is_read(then, now):
    """What was acknowledged before an upgrade is there after it."""
    event = happened.VmsAdopted((happened.VmOnServer(Vm("v", VmKind.IAAS, "t", gpu_models=now), "s"),))
    text = events_to_json([event])
    written = "[" + ", ".join(f'"{name}"' for name in now) + "]"
    assert f'"gpu_models":{written}' in text
    assert events_from_json(text.replace(f'"gpu_models":{written}', f'"gpu_model":{then}')) == (event,)


def test_no_event_is_a_text_too():
    """A command may change nothing."""
    assert events_from_json(events_to_json(())) == ()


@pytest.mark.parametrize(
    "text",
    ["", "{}x", '{"events": [{"kind": "moon_landing"}]}', '{"events": [{"kind": "vms_confirmed"}]}', '{"events": 3}'],
)
def test_anything_else_is_refused(text):
    """Half an event believed is a fleet that never was."""
    with pytest.raises(ValidationError):
        events_from_json(text)
