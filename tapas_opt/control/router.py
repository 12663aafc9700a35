"""The routing side of the controller: which plan is in force, and the pick for each request."""

from __future__ import annotations

import random
import threading
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from tapas_opt.control.answers import Context, RoutesAnswer
from tapas_opt.control.evenly import evenly
from tapas_opt.control.fleet import Fleet
from tapas_opt.control.forecast import Forecast
from tapas_opt.control.routes import Mix, routing_problem
from tapas_opt.domain.result import Mode, Result
from tapas_opt.errors import NoInstance, NotFound
from tapas_opt.mip.worker import Workers
from tapas_opt.routing.pick import LengthThresholds, Pick, Picker, RoutingTable, request_class_of, routing_table
from tapas_opt.routing.problem import RoutingPlan, RoutingProblem
from tapas_opt.solve import solve

__all__ = ["RouteAnswer", "Router"]

STALE_AFTER_PLANS = 6
"""A table that was not renewed for so many planning periods is stale."""

TYPICAL_LENGTHS = (
    ("short-short", 256.0, 32.0),
    ("short-long", 256.0, 256.0),
    ("long-short", 2048.0, 32.0),
    ("long-long", 2048.0, 256.0),
)
"""Request classes of every endpoint: (name, typical prompt tokens, typical output tokens)."""

MIX_MEMORY_FRAC = 0.8
"""What is kept of the token counts by class from one plan to the next."""


@dataclass(frozen=True, slots=True)
class RouteAnswer:
    """Where one request goes."""

    instance: str
    server: str
    request_class: str
    pending_tokens: float
    mode: Mode
    snapshot: str
    table_age_s: float


