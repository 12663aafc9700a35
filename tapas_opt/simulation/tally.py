"""What is counted and noted while a policy goes through a day, and cannot be read off its samples."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from tapas_opt.plant.truth import Truth
from tapas_opt.simulation.answering import Answered
from tapas_opt.simulation.policy import Orders
from tapas_opt.simulation.record import Incident, Traffic

__all__ = ["Tally"]

FloatArray = NDArray[np.float64]
_T = TypeVar("_T")

HOUR_S = 3600.0


@dataclass
class Tally:
    """Counts, sums and extremes of one policy's day; :mod:`tapas_opt.simulation.metrics` says what becomes of them.

    An event is counted once, from its start to its end: per server (throttling), per VM (capping), per element (trips).

    Attributes
    ----------
    hottest_gpus_c
        ``[server]`` the hottest GPU of each at ``hottest_s``, the moment of the hottest of all.
    """

    vms_adopted: int = 0
    vms_placed: int = 0
    vms_rejected: int = 0
    requests_routed: int = 0
    requests_refused: int = 0
    configuration_changes: int = 0
    ups_trips: int = 0
    breaker_trips: int = 0
    thermal_throttle_events: int = 0
    power_throttle_events: int = 0
    server_s: float = 0.0
    throttled_server_s: float = 0.0
    vm_s: float = 0.0
    capped_vm_s: float = 0.0
    energy_j: float = 0.0
    asked_tokens: float = 0.0
    served_tokens: float = 0.0
    saas_vm_s: float = 0.0
    iaas_vm_s: float = 0.0
    tolerance_used_frac: float = 0.0
    rise_over_inlet_k: float = 0.0
    answered: Answered = field(default_factory=Answered.nobody, repr=False)
    row_second_frac: float = 0.0
    hottest_s: float = float("nan")
    hottest_gpus_c: FloatArray = field(default_factory=lambda: np.empty(0), repr=False)
    decisions_s: list[float] = field(default_factory=list, repr=False)
    incidents: list[Incident] = field(default_factory=list, repr=False)
    turned_away: list[Incident] = field(default_factory=list, repr=False)
    _throttled: NDArray[np.bool_] | None = field(default=None, repr=False)
    _capped: frozenset[str] = field(default=frozenset(), repr=False)
    _tripped: frozenset[str] = field(default=frozenset(), repr=False)

    def decided(self, ask: Callable[[], _T]) -> _T:
        """What a policy answers, and how long that took by a real clock."""
        began = time.perf_counter()
        answer = ask()
        self.decisions_s.append(time.perf_counter() - began)
        return answer

    def ordered(self, orders: Orders, now_s: float) -> None:
        """Count what a policy orders, and note why."""
        self.configuration_changes += len(orders.choice_of)
        if orders.why:
            self.note(now_s, orders.why)

    def note(self, t_s: float, text: str) -> None:
        """Something that is worth a line."""
        self.incidents.append(Incident(t_s, text))

    def step(self, truth: Truth, dt_s: float, vms: int, capped: Collection[str]) -> tuple[str, ...]:
        """Count a step of the room in which these of its ``vms`` were capped; names of what has just tripped."""
        self._count_throttling(truth, dt_s)
        self._count_capping(dt_s, vms, frozenset(capped))
        self.energy_j += float(truth.server_power_w.sum()) * dt_s
        for used in (
            truth.ups_tolerance_used,
            truth.pdu_tolerance_used,
            truth.row_tolerance_used,
            truth.rack_tolerance_used,
        ):
            self.tolerance_used_frac = max(self.tolerance_used_frac, float(used.max(initial=0.0)))
        rise_k = truth.gpu_temperature_c - truth.inlet_c[:, None]
        self.rise_over_inlet_k = max(self.rise_over_inlet_k, float(np.nanmax(rise_k)))
        self._keep_hottest(truth.t_s, truth.gpu_temperature_c)
        return self._count_trips(truth)

    def look_within(self, truth: Truth, row_budget_w: NDArray[np.float64]) -> None:
        """Look at the worst second of a thousand within a step, beside the budgets in force."""
        in_force = row_budget_w > 0
        used = truth.row_power_p999_w[in_force] / row_budget_w[in_force]
        self.row_second_frac = max(self.row_second_frac, float(used.max(initial=0.0)))

    def count(self, answered: Answered) -> None:
        """Count what became of the requests of a step."""
        self.answered = self.answered + answered if self.answered.endpoints else answered

    def ask(self, dt_s: float, tokens_per_s: float, served_frac: float, instances: int, tenants: int) -> None:
        """Count what users ask for in a step and get, and the VMs that are wanted."""
        tokens = tokens_per_s * dt_s
        self.asked_tokens += tokens
        self.served_tokens += tokens * served_frac
        self.saas_vm_s += instances * dt_s
        self.iaas_vm_s += tenants * dt_s

    @property
    def traffic(self) -> Traffic:
        """What was asked for so far."""
        return Traffic(self.asked_tokens, self.served_tokens, self.saas_vm_s / HOUR_S, self.iaas_vm_s / HOUR_S)

    def _keep_hottest(self, t_s: float, gpu_c: FloatArray) -> None:
        """Remember a moment ``[server, gpu]`` that is hotter than any before; what was not read is NaN."""
        of_server = np.fmax.reduce(gpu_c, axis=1)
        if np.nanmax(of_server, initial=-np.inf) > np.nanmax(self.hottest_gpus_c, initial=-np.inf):
            self.hottest_s, self.hottest_gpus_c = t_s, of_server

    def _count_throttling(self, truth: Truth, dt_s: float) -> None:
        now = np.asarray(truth.throttled.any(axis=1))
        before = np.zeros_like(now) if self._throttled is None else self._throttled
        self.thermal_throttle_events += int((now & ~before).sum())
        self.server_s += dt_s * len(now)
        self.throttled_server_s += dt_s * float(truth.throttled_frac.max(axis=1).sum())
        self._throttled = now

    def _count_capping(self, dt_s: float, vms: int, capped: frozenset[str]) -> None:
        self.power_throttle_events += len(capped - self._capped) if capped is not self._capped else 0
        self.vm_s += dt_s * vms
        self.capped_vm_s += dt_s * len(capped)
        self._capped = capped

    def _count_trips(self, truth: Truth) -> tuple[str, ...]:
        upses, breakers = truth.tripped_upses, (*truth.tripped_pdus, *truth.tripped_rows, *truth.tripped_racks)
        self.ups_trips += self._new(upses)
        self.breaker_trips += self._new(breakers)
        tripped = tuple(name for name in (*upses, *breakers) if name not in self._tripped)
        self._tripped = frozenset((*upses, *breakers))
        return tripped

    def _new(self, names: Sequence[str]) -> int:
        return sum(name not in self._tripped for name in names)
