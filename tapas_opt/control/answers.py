"""What the controller answers: a decision, the events that make it so, and what a caller should know of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tapas_opt.control.events import Event, VmOnServer
from tapas_opt.control.fleet import Basis
from tapas_opt.domain.result import Constraint, Mode, Result
from tapas_opt.domain.workload import Vm
from tapas_opt.placement.problem import PlacementPlan
from tapas_opt.placement.survival.check import FailureCost
from tapas_opt.reconfiguration.problem import ReconfigurationPlan, Stage
from tapas_opt.routing.problem import RoutingPlan

__all__ = [
    "Context",
    "DomainLoad",
    "FailureAnswer",
    "PlacementAnswer",
    "Proposal",
    "RoutesAnswer",
    "ServerVerdict",
    "SyncAnswer",
    "WaveAhead",
]


@dataclass(frozen=True, slots=True)
class Context:
    """What a decision was made on.

    Attributes
    ----------
    etag
        Of the fleet.
    models
        Fingerprint of the learned models.
    telemetry_age_s
        None when there never was any.
    warnings
        Such as ``EXTRAPOLATED: …``, one sentence each.
    """

    etag: str
    models: str
    telemetry_age_s: float | None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PlacementAnswer:
    """Servers for a batch; ``events`` hold them once they are applied, ``failures`` say what each would cost then."""

    vms: tuple[Vm, ...]
    placed: tuple[VmOnServer, ...]
    result: Result[PlacementPlan]
    context: Context
    events: tuple[Event, ...]
    failures: tuple[FailureCost, ...] = ()


@dataclass(frozen=True, slots=True)
class ServerVerdict:
    """What tapas-opt thinks of one candidate server for one VM: lower cost is better, reasons exclude it."""

    server: str
    eligible: bool
    cost: float
    reasons: tuple[Constraint, ...]


@dataclass(frozen=True, slots=True)
class WaveAhead:
    """How long a wave lasts if all agents do as they are told, and the demand that goes unserved meanwhile."""

    duration_s: float
    shortfall_tokens_per_s: int


@dataclass(frozen=True, slots=True)
class Proposal:
    """A reconfiguration that may be applied.

    Attributes
    ----------
    changes
        The choice that each VM should change to; empty when the present ones are as good.
    needed
        Whether the running plan breaks a constraint, or gains more than its changes cost.
    basis
        What it was planned on; while that stands, the proposal may be applied.
    later
        Over a horizon: choice and slot of VMs that are to change later, which is not published.
    waves
        What each wave takes.
    """

    plan_id: str
    stage: Stage
    changes: Mapping[str, str]
    needed: bool
    result: Result[ReconfigurationPlan]
    context: Context
    basis: Basis
    later: Mapping[str, tuple[str, int]] = field(default_factory=dict)
    waves: tuple[WaveAhead, ...] = ()


@dataclass(frozen=True, slots=True)
class FailureAnswer:
    """A failure taken note of, with the plan of stage Now that answers it; published where the mode says so."""

    proposal: Proposal | None
    published: bool
    events: tuple[Event, ...]


@dataclass(frozen=True, slots=True)
class RoutesAnswer:
    """The newest routing plan."""

    result: Result[RoutingPlan]
    mode: Mode
    context: Context


@dataclass(frozen=True, slots=True)
class SyncAnswer:
    """How a full list differs from what was known."""

    added: tuple[str, ...]
    moved: tuple[str, ...]
    removed: tuple[str, ...]
    events: tuple[Event, ...]


@dataclass(frozen=True, slots=True)
class DomainLoad:
    """How much of the budget or capacity of one domain (row, UPS, aisle, …) is drawn."""

    constraint: Constraint
    name: str
    load: float
    limit: float
    unit: str
