"""What a policy is asked in a simulated run, and how it answers. It sees telemetry only, never the plant's state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from tapas_opt.domain.failure import Failure
from tapas_opt.domain.workload import Group, Vm
from tapas_opt.simulation.sensed import Telemetry

__all__ = ["REVIEW_EVERY_S", "Orders", "Policy", "Request", "Shares"]

REVIEW_EVERY_S = 900.0
"""So often a policy is asked to look again at what instances run."""

Shares = Mapping[str, Mapping[str, float]]
"""For each endpoint the share of its tokens that each instance (VM) takes; they add up to at most 1.

What is more than an instance can take goes to those named that have room, also to one whose share is 0; who is not
named takes nothing.
"""


@dataclass(frozen=True, slots=True)
class Request:
    """One LLM request of the trace."""

    endpoint: str
    prompt_tokens: int
    output_tokens: int

    @property
    def tokens(self) -> int:
        """Prompt and output tokens."""
        return self.prompt_tokens + self.output_tokens


@dataclass(frozen=True, slots=True)
class Orders:
    """What the actuators shall do; they take their time (see `tapas_opt.control.actuation`).

    Attributes
    ----------
    choice_of
        SaaS VM → configuration at a load level, or ``parked``.
    frequency_frac_of
        Any VM → clock relative to its highest, 1 for no cap. In band for SaaS, out of band (slow) for IaaS.
    """

    choice_of: Mapping[str, str] = field(default_factory=dict)
    frequency_frac_of: Mapping[str, float] = field(default_factory=dict)
    why: str = ""

    def __bool__(self) -> bool:
        return bool(self.choice_of or self.frequency_frac_of)


class Policy(Protocol):
    """Places, routes and reconfigures."""

    name: str

    def adopt(self, vms: Sequence[tuple[Vm, str]], groups: Sequence[Group], now_s: float) -> None:
        """Take over VMs that run already, on the servers where somebody else has put them."""

    def place(self, vms: Sequence[Vm], groups: Sequence[Group], now_s: float) -> Mapping[str, str]:
        """Server of each VM that gets one."""

    def release(self, names: Sequence[str], now_s: float) -> None:
        """VMs have left."""

    def observe(self, telemetry: Telemetry) -> Orders:
        """Telemetry of the moment; orders may come back, such as the next wave of an earlier plan."""

    def shares(self, now_s: float) -> Shares:
        """How the traffic of each endpoint is spread now: the same object as before where nothing has changed."""

    def route(self, requests: Sequence[Request], now_s: float) -> int:
        """Answer the trace's requests of the moment one by one; how many got an instance."""

    def announced(self, outage: Failure, now_s: float) -> None:
        """An element will be taken out of service by plan."""

    def failed(self, failure: Failure, now_s: float) -> Orders:
        """A failure is reported."""

    def cleared(self, failure: Failure, now_s: float) -> Orders:
        """It is over."""

    def review(self, now_s: float) -> Orders:
        """The regular look at things, and the second one after a failure."""

    def applied(self, vm: str, now_s: float) -> None:
        """An actuator has finished what was ordered last for a VM."""
