"""What a client hands in and gets back: plain values, in the words of the domain."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tapas_opt.control.events import OperatingMode
from tapas_opt.domain.failure import Failure
from tapas_opt.domain.result import Mode, Status
from tapas_opt.domain.workload import Reservation, Vm
from tapas_opt.reconfiguration.problem import Stage

__all__ = [
    "Acknowledgement",
    "ArmedPlan",
    "Binding",
    "Change",
    "Completion",
    "Decision",
    "Desired",
    "DomainLoad",
    "Excess",
    "FailureCost",
    "Placed",
    "Plan",
    "Pushed",
    "Ranked",
    "Rejection",
    "ReservationUse",
    "Routed",
    "RoutingClass",
    "RoutingTable",
    "ShadowPrice",
    "Snapshot",
    "VmRecord",
    "Watched",
    "Wave",
]


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why something was not done; ``reason`` is a constraint's name."""

    subject: str
    reason: str
    shortfall: float | None = None
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Binding:
    """A constraint with little room left."""

    reason: str
    where: str
    headroom: float = 0.0
    unit: str = ""


@dataclass(frozen=True, slots=True)
class ShadowPrice:
    """By how much the cost of the linear relaxation changes for each ``unit`` more of a limit or a demand."""

    reason: str
    where: str
    price: float = 0.0
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """What every decision carries; None and ``""`` where the server does not know."""

    decision_id: str = ""
    mode: Mode | None = None
    status: Status | None = None
    solver: str = ""
    objective: float | None = None
    bound: float | None = None
    gap_frac: float | None = None
    terms: Mapping[str, float] = field(default_factory=dict)
    fallback: str = ""
    snapshot_fingerprint: str = ""
    model_fingerprint: str = ""
    telemetry_age_s: float | None = None
    binding: tuple[Binding, ...] = ()
    rejections: tuple[Rejection, ...] = ()
    build_s: float | None = None
    solve_s: float | None = None
    check_s: float | None = None
    warnings: tuple[str, ...] = ()
    shadow_prices: tuple[ShadowPrice, ...] = ()


@dataclass(frozen=True, slots=True)
class FailureCost:
    """What a failure would cost in its worst slot: relief, and what stays above limits for all that, in ``unit``."""

    failure: str
    room: str
    slot: str
    unit: str
    cost: float = 0.0
    relief: float = 0.0
    shortfall: float = 0.0


@dataclass(frozen=True, slots=True)
class Placed:
    """Where a batch of VMs went, with the GPUs of parts of servers; ``request_id`` asks for the same answer again."""

    request_id: str
    decision: Decision
    server_of: Mapping[str, str]
    unplaced: tuple[str, ...]
    reserved_until_s: float | None
    gpus_of: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    failure_costs: tuple[FailureCost, ...] = ()


@dataclass(frozen=True, slots=True)
class Ranked:
    """What a candidate server is worth to a VM."""

    server: str
    eligible: bool = False
    cost: float | None = None
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Routed:
    """The instance (a VM) that a request goes to; return ``pending_tokens`` when it is completed."""

    instance: str
    server: str
    mode: Mode
    request_class: str = ""
    pending_tokens: float = 0.0
    snapshot_fingerprint: str = ""
    plan_age_s: float = 0.0


@dataclass(frozen=True, slots=True)
class RoutingClass:
    """How the requests of one class are spread: instance (VM) to share."""

    request_class: str
    endpoint: str
    shares: Mapping[str, float] = field(default_factory=dict)
    unserved_frac: float = 0.0


@dataclass(frozen=True, slots=True)
class RoutingTable:
    """The routing plan in force; without classes until the first is made."""

    snapshot_fingerprint: str = ""
    created_at_s: float = 0.0
    stale_at_s: float = 0.0
    mode: Mode | None = None
    classes: tuple[RoutingClass, ...] = ()


