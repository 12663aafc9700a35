"""Between messages and the domain. Everything wrong with a request is found before anything is done about it."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from enum import Enum
from typing import Any, TypeVar

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from pydantic import TypeAdapter

from tapas_opt.api.v1 import common_pb2, fleet_service_pb2, site_service_pb2
from tapas_opt.control.events import OperatingMode, ServerState, VmOnServer
from tapas_opt.domain.failure import Failure
from tapas_opt.domain.fields import Name, field_faults
from tapas_opt.domain.workload import Endpoint, Group, Reservation, Vm
from tapas_opt.errors import Fault, InvalidInput
from tapas_opt.reconfiguration.problem import Stage

__all__ = ["Request", "fill", "member_name", "placed_vms", "plain"]

T = TypeVar("T")
M = TypeVar("M", bound=Message)

LONGEST_SHOWN = 80
"""Characters of a wrong name or id that are repeated to its sender."""

_IN_CAPITALS = {"DecisionMode", "DecisionStatus"}
"""Enums whose values the domain writes in capitals."""

_NAME: TypeAdapter[str] = TypeAdapter(Name)
_VM: TypeAdapter[Vm] = TypeAdapter(Vm)
_GROUP: TypeAdapter[Group] = TypeAdapter(Group)
_RESERVATION: TypeAdapter[Reservation] = TypeAdapter(Reservation)
_ENDPOINT: TypeAdapter[Endpoint] = TypeAdapter(Endpoint)
_FAILURE: TypeAdapter[Failure] = TypeAdapter(Failure)
_STAGE: TypeAdapter[Stage] = TypeAdapter(Stage)
_SERVER_STATE: TypeAdapter[ServerState] = TypeAdapter(ServerState)
_MODE: TypeAdapter[OperatingMode] = TypeAdapter(OperatingMode)


def plain(message: Message) -> dict[str, Any]:
    """Fields that are set, as mappings, lists, numbers and the domain's words for enums; what is absent is absent."""
    return {field.name: _plain_field(field, value) for field, value in message.ListFields()}


def fill(message: M, source: object) -> M:
    """Set every field of a message from the attribute of the same name; None and absent attributes stay unset."""
    for field in message.DESCRIPTOR.fields:
        value = getattr(source, field.name, None)
        if value is None:
            continue
        if field.is_repeated:
            getattr(message, field.name).extend(value)
        elif field.type == FieldDescriptor.TYPE_MESSAGE:
            fill(getattr(message, field.name), value)
        else:
            setattr(message, field.name, _number_of(field.enum_type, value) if isinstance(value, Enum) else value)
    return message


def member_name(kind: Any, number: int) -> str:
    """Name of an enum's value without its prefix: ``SOLVER`` of ``DECISION_MODE_SOLVER``."""
    value = kind.values_by_number.get(number)
    return str(number) if value is None else str(value.name).removeprefix(_prefix(kind))


def _plain_field(field: Any, value: Any) -> Any:
    if field.type == FieldDescriptor.TYPE_MESSAGE and field.message_type.GetOptions().map_entry:
        return dict(sorted(value.items()))  # on the wire a map has no order
    one = _plain_one(field)
    return tuple(one(item) for item in value) if field.is_repeated else one(value)


def _plain_one(field: Any) -> Any:
    if field.type == FieldDescriptor.TYPE_MESSAGE:
        return plain
    if field.type == FieldDescriptor.TYPE_ENUM:
        kind = field.enum_type
        return lambda number: member_name(kind, number) if kind.name in _IN_CAPITALS else _word(kind, number)
    return lambda value: value


def _word(kind: Any, number: int) -> str:
    return member_name(kind, number).lower()


def _prefix(kind: Any) -> str:
    return str(kind.values_by_number[0].name).removesuffix("UNSPECIFIED")


def _number_of(kind: Any, member: Enum) -> int:
    return int(kind.values_by_name[_prefix(kind) + member.name].number)


