"""What follows a failure or its end: something better than an armed plan at once, where to settle a little later.

And what an operator should look at meanwhile, in words.
"""

from __future__ import annotations

from collections.abc import Iterator

from tapas_opt.control.answers import Proposal
from tapas_opt.control.events import OperatingMode
from tapas_opt.control.fleet import Fleet
from tapas_opt.reconfiguration.problem import Stage

__all__ = ["Aftermath", "unattended"]

NAMED = 5
"""So many VMs are named in a warning, the rest counted."""

SLOW_FRAC = 0.25
"""A wave is called slow once this part of its lease is over."""


class Aftermath:
    """Remembers which failures were followed up. Not thread-safe by itself: the controller holds a lock.

    It begins anew at a restart, so that a settled plan that was due when the service died is made after it.
    """

    def __init__(self) -> None:
        self.improvable = False
        self._seen = 0
        self._settle_at_s = float("inf")
        self._proposed: Proposal | None = None

    def due(self, fleet: Fleet, now_s: float, settle_after_s: float) -> Stage | None:
        """What to plan now, if anything.

        ``improvable`` is set by whoever answered a failure with an armed plan, or with one that leaves excess: stage
        Now is solved once more for that, on top of the fast knobs.
        """
        if fleet.failure_changes != self._seen:
            self._seen = fleet.failure_changes
            self._settle_at_s = now_s + settle_after_s if settle_after_s > 0.0 else float("inf")
        if self.improvable and fleet.failures:
            self.improvable = False
            return Stage.NOW
        if now_s >= self._settle_at_s:
            self._settle_at_s = float("inf")
            return Stage.SETTLED
        return None

    def note(self, proposal: Proposal) -> None:
        """Remember what was proposed by itself, for :meth:`advice`."""
        self._proposed = proposal

    def advice(self, fleet: Fleet) -> Iterator[str]:
        """Say which plan waits for approval, where the mode leaves it to somebody."""
        plan = self._proposed
        if plan is None or not plan.needed or fleet.mode is OperatingMode.ACT:
            return
        if plan.basis == fleet.basis(fleet.failures.values()):
            what = f"plan {plan.plan_id} (stage {plan.stage}, {len(plan.changes)} changes)"
            yield f"ADVISED: {what} waits for ApplyPlan, in mode advise or act"


def unattended(fleet: Fleet, now_s: float, lease_s: float) -> Iterator[str]:
    """Failures that last longer than was said, and agents that say nothing."""
    for label, failure in sorted(fleet.failures.items()):
        late_s = now_s - failure.started_at_s - failure.expected_duration_s
        if late_s > 0.0:
            yield f"OVERDUE: {label} was to be over {late_s:,.0f} s ago; clear it, or report how long it will last"
    waiting = fleet.waiting()
    if waiting and fleet.wave_started_at_s is not None:
        for_s = now_s - fleet.wave_started_at_s
        if for_s > SLOW_FRAC * lease_s:
            what = f"{_names(waiting)} of plan {fleet.plan_id} did not acknowledge for {for_s:,.0f} s"
            yield f"WAITING: {what}; what comes after them is given up after {lease_s:,.0f} s"
    if fleet.silent:
        yield f"SILENT: {_names(sorted(fleet.silent))} said nothing for a lease; their changes were given up"


def _names(names: list[str]) -> str:
    more = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {more} more" if more > 0 else "")