class Router:
    """Keeps the routing table and counts what is asked for. Safe to call from many threads."""

    def __init__(self, seed: int) -> None:
        self._rng = random.Random(seed)
        self._lock = threading.Lock()
        self._changed = True
        self._tokens: dict[str, dict[str, float]] = {}
        self._servers: Mapping[str, str] = {}
        self._drained: set[str] = set()
        self._picker: Picker | None = None
        self.answer: RoutesAnswer | None = None

    @property
    def table(self) -> RoutingTable | None:
        """The table in force, if there ever was one."""
        return None if self._picker is None else self._picker.table

    def note_change(self, fleet: Fleet) -> None:
        """The fleet is not what the plan in force was made for; instances that are gone get nothing more from it."""
        self._changed = True
        self._drain(self._servers.keys() - fleet.vms.keys() - self._drained)

    def due(self, now_s: float, every_s: float) -> bool:
        """Whether the plan is missing, outdated by a change, or old."""
        table = self.table
        return self._changed or table is None or not 0.0 <= now_s - table.created_at_s < every_s

    def problem(self, forecast: Forecast) -> RoutingProblem:
        """The routing problem of the moment; call it with the fleet locked."""
        self._changed = False
        self._serve_again(self._drained & forecast.fleet.vms.keys())
        return routing_problem(forecast, self._mix(forecast.fleet))

    def plan(
        self,
        problem: RoutingProblem,
        *,
        solver: str,
        workers: Workers | None,
        deadline_s: float | None = None,
        work: int | None = None,
    ) -> Result[RoutingPlan]:
        """Solve the problem, and ask alike instances for as much where that costs hardly more; needs no lock."""
        usual = "auto" if solver in ("cpsat", "decomposition") else solver
        return evenly(problem, solve(problem, solver=usual, deadline_s=deadline_s, work=work, workers=workers))

    def use(
        self,
        problem: RoutingProblem,
        result: Result[RoutingPlan],
        context: Context,
        *,
        fleet: Fleet,
        now_s: float,
        every_s: float,
    ) -> None:
        """Put a plan in force; call it with the fleet locked. VMs that have gone since get nothing from it."""
        table = routing_table(
            problem,
            result.plan,
            snapshot=context.etag,
            created_at_s=now_s,
            mode=result.mode,
            stale_after_s=STALE_AFTER_PLANS * every_s,
            thresholds={name: _thresholds(name) for name in problem.endpoints},
        )
        self.answer = RoutesAnswer(result, result.mode, context)
        if self._picker is None:
            self._picker = Picker(table)
        else:
            self._picker.replace(table)
        self._servers = dict(zip(problem.instances, (problem.servers[s] for s in problem.instance_server), strict=True))
        self._serve_again(self._drained - self._servers.keys())
        self._drain(self._servers.keys() - fleet.vms.keys() - self._drained)

    def route(
        self, endpoint: str, prompt_tokens: float, output_tokens: float, session: str | None, *, now_s: float
    ) -> RouteAnswer:
        """Choose an instance for one request.

        Raises
        ------
        NotFound
            There is no such endpoint.
        NoInstance
            None of the endpoint's instances may take it now.
        """
        picker = self._picker
        if picker is None:
            raise NoInstance(f"endpoint {endpoint}: no routing plan was made yet; try again in a second")
        table = picker.table
        if endpoint not in table.thresholds:
            known = ", ".join(sorted(table.thresholds)[:8]) or "none"
            raise NotFound("endpoint", endpoint, f"known are {known}; create it with PutEndpoint")
        request_class = request_class_of(table, endpoint, prompt_tokens, output_tokens)
        self._count(endpoint, request_class, prompt_tokens + output_tokens)
        pick: Pick = picker.pick(
            request_class, prompt_tokens + output_tokens, now_s=now_s, rng=self._rng, session=session
        )
        server = self._servers.get(pick.instance, "")
        age_s = max(0.0, now_s - table.created_at_s)
        return RouteAnswer(
            pick.instance, server, pick.request_class, pick.pending_tokens, pick.mode, pick.snapshot, age_s
        )

    def _drain(self, names: Collection[str]) -> None:
        """Give instances that are gone nothing more; the table in force still names them."""
        for name in names:
            if self._picker is not None:
                self._picker.drain(name)
        self._drained |= set(names)

    def _serve_again(self, names: Collection[str]) -> None:
        """Stop draining: a VM of that name is back, or no table names it any more."""
        for name in names:
            if self._picker is not None:
                self._picker.serve(name)
        self._drained -= set(names)

    def complete(self, instance: str, tokens: float) -> None:
        """A request of so many pending tokens has ended at an instance."""
        if self._picker is not None:
            self._picker.complete(instance, tokens)

    def _count(self, endpoint: str, request_class: str, tokens: float) -> None:
        with self._lock:
            by_class = self._tokens.setdefault(endpoint, {})
            by_class[request_class] = by_class.get(request_class, 0.0) + tokens

    def _mix(self, fleet: Fleet) -> Mix:
        """Fractions of tokens by class as counted lately; a class never seen keeps a small part."""
        with self._lock:
            for by_class in self._tokens.values():
                for name in by_class:
                    by_class[name] *= MIX_MEMORY_FRAC
            counted = {name: dict(by_class) for name, by_class in self._tokens.items()}
        return {endpoint: _fractions(endpoint, counted.get(endpoint, {})) for endpoint in fleet.endpoints}


def _class_name(endpoint: str, lengths: str) -> str:
    return f"{endpoint}/{lengths}"


def _thresholds(endpoint: str) -> LengthThresholds:
    return LengthThresholds.between([(_class_name(endpoint, n), p, o) for n, p, o in TYPICAL_LENGTHS])


def _fractions(endpoint: str, counted: Mapping[str, float]) -> dict[str, float]:
    names = [_class_name(endpoint, name) for name, _, _ in TYPICAL_LENGTHS]
    floor = max(1.0, 0.01 * sum(counted.values()))
    weights = {name: counted.get(name, 0.0) + floor for name in names}
    total = sum(weights.values())
    return {name: weight / total for name, weight in weights.items()}
