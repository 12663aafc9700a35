"""What an operator may set about decisions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

__all__ = ["Settings"]


@dataclass(frozen=True, slots=True)
class Settings:
    """What an operator may set.

    Attributes
    ----------
    emergency_s, emergency_gap_frac
        How long the solver may improve greedy's answer to a failure, however long the caller would wait, and how close
        to its bound is close enough then.
    reservation_s
        How long a reservation is held for its confirmation.
    route_every_s
        Age at which the routing plan is made anew.
    outdoor_rise_c
        How much warmer than measured it may become outside within the hour that routing and reconfiguration plan for.
    gain_frac
        A plan that breaks nothing is replaced only if that saves more than this part of its cost.
    week
        Whether placement looks at each of the 168 hours of the week, and not at the 24 of a day, each at its worst
        weekday: what peaks on different days then shares a budget, for more work.
    risk
        Whether a placement keeps its budgets in every hour by itself (``quantile``), or on average over the worst tenth
        of recent days (``cvar``), which sees that peaks do not coincide; then ``week`` has to be off.
    arm_every_s
        How often each armed plan is held against what is so by then; 0 keeps none.
    arm_for
        Labels of elements that may be lost together, such as ``("ups:U1", "ups:U2")``, for which a plan is armed
        beside those for each UPS and each air handler.
    secure
        Whether placements have to survive the loss of every single UPS, PDU and air handler, and of those lost together
        in ``arm_for``.
    settle_after_s, settle_s
        How long after a failure, or its end, the plan to settle in is made by itself, 0 to leave it to others; and how
        long its solver may take.
    lease_s
        How long a wave of changes waits for agents that say nothing before the rest of its plan is given up.
    explain
        Whether answers carry shadow prices, for a part of their deadline; asked for call by call.
    work
        Solvers stop after so many rounds of work and not by the clock, so that a run comes out the same on any machine.
    """

    emergency_s: float = 0.3
    emergency_gap_frac: float = 0.01
    reservation_s: float = 600.0
    route_every_s: float = 5.0
    outdoor_rise_c: float = 2.0
    gain_frac: float = 0.01
    week: bool = False
    risk: Literal["quantile", "cvar"] = "quantile"
    arm_every_s: float = 30.0
    arm_for: tuple[tuple[str, ...], ...] = ()
    secure: bool = True
    settle_after_s: float = 30.0
    settle_s: float = 5.0
    lease_s: float = 900.0
    solver: str = "auto"
    gap_frac: float = 1e-3
    seed: int = 0
    explain: bool = False
    work: int | None = None

    def stopping(self, deadline_s: float) -> dict[str, Any]:
        """When a solve stops that may take so long: options of :func:`tapas_opt.solve.solve`."""
        return {"deadline_s": deadline_s} if self.work is None else {"work": self.work}