@dataclass(frozen=True, slots=True)
class Completion:
    """How a request ended: ``outcome`` is completed, failed or cancelled."""

    endpoint: str
    instance: str
    outcome: str = "completed"
    pending_tokens: float | None = None
    prompt_tokens: int | None = None
    output_tokens: int | None = None
    ttft_s: float | None = None
    tbt_s: float | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """What one VM changes from and to; an empty configuration is parked.

    An armed change is for a VM whose desired generation is ``generation``; ``slot`` counts along a horizon.
    """

    vm: str
    from_configuration: str = ""
    to_configuration: str = ""
    load_frac: float | None = None
    wave: int = 0
    reload: bool = False
    generation: int = 0
    slot: int = 0


@dataclass(frozen=True, slots=True)
class Wave:
    """How long a wave lasts, and the demand that goes unserved meanwhile."""

    wave: int = 0
    duration_s: float = 0.0
    shortfall_tokens_per_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Excess:
    """A domain that stays over its limit whatever is done."""

    constraint: str
    name: str
    amount: float
    unit: str


@dataclass(frozen=True, slots=True)
class Plan:
    """A reconfiguration plan, proposed or published."""

    plan_id: str
    etag: str
    stage: Stage
    published: bool = False
    needed: bool = False
    decision: Decision = field(default_factory=Decision)
    changes: tuple[Change, ...] = ()
    excess: tuple[Excess, ...] = ()
    later: tuple[Change, ...] = ()
    waves: tuple[Wave, ...] = ()


@dataclass(frozen=True, slots=True)
class ArmedPlan:
    """A plan kept ready for failures that may come; it is carried out when it is published, and not before."""

    plan_id: str
    failures: tuple[str, ...]
    made_at_s: float = 0.0
    looked_at_s: float = 0.0
    at_stake_w: float = 0.0
    changes: tuple[Change, ...] = ()
    excess: tuple[Excess, ...] = ()


@dataclass(frozen=True, slots=True)
class Desired:
    """What a VM should run; acknowledge it with its generation, before the change is taken back if a time is given."""

    vm: str
    server: str
    configuration: str = ""
    load_frac: float | None = None
    generation: int = 0
    acknowledged_generation: int = 0
    apply_before_s: float | None = None


@dataclass(frozen=True, slots=True)
class Watched:
    """What is new of configurations; ``armed`` says all that is armed where ``armed_changed``, else nothing."""

    etag: str
    plan_id: str = ""
    configurations: tuple[Desired, ...] = ()
    removed_vms: tuple[str, ...] = ()
    armed_changed: bool = False
    armed: tuple[ArmedPlan, ...] = ()


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """An agent's word that a VM runs what was desired, and the watts which that freed."""

    vm: str
    generation: int
    freed_w: float | None = None


@dataclass(frozen=True, slots=True)
class VmRecord:
    """A VM as the server knows it; ``state`` is reserved or running."""

    vm: Vm
    state: str
    server: str
    reserved_until_s: float | None = None
    desired_configuration: str = ""
    load_frac: float | None = None
    gpus: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class ReservationUse:
    """Servers that are kept back, and on how many of them its tenant runs VMs that are not spot."""

    reservation: Reservation
    used: int = 0


@dataclass(frozen=True, slots=True)
class DomainLoad:
    """How much of a budget or capacity is drawn."""

    constraint: str
    name: str
    load: float = 0.0
    limit: float = 0.0
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """How the site stands."""

    fingerprint: str
    model_fingerprint: str
    site_name: str
    site_etag: str
    mode: OperatingMode
    taken_at_s: float = 0.0
    telemetry_age_s: float | None = None
    servers: int = 0
    servers_free: int = 0
    vms_reserved: int = 0
    vms_running: int = 0
    failures: tuple[Failure, ...] = ()
    outages: tuple[Failure, ...] = ()
    plan_id: str = ""
    domains: tuple[DomainLoad, ...] = ()
    endpoints: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Pushed:
    """What became of telemetry: readings accepted, refused, and the first few refusals in words."""

    accepted: int = 0
    refused: int = 0
    refusals: tuple[str, ...] = ()
