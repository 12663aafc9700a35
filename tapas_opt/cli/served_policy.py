"""tapas-opt as a policy of the drill: every decision is asked of a real server over gRPC, measured, and audited."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tapas_opt.cli.drill_audit import Audit
from tapas_opt.client import Acknowledgement, Client, Completion, Decision, Plan, messages
from tapas_opt.control import events as happened
from tapas_opt.control.capping import CLOCK
from tapas_opt.control.profiles import PARKED, choice_name
from tapas_opt.control.telemetry import Readings
from tapas_opt.domain.failure import Failure
from tapas_opt.domain.workload import Endpoint, Group, Vm
from tapas_opt.errors import NoInstance
from tapas_opt.reconfiguration.problem import Stage
from tapas_opt.service.readings import believed
from tapas_opt.simulation.policy import Orders, Request, Shares
from tapas_opt.simulation.sensed import Telemetry

__all__ = ["Measured", "ServedPolicy"]

BATCH = 16
"""VMs asked for in one call."""

CATCH_UP_S, LOOK_EVERY_S = 1.0, 0.01
"""How long, and how often, it is looked whether the routing plan has followed a change of the fleet."""


@dataclass
class Measured:
    """What the drill measures of the server."""

    route_ms: list[float] = field(default_factory=list)
    emergency_ms: list[float] = field(default_factory=list)
    modes: Counter[tuple[str, str]] = field(default_factory=Counter)

    def note(self, kind: str, decision: Decision) -> None:
        """Count who answered."""
        self.modes[kind, str(decision.mode or "UNKNOWN")] += 1

    @property
    def answered(self) -> dict[str, dict[str, int]]:
        """How often each mode answered each kind of decision."""
        counted: dict[str, dict[str, int]] = {}
        for (kind, mode), count in sorted(self.modes.items()):
            counted.setdefault(kind, {})[mode] = count
        return counted


class ServedPolicy:
    """Asks a server for everything."""

    name = "tapas-opt"

    def __init__(self, client: Client, endpoints: Sequence[Endpoint], audit: Audit, *, deadline_s: float) -> None:
        self.measured = Measured()
        self.audit = audit
        self._client = client
        self._deadline_s = deadline_s
        self._mix: Counter[str] = Counter()
        self._done: list[Completion] = []
        self._applied: set[str] = set()
        self._seen: dict[str, int] = {}
        self._shares: Shares = {}
        for endpoint in endpoints:
            client.put_endpoint(endpoint)
            audit.mirror.apply(audit.mirror.put_endpoint(endpoint))

    def adopt(self, vms: Sequence[tuple[Vm, str]], groups: Sequence[Group], now_s: float) -> None:
        """Tell the server what runs where already."""
        self._client.adopt(vms, groups)
        self.audit.adopted(vms, groups)

    def place(self, vms: Sequence[Vm], groups: Sequence[Group], now_s: float) -> Mapping[str, str]:
        """Reserve in batches, and confirm at once: the drill's VMs start without delay."""
        found: dict[str, str] = {}
        for first in range(0, len(vms), BATCH):
            batch = vms[first : first + BATCH]
            answer = self._client.place(batch, groups, timeout_s=self._deadline_s)
            self.measured.note("placement", answer.decision)
            self.audit.placed(batch, groups, answer.server_of, now_s)
            if answer.server_of:
                self._client.confirm(sorted(answer.server_of))
            found |= answer.server_of
        self._catch_up()
        return found

    def release(self, names: Sequence[str], now_s: float) -> None:
        """VMs leave; they serve until routing has let go of them."""
        self._client.release(names)
        self.audit.mirror.apply([happened.VmsReleased(tuple(names))])
        self._catch_up()

    def observe(self, telemetry: Telemetry) -> Orders:
        """Push telemetry, say what became of requests and orders, and ask for the next wave as an agent would."""
        readings = telemetry.named(self.audit.mirror.fleet.topology)
        self._client.push_telemetry([readings])
        self._mirror(readings)
        if self._done:
            self._client.complete(self._done)
            self._done.clear()
        if self._applied:
            self._acknowledge()
            self._catch_up()
        else:
            self._refresh()
        return self._orders("")

    def shares(self, now_s: float) -> Shares:
        """The routing table in force, as a gateway would hold it."""
        return self._shares

    def route(self, requests: Sequence[Request], now_s: float) -> int:
        """Ask for each request by itself, as a gateway without a table does."""
        routed = 0
        for request in requests:
            began = time.perf_counter()
            try:
                answer = self._client.route(request.endpoint, request.prompt_tokens, request.output_tokens)
            except NoInstance:
                self.measured.modes["route", "NO_INSTANCE"] += 1
                continue
            finally:
                self.measured.route_ms.append(1e3 * (time.perf_counter() - began))
            routed += 1
            self.measured.modes["route", str(answer.mode)] += 1
            self._mix[answer.request_class] += request.tokens
            self._done.append(Completion(request.endpoint, answer.instance, pending_tokens=answer.pending_tokens))
        return routed

    def announced(self, outage: Failure, now_s: float) -> None:
        """The drill announces nothing."""

    def failed(self, failure: Failure, now_s: float) -> Orders:
        """Report a failure; what comes back is verified and published already."""
        began = time.perf_counter()
        plan = self._client.report_failure(failure, timeout_s=self._deadline_s)
        self.measured.emergency_ms.append(1e3 * (time.perf_counter() - began))
        self.audit.mirror.apply([happened.FailureReported(failure)])
        if plan is None:
            return Orders()
        self.measured.note("emergency", plan.decision)
        return self._published(plan, now_s, f"answer to {failure.label}") if plan.published else Orders()

    def cleared(self, failure: Failure, now_s: float) -> Orders:
        """It is over; the next review lets go."""
        self._client.clear_failure(failure.label)
        self.audit.mirror.apply([happened.FailureCleared(failure.label)])
        self._catch_up()
        return Orders()

    def review(self, now_s: float) -> Orders:
        """Plan where to settle, and apply it if it is worth its changes."""
        plan = self._client.plan_reconfiguration(Stage.SETTLED, timeout_s=self._deadline_s)
        self.measured.note("reconfiguration", plan.decision)
        if not plan.needed:
            return Orders()
        self._client.apply_plan(plan.plan_id, plan.etag, "drill")
        return self._published(plan, now_s, "settles")

    def applied(self, vm: str, now_s: float) -> None:
        """Remember to acknowledge."""
        self._applied.add(vm)

    def _published(self, plan: Plan, now_s: float, why: str) -> Orders:
        """Audit a plan that is in force now, and take its first wave."""
        choice_of = {change.vm: _choice(change.to_configuration, change.load_frac) for change in plan.changes}
        self.audit.planned(plan, choice_of, now_s)
        what = f"{why}: {len(choice_of)} instances change ({plan.decision.mode}, {plan.decision.solver})"
        over = ", ".join(f"{item.name} over by {item.amount:,.0f} {item.unit}" for item in plan.excess)
        self._catch_up()
        return self._orders(f"{what}; {over}" if over else what)

    def _orders(self, why: str) -> Orders:
        """What VMs should run now and did not before."""
        news = [
            desired for desired in self._client.configurations() if desired.generation > self._seen.get(desired.vm, 1)
        ]
        self._seen |= {desired.vm: desired.generation for desired in news}
        choice_of = {desired.vm: _choice(desired.configuration, desired.load_frac) for desired in news}
        if choice_of:
            self.audit.mirror.apply([happened.PlanApplied("", "", choice_of)])
        clocks = {desired.vm: desired.load_frac or 1.0 for desired in news if desired.configuration == CLOCK}
        return Orders({vm: choice for vm, choice in choice_of.items() if vm not in clocks}, clocks, why=why)

    def _mirror(self, readings: Readings) -> None:
        """Let the auditor hear what the server believed, or a bad sensor would make two worlds."""
        fleet = self.audit.mirror.fleet
        heard, _, _ = believed(messages.readings(readings), fleet.topology, fleet.endpoints)
        self.audit.mirror.observe(heard)

    def _acknowledge(self) -> None:
        for desired in self._client.configurations():
            if desired.vm in self._applied and desired.acknowledged_generation < desired.generation:
                self._client.acknowledge(Acknowledgement(desired.vm, desired.generation))
                self.audit.acknowledged(desired.vm)
        self._applied.clear()

    def _catch_up(self) -> None:
        """Give routing the blink that it takes to follow a change: it would be far less than a step of the drill."""
        until = time.monotonic() + CATCH_UP_S
        present = self._client.snapshot().fingerprint
        while self._client.routing_table().snapshot_fingerprint != present and time.monotonic() < until:
            time.sleep(LOOK_EVERY_S)
            present = self._client.snapshot().fingerprint
        self._refresh()

    def _refresh(self) -> None:
        """Shares by endpoint, each request class weighted by the tokens it has brought so far."""
        table = self._client.routing_table()
        shares: dict[str, dict[str, float]] = {}
        for endpoint in {entry.endpoint for entry in table.classes}:
            entries = [entry for entry in table.classes if entry.endpoint == endpoint]
            total = sum(self._mix[entry.request_class] + 1 for entry in entries)
            into = shares.setdefault(endpoint, {})
            for entry in entries:
                for name, share in entry.shares.items():
                    into[name] = into.get(name, 0.0) + share * (self._mix[entry.request_class] + 1) / total
        self._shares = shares


def _choice(configuration: str, load_frac: float | None) -> str:
    return choice_name(configuration, load_frac or 0.0) if configuration else PARKED
