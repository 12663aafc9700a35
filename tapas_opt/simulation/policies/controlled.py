"""The policy ``tapas-opt``: the control code that the service runs, in this process and by simulated time.

Solvers stop by work and not by the clock; how long a decision takes is a stated constant of the actuators
(:class:`~tapas_opt.control.actuation.Actuation`). So the same seed gives the same run on any machine.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence

from tapas_opt.control import events as happened
from tapas_opt.control.controller import Controller
from tapas_opt.control.reconfiguring import FILL_FRAC
from tapas_opt.control.settings import Settings
from tapas_opt.domain.failure import Failure
from tapas_opt.domain.workload import Group, Vm
from tapas_opt.errors import NoInstance
from tapas_opt.reconfiguration.problem import Stage
from tapas_opt.simulation.policies.insight import HEARD_EVERY_S
from tapas_opt.simulation.policies.tapas_configure import orders_of
from tapas_opt.simulation.policy import Orders, Request, Shares
from tapas_opt.simulation.sensed import Telemetry

__all__ = ["BY_WORK", "Controlled"]

NO_DEADLINE_S = 1.0
"""Not looked at: work is counted."""

SHORT_S, HELPLESS_S = 120.0, 900.0
"""A shortage of instances is an event and calls for a review: not sooner than what the last one ordered takes, and as
seldom as the regular ones where nothing helps."""

BY_WORK = Settings(
    work=1,
    route_every_s=300.0,
    arm_every_s=0.0,  # a plan made at the failure stands for the armed one: how long it takes is a constant here
    settle_after_s=0.0,  # the loop asks for a review by itself
)
"""How the simulation sets the controller."""


class Controlled:
    """Asks a controller for everything, and does what the service does around it.

    Placements are the greedy path's, checked as all are: what a solver improves there within a counted amount of work
    takes seconds for each hour of the story.
    """

    name = "tapas-opt"

    def __init__(self, controller: Controller) -> None:
        self._controller = controller
        self._greedy_is_enough = threading.Event()
        self._greedy_is_enough.set()
        self._seen: dict[str, int] = {}
        self._looked_at = -1
        self._heard_s = self._reviewed_s = float("-inf")
        self._patience_s = SHORT_S
        self._planned: object = None
        self._shares: Shares = {}

    def adopt(self, vms: Sequence[tuple[Vm, str]], groups: Sequence[Group], now_s: float) -> None:
        """Take VMs over where they are."""
        there = [happened.VmOnServer(vm, server) for vm, server in vms]
        self._controller.apply(self._controller.adopt(there, groups))

    def place(self, vms: Sequence[Vm], groups: Sequence[Group], now_s: float) -> Mapping[str, str]:
        """Reserve, and confirm at once: VMs start without delay."""
        answer = self._controller.place(
            vms, groups, now_s=now_s, deadline_s=NO_DEADLINE_S, cancel=self._greedy_is_enough
        )
        self._controller.apply(answer.events)
        placed = {item.vm.name: item.server for item in answer.placed}
        self._controller.apply(self._controller.confirm(sorted(placed)))
        return placed

    def release(self, names: Sequence[str], now_s: float) -> None:
        """VMs have left; routing follows at once."""
        self._controller.apply(self._controller.release(names))

    def observe(self, telemetry: Telemetry) -> Orders:
        """Take telemetry in, and do what the service does without being asked."""
        now_s, controller = telemetry.t_s, self._controller
        short = self._is_newly_short(telemetry)
        if controller.fleet.failures or short or now_s - self._heard_s >= HEARD_EVERY_S:
            self._heard_s = now_s
            controller.observe(telemetry.named(controller.fleet.topology))
        controller.apply(controller.tick(now_s))
        proposal = controller.follow_up(now_s)
        if proposal is not None:
            controller.apply(controller.settled_follow_up(proposal, now_s))
        return self.review(now_s) if short else self._orders("")

    def shares(self, now_s: float) -> Shares:
        """Those of the routing plan in force, request classes weighted alike.

        It is made anew as soon as anything has changed, such as an agent's word that it runs another clock.
        """
        self._controller.refresh_routes(now_s=now_s)
        answer = self._controller.router.answer
        table = self._controller.router.table
        if table is not None and answer is not None and answer is not self._planned:
            self._planned = answer
            carrying = {
                name: of
                for name, of, most in zip(table.instances, table.endpoint_of, table.carries, strict=True)
                if most > 0.0
            }
            self._shares = _by_endpoint(table.shares, carrying)
        return self._shares

    def route(self, requests: Sequence[Request], now_s: float) -> int:
        """Pick for each request by itself."""
        self._controller.refresh_routes(now_s=now_s)
        routed = 0
        for request in requests:
            try:
                answer = self._controller.router.route(
                    request.endpoint, request.prompt_tokens, request.output_tokens, None, now_s=now_s
                )
            except NoInstance:
                continue
            self._controller.router.complete(answer.instance, answer.pending_tokens)
            routed += 1
        return routed

    def announced(self, outage: Failure, now_s: float) -> None:
        """Place so that it is borne."""
        self._controller.apply(self._controller.schedule_outage(outage, now_s=now_s))

    def failed(self, failure: Failure, now_s: float) -> Orders:
        """Report it; a plan that is armed or made now is published."""
        answer = self._controller.report_failure(failure, now_s=now_s, deadline_s=NO_DEADLINE_S)
        self._controller.apply(answer.events)
        return self._orders(f"answer to {failure.label}")

    def cleared(self, failure: Failure, now_s: float) -> Orders:
        """It is over; the next review lets go."""
        self._controller.apply(self._controller.clear_failure(failure.label))
        return Orders()

    def review(self, now_s: float) -> Orders:
        """Plan where to settle, and apply it if it is worth its changes."""
        self._reviewed_s = now_s
        proposal = self._controller.plan_reconfiguration(Stage.SETTLED, now_s=now_s, deadline_s=NO_DEADLINE_S)
        if not proposal.needed:
            return Orders()
        etag = proposal.context.etag
        self._controller.apply(self._controller.apply_plan(proposal.plan_id, etag, "simulation", now_s=now_s))
        return self._orders("settles")

    def applied(self, vm: str, now_s: float) -> None:
        """Acknowledge, as an agent does."""
        placed = self._controller.fleet.vms.get(vm)
        if placed is not None and placed.acknowledged != placed.generation:
            self._controller.apply(self._controller.acknowledge(vm, placed.generation, None))

    def _is_newly_short(self, telemetry: Telemetry) -> bool:
        """Whether instances are short and a review may help: after each that did not, it is asked for half as often."""
        if telemetry.t_s - self._reviewed_s < self._patience_s:
            return False
        short = self._is_short(telemetry.endpoint_tokens_per_s)
        self._patience_s = min(2.0 * self._patience_s, HELPLESS_S) if short else SHORT_S
        return short

    def _is_short(self, demand_tokens_per_s: Mapping[str, float]) -> bool:
        """Whether an endpoint is asked for nearly as much as its instances carry as they are, or for more."""
        table = self._controller.router.table
        if table is None:
            return False
        carried = dict.fromkeys(table.members, 0.0)
        for endpoint, most in zip(table.endpoint_of, table.carries, strict=True):
            carried[endpoint] += most
        return any(asked > FILL_FRAC * carried.get(name, 0.0) for name, asked in demand_tokens_per_s.items())

    def _orders(self, why: str) -> Orders:
        """What VMs should run now and were not told before."""
        fleet = self._controller.fleet
        if fleet.generation == self._looked_at:
            return Orders()
        self._looked_at = fleet.generation
        news = {
            placed.vm.name: placed
            for placed in fleet.changeable()
            if placed.choice is not None and placed.generation > self._seen.get(placed.vm.name, 1)
        }
        self._seen |= {name: placed.generation for name, placed in news.items()}
        changes = {name: placed.choice for name, placed in news.items() if placed.choice is not None}
        return orders_of(changes, f"{why}: {len(changes)} instances change" if why and changes else "")


def _by_endpoint(shares_of_class: Mapping[str, Mapping[str, float]], endpoint_of: Mapping[str, str]) -> Shares:
    """The mean of an endpoint's request classes; those that may carry more than planned are named as well."""
    classes: dict[str, list[Mapping[str, float]]] = {}
    for name, shares in shares_of_class.items():
        classes.setdefault(name.partition("/")[0], []).append(shares)
    spread: dict[str, dict[str, float]] = {}
    for endpoint, of_class in classes.items():
        into = spread.setdefault(endpoint, {})
        for shares in of_class:
            for instance, share in shares.items():
                into[instance] = into.get(instance, 0.0) + share / len(of_class)
    for instance, endpoint in endpoint_of.items():
        spread.setdefault(endpoint, {}).setdefault(instance, 0.0)
    return spread