class Request:
    """Reads one request, collecting every fault; :meth:`done` raises them all at once.

    A value that is wrong reads as None, so that what follows it can still be judged.
    """

    def __init__(self, request: Any) -> None:
        self._request = request
        self._faults: list[Fault] = []

    def done(self) -> None:
        """Raise InvalidInput if anything was wrong."""
        if self._faults:
            raise InvalidInput(self._request.DESCRIPTOR.name, self._faults)

    def fault(self, where: str, what: str) -> None:
        """Remember something wrong."""
        self._faults.append(Fault(where, what))

    def mutation(self) -> None:
        """Judge the ``request_id`` that makes a repeated request harmless."""
        text = self._request.request_id
        try:
            uuid.UUID(text)
        except ValueError:
            self.fault(
                "request_id",
                f"{text[:LONGEST_SHOWN]!r}: must be a UUID, the same one whenever this request is repeated",
            )

    def name(self, field: str) -> str:
        """Read a name that must be given."""
        return self.read(_NAME, getattr(self._request, field) or None, field) or ""

    def names(self, field: str = "names", *, may_be_empty: bool = False) -> tuple[str, ...]:
        """Read a list of names, none of them twice."""
        found = tuple(getattr(self._request, field))
        for i, text in enumerate(found):
            self.read(_NAME, text, f"{field}[{i}]")
        if not found and not may_be_empty:
            self.fault(field, "is empty: name at least one")
        self._twice(field, found)
        return found

    def vms(self, messages: Sequence[common_pb2.Vm]) -> tuple[Vm, ...]:
        """Read a batch of VMs."""
        found = [self.vm(vm, f"vms[{i}]") for i, vm in enumerate(messages)]
        if not found:
            self.fault("vms", "is empty: give at least one VM")
        return tuple(vm for vm in found if vm is not None)

    def vm(self, message: common_pb2.Vm, where: str) -> Vm | None:
        """Read a VM."""
        return self.read(_VM, plain(message), where)

    def groups(self, messages: Iterable[common_pb2.Group]) -> tuple[Group, ...]:
        """Read groups, each once."""
        found = [self.read(_GROUP, plain(group), f"groups[{i}]") for i, group in enumerate(messages)]
        self._twice("groups", [group.name for group in messages], ".name")
        return tuple(group for group in found if group is not None)

    def endpoint(self, message: fleet_service_pb2.Endpoint) -> Endpoint:
        """Read an endpoint."""
        return self._or_fault(_ENDPOINT, plain(message), "endpoint")

    def reservation(self, message: site_service_pb2.Reservation) -> Reservation:
        """Read a reservation."""
        return self._or_fault(_RESERVATION, plain(message), "reservation")

    def failure(self, message: common_pb2.Failure, now_s: float, where: str = "failure") -> Failure:
        """Read a failure, which began now unless it says otherwise."""
        return self._or_fault(_FAILURE, {"started_at_s": now_s} | plain(message), where)

    def stage(self) -> Stage:
        """Read a stage."""
        return self._or_fault(_STAGE, plain(self._request).get("stage"), "stage")

    def server_state(self) -> ServerState:
        """Read a server's state."""
        return self._or_fault(_SERVER_STATE, plain(self._request).get("state"), "state")

    def mode(self) -> OperatingMode:
        """Read an operating mode."""
        return self._or_fault(_MODE, plain(self._request).get("mode"), "mode")

    def read(self, kind: TypeAdapter[T], raw: object, where: str) -> T | None:
        """Read ``raw``, or remember what is wrong with it, below ``where``."""
        value, faults = field_faults(kind, raw)
        for fault in faults:
            inside = "" if fault.where == "file" else fault.where if fault.where.startswith("[") else f".{fault.where}"
            self.fault(where + inside, "is missing" if raw is None else fault.what)
        return value

    def _or_fault(self, kind: TypeAdapter[T], raw: object, where: str) -> T:
        """Read something without which nothing further can be judged."""
        value = self.read(kind, raw, where)
        self.done()
        assert value is not None
        return value

    def _twice(self, field: str, names: Iterable[str], suffix: str = "") -> None:
        seen: set[str] = set()
        for i, name in enumerate(names):
            if name in seen:
                self.fault(f"{field}[{i}]{suffix}", f"{name!r}: stands twice in the same request")
            seen.add(name)


def placed_vms(request: Request, messages: Sequence[common_pb2.PlacedVm]) -> tuple[VmOnServer, ...]:
    """Read VMs with the servers that they are on."""
    found = []
    for i, message in enumerate(messages):
        vm = request.vm(message.vm, f"vms[{i}].vm")
        server = request.read(_NAME, message.server or None, f"vms[{i}].server")
        if vm is not None and server is not None:
            found.append(VmOnServer(vm, server, tuple(message.gpus)))
    return tuple(found)
