"""What happened, as facts that a journal keeps and :class:`~tapas_opt.control.fleet.Fleet` adds up."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from tapas_opt.domain.failure import Failure
from tapas_opt.domain.site import Site
from tapas_opt.domain.workload import Endpoint, Group, Reservation, Vm

__all__ = [
    "ConfigurationAcknowledged",
    "EndpointPut",
    "Event",
    "FailureCleared",
    "FailureReported",
    "GroupPut",
    "ModeSet",
    "OperatingMode",
    "OutageCancelled",
    "OutageScheduled",
    "PlanApplied",
    "ServerState",
    "ServerStateSet",
    "SiteApplied",
    "VmOnServer",
    "VmsAdopted",
    "VmsConfirmed",
    "VmsReleased",
    "VmsReserved",
    "WaveGivenUp",
    "WaveStarted",
    "events_from_json",
    "events_to_json",
]


class ServerState(StrEnum):
    """What the operator says of a server: may get VMs, keeps its VMs but gets none, is being emptied."""

    IN_SERVICE = "in_service"
    CORDONED = "cordoned"
    DRAINING = "draining"


class OperatingMode(StrEnum):
    """How far tapas-opt may go by itself: watch, propose, or do."""

    SHADOW = "shadow"
    ADVISE = "advise"
    ACT = "act"


@dataclass(frozen=True, slots=True)
class VmOnServer:
    """A VM and the server it is on; the numbers of its GPUs, if it has a part of the server only."""

    vm: Vm
    server: str
    gpus: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class SiteApplied:
    """The site is now this one."""

    site: Site
    kind: Literal["site_applied"] = "site_applied"


@dataclass(frozen=True, slots=True)
class EndpointPut:
    """An endpoint was made or changed."""

    endpoint: Endpoint
    kind: Literal["endpoint_put"] = "endpoint_put"


@dataclass(frozen=True, slots=True)
class GroupPut:
    """A group was made or changed."""

    group: Group
    kind: Literal["group_put"] = "group_put"


@dataclass(frozen=True, slots=True)
class VmsAdopted:
    """These VMs run already, wherever they are."""

    vms: tuple[VmOnServer, ...]
    kind: Literal["vms_adopted"] = "vms_adopted"


@dataclass(frozen=True, slots=True)
class VmsReserved:
    """Servers are held for these VMs until the reservation is confirmed or expires."""

    vms: tuple[VmOnServer, ...]
    expires_at_s: float
    kind: Literal["vms_reserved"] = "vms_reserved"


@dataclass(frozen=True, slots=True)
class VmsConfirmed:
    """These reserved VMs run now."""

    names: tuple[str, ...]
    kind: Literal["vms_confirmed"] = "vms_confirmed"


@dataclass(frozen=True, slots=True)
class VmsReleased:
    """These VMs are gone; why: ``released``, ``expired`` or ``absent`` (a full list did not name them)."""

    names: tuple[str, ...]
    why: str = "released"
    kind: Literal["vms_released"] = "vms_released"


@dataclass(frozen=True, slots=True)
class ReservationPut:
    """Servers are kept back from now on; a reservation of the same name is replaced."""

    reservation: Reservation
    kind: Literal["reservation_put"] = "reservation_put"


@dataclass(frozen=True, slots=True)
class ReservationRemoved:
    """These servers are kept back no longer."""

    name: str
    kind: Literal["reservation_removed"] = "reservation_removed"


@dataclass(frozen=True, slots=True)
class ServerStateSet:
    """The operator changed what a server may be used for."""

    server: str
    state: ServerState
    kind: Literal["server_state_set"] = "server_state_set"


@dataclass(frozen=True, slots=True)
class FailureReported:
    """An element failed."""

    failure: Failure
    kind: Literal["failure_reported"] = "failure_reported"


@dataclass(frozen=True, slots=True)
class FailureCleared:
    """An element works again."""

    label: str
    kind: Literal["failure_cleared"] = "failure_cleared"


@dataclass(frozen=True, slots=True)
class OutageScheduled:
    """An element will be out of service; an outage of the same element is replaced."""

    outage: Failure
    kind: Literal["outage_scheduled"] = "outage_scheduled"


@dataclass(frozen=True, slots=True)
class OutageCancelled:
    """An outage will not take place, or need not be planned for any more."""

    label: str
    kind: Literal["outage_cancelled"] = "outage_cancelled"


@dataclass(frozen=True, slots=True)
class PlanApplied:
    """These VMs shall run these choices (configuration at a load level, or parked), wave after wave.

    Without waves all change at once. A newer plan takes the place of waves that have not started. Journals of before
    times were kept do not say ``at_s``.
    """

    plan_id: str
    stage: str
    choice_of: dict[str, str]
    approver: str = ""
    waves: tuple[tuple[str, ...], ...] = ()
    at_s: float | None = None
    kind: Literal["plan_applied"] = "plan_applied"


@dataclass(frozen=True, slots=True)
class WaveStarted:
    """The next wave of the plan in force may change: every VM of the one before runs what it should."""

    at_s: float | None = None
    kind: Literal["wave_started"] = "wave_started"


@dataclass(frozen=True, slots=True)
class WaveGivenUp:
    """Agents of these VMs said nothing for a lease: they stay as they are, and the rest of the plan is not done."""

    names: tuple[str, ...]
    kind: Literal["wave_given_up"] = "wave_given_up"


@dataclass(frozen=True, slots=True)
class ConfigurationAcknowledged:
    """An agent says that a VM runs the configuration of this generation."""

    vm: str
    generation: int
    watts_freed: float | None = None
    kind: Literal["configuration_acknowledged"] = "configuration_acknowledged"


@dataclass(frozen=True, slots=True)
class ModeSet:
    """How far tapas-opt may go by itself from now on."""

    mode: OperatingMode
    kind: Literal["mode_set"] = "mode_set"


Event = Annotated[
    SiteApplied
    | EndpointPut
    | GroupPut
    | VmsAdopted
    | VmsReserved
    | VmsConfirmed
    | VmsReleased
    | ReservationPut
    | ReservationRemoved
    | ServerStateSet
    | FailureReported
    | FailureCleared
    | OutageScheduled
    | OutageCancelled
    | PlanApplied
    | WaveStarted
    | WaveGivenUp
    | ConfigurationAcknowledged
    | ModeSet,
    Field(discriminator="kind"),
]


@dataclass(frozen=True, slots=True)
class _Batch:
    events: tuple[Event, ...] = field(default=())


_BATCH: TypeAdapter[_Batch] = TypeAdapter(_Batch)


def events_to_json(events: Sequence[Event]) -> str:
    """The events of one command as JSON text."""
    return _BATCH.dump_json(_Batch(tuple(events))).decode()


def events_from_json(text: str) -> tuple[Event, ...]:
    """Read what :func:`events_to_json` wrote, now or in an earlier version.

    Anything else raises ``pydantic.ValidationError``.
    """
    if '"gpu_model":' in text:
        text = _with_gpu_models(text)
    return _BATCH.validate_json(text).events


def _with_gpu_models(text: str) -> str:
    """A VM once named one GPU model, or none; a site's hardware still names its own."""

    def renamed(item: dict[str, object]) -> dict[str, object]:
        if "tenant" in item and "gpu_model" in item:
            model = item.pop("gpu_model")
            item["gpu_models"] = [] if model is None else [model]
        return item

    try:
        return json.dumps(json.loads(text, object_hook=renamed))
    except json.JSONDecodeError:
        return text
