"""What every servicer works on, and how long a decision may take."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from google.protobuf.message import Message
from grpc import ServicerContext

from tapas_opt.control.controller import Controller
from tapas_opt.control.events import Event
from tapas_opt.service.clock import Clock
from tapas_opt.service.ledger import Decided, Ledger
from tapas_opt.service.tracking_file import TrackingFile

__all__ = ["Core"]

M = TypeVar("M", bound=Message)

RESERVE_FRAC = 0.1
"""Part of a call's time that is kept for making its answer durable and sending it."""
LONGEST_DEADLINE_S = 600.0


@dataclass(frozen=True, slots=True)
class Core:
    """What every servicer works on.

    Attributes
    ----------
    deadline_s
        Of a call that brings none.
    changed
        Called after every command, so that routing follows at once.
    tracking
        Where tracked biases are kept.
    """

    controller: Controller
    ledger: Ledger
    clock: Clock
    deadline_s: float
    changed: Callable[[], None]
    tracking: TrackingFile

    def budget_s(self, context: ServicerContext) -> float:
        """Seconds that a decision may take: what the caller still waits, less a reserve."""
        remaining_s = context.time_remaining()
        left_s = self.deadline_s if remaining_s is None else min(remaining_s, LONGEST_DEADLINE_S)
        return max(0.0, left_s * (1.0 - RESERVE_FRAC))

    @staticmethod
    def hung_up(context: ServicerContext) -> threading.Event:
        """Set once nobody waits for the call any more: a solver that works on it is then ended."""
        gone = threading.Event()
        if not context.add_callback(gone.set):
            gone.set()
        return gone

    def quickly(self, request: Any, events: Callable[[], Sequence[Event]], response: M) -> M:
        """Carry out a command that needs no solve and whose answer is known beforehand."""
        answer = self.ledger.carry_out(request, type(response), lambda: lambda: Decided(events(), response))
        self.changed()
        return answer
