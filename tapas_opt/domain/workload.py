"""What runs on the servers: VMs and their groups, LLM endpoints and the requests they get."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, ClassVar, Literal

from pydantic import ConfigDict, Field

from tapas_opt.domain.fields import STRICT, Count, Fraction, Name, NonNegative, Positive

__all__ = ["Endpoint", "Group", "RequestClass", "Reservation", "Slo", "SpreadOver", "Vm", "VmKind"]


class VmKind(StrEnum):
    """IaaS is opaque to the operator; SaaS runs an endpoint of the operator's own, which it may reconfigure."""

    IAAS = "iaas"
    SAAS = "saas"


class SpreadOver(StrEnum):
    """Which places the members of a group must not share too much, or have to share."""

    RACK = "rack"
    ROW = "row"
    AISLE = "aisle"
    UPS_PAIR = "ups_pair"
    ROOM = "room"


@dataclass(frozen=True, slots=True)
class Vm:
    """A virtual machine as its owner asks for it.

    Attributes
    ----------
    tenant
        Whose load template predicts an IaaS VM.
    endpoint, configuration
        For SaaS: the endpoint that it serves and the configuration it starts with.
    gpu_models
        The GPUs it accepts, any one of them; all where empty.
    priority
        1 (can wait) to 10; an unplaced VM costs in proportion.
    spot
        It can be evicted: it may sit on servers that are kept back, and costs less unplaced.
    capping_agreed
        An IaaS tenant has agreed to be slowed in an emergency. SaaS always may be; nobody else ever is.
    lifetime_s
        Expected life, from which the outdoor temperature it must bear is taken.
    gpus
        How many GPUs of a server it takes, in one aligned block; None for a whole server. IaaS only.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    name: Name
    kind: VmKind
    tenant: Name
    endpoint: Name | None = None
    configuration: Name | None = None
    gpu_models: tuple[Name, ...] = ()
    group: Name | None = None
    priority: Annotated[int, Field(ge=1, le=10)] = 5
    spot: bool = False
    capping_agreed: bool = False
    lifetime_s: Positive = 7 * 86_400.0
    gpus: Literal[1, 2, 4, 8] | None = None

    @property
    def template(self) -> str:
        """Which load template predicts it: its endpoint's for SaaS, its tenant's for IaaS."""
        return self.endpoint if self.endpoint is not None else self.tenant

    @property
    def may_be_slowed(self) -> bool:
        """Whether an emergency may touch it at all."""
        return self.kind is VmKind.SAAS or self.capping_agreed


@dataclass(frozen=True, slots=True)
class Group:
    """VMs that belong together, such as the replicas of an endpoint.

    Attributes
    ----------
    spread_over, max_per_place
        At most so many members in one rack, row, aisle or UPS pair, so that they do not die together.
    all_or_nothing
        Whether a part of the group is of no use.
    together_over
        All members share one such place.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    name: Name
    spread_over: SpreadOver | None = None
    max_per_place: Count = 1
    all_or_nothing: bool = False
    together_over: SpreadOver | None = None


@dataclass(frozen=True, slots=True)
class Reservation:
    """Whole servers of one hardware that are kept back: promised to a tenant, or free for failover without one.

    Attributes
    ----------
    row, room
        Where: in a row or in a room; with neither, anywhere on the site.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    name: Name
    hardware: Name
    servers: Count
    tenant: Name | None = None
    row: Name | None = None
    room: Name | None = None


@dataclass(frozen=True, slots=True)
class Slo:
    """Latency promised to an endpoint's users: time to first token and between tokens, at a quantile."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    ttft_s: Positive
    tbt_s: Positive
    quantile: Annotated[float, Field(gt=0, lt=1)] = 0.99

    @classmethod
    def of_unloaded(cls, ttft_s: float, tbt_s: float, multiple: float = 5.0) -> Slo:
        """The promise where none was stated: a multiple of the mean request's latencies without any other load."""
        return cls(multiple * ttft_s, multiple * tbt_s)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A served model: its promise, the least quality it accepts, and the configuration it prefers."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    name: Name
    slo: Slo
    configuration: Name
    quality_floor: Fraction = 0.0


@dataclass(frozen=True, slots=True)
class RequestClass:
    """Requests of similar length, and how fast they come."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    name: Name
    prompt_tokens: Positive
    output_tokens: Positive
    requests_per_s: NonNegative = 0.0

    @property
    def tokens_per_s(self) -> float:
        """Prompt and output tokens per second, the unit of goodput."""
        return self.requests_per_s * (self.prompt_tokens + self.output_tokens)
