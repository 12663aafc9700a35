"""Failures, plans, and the configurations that agents carry out."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

from grpc import ServicerContext

from tapas_opt.api.v1.reconfiguration_service_pb2 import (
    AcknowledgeConfigurationRequest,
    AcknowledgeConfigurationResponse,
    ApplyPlanRequest,
    ApplyPlanResponse,
    ClearFailureRequest,
    ClearFailureResponse,
    ListArmedPlansRequest,
    ListArmedPlansResponse,
    ListConfigurationsRequest,
    ListConfigurationsResponse,
    PlanReconfigurationRequest,
    PlanReconfigurationResponse,
    ReportFailureRequest,
    ReportFailureResponse,
    WatchConfigurationsRequest,
    WatchConfigurationsResponse,
)
from tapas_opt.errors import NotFound
from tapas_opt.service import convert, respond
from tapas_opt.service.core import Core
from tapas_opt.service.ledger import Decided
from tapas_opt.service.status import answering
from tapas_opt.service.watching import Watch

__all__ = ["ReconfigurationServicer"]


class ReconfigurationServicer:
    """Which configuration each SaaS instance runs."""

    def __init__(self, core: Callable[[], Core]) -> None:
        self._core = core

    def ReportFailure(self, request: ReportFailureRequest, context: ServicerContext) -> ReportFailureResponse:
        """Take note of a failure, and do at once what stage Now calls for."""
        with answering(context):
            core, read = self._core(), convert.Request(request)
            read.mutation()
            failure = read.failure(request.failure, core.clock.now_s())
            read.done()

            def decide() -> Callable[[], Decided]:
                now_s, budget_s = core.clock.now_s(), core.budget_s(context)
                answer = core.controller.report_failure(failure, now_s=now_s, deadline_s=budget_s)

                def settle() -> Decided:
                    settled = core.controller.settled_failure(answer, failure, now_s=now_s)
                    response = ReportFailureResponse(failure=failure.label)
                    if settled.proposal is not None:
                        plan = respond.plan(core.controller, settled.proposal, published=settled.published)
                        response.plan.CopyFrom(plan)
                    return Decided(settled.events, response)

                return settle

            kind = ReportFailureResponse
            answer = core.ledger.carry_out(
                request, kind, decide
            )  # a failure is a fact, whether its reporter waits or not
            core.changed()
            return answer

    def ClearFailure(self, request: ClearFailureRequest, context: ServicerContext) -> ClearFailureResponse:
        """An element works again."""
        with answering(context):
            core, read = self._core(), convert.Request(request)
            read.mutation()
            label = read.name("failure")
            read.done()
            response = ClearFailureResponse(failure=label)
            return core.quickly(request, lambda: core.controller.clear_failure(label), response)

    def PlanReconfiguration(
        self, request: PlanReconfigurationRequest, context: ServicerContext
    ) -> PlanReconfigurationResponse:
        """Plan, without publishing."""
        with answering(context):
            core, read = self._core(), convert.Request(request)
            stage = read.stage()
            read.done()
            now_s, budget_s = core.clock.now_s(), core.budget_s(context)
            gone = core.hung_up(context)
            proposal = core.controller.plan_reconfiguration(
                stage,
                now_s=now_s,
                deadline_s=budget_s,
                cancel=gone,
                explain=request.explain,
                horizon_slots=request.horizon_slots,
            )
            with core.controller.lock:
                plan = respond.plan(core.controller, proposal, published=False)
            return PlanReconfigurationResponse(plan=plan)

    def ApplyPlan(self, request: ApplyPlanRequest, context: ServicerContext) -> ApplyPlanResponse:
        """Publish a plan."""
        with answering(context):
            core, read = self._core(), convert.Request(request)
            read.mutation()
            for field in ("plan_id", "etag", "approver"):
                if not getattr(request, field):
                    read.fault(field, "is missing")
            read.done()

            def settle() -> Decided:
                now_s = core.clock.now_s()
                events = core.controller.apply_plan(request.plan_id, request.etag, request.approver, now_s=now_s)
                changes = sum(len(getattr(event, "choice_of", ())) for event in events)
                return Decided(events, ApplyPlanResponse(plan_id=request.plan_id, changes=changes))

            answer = core.ledger.carry_out(request, ApplyPlanResponse, lambda: settle)
            core.changed()
            return answer

    def ListConfigurations(
        self, request: ListConfigurationsRequest, context: ServicerContext
    ) -> ListConfigurationsResponse:
        """What every VM that may be changed shall run."""
        with answering(context):
            controller = self._core().controller
            with controller.lock:
                fleet = controller.fleet
                if request.endpoint and request.endpoint not in fleet.endpoints:
                    raise NotFound("endpoint", request.endpoint, "create it with PutEndpoint")
                items = [item for item in fleet.changeable() if request.endpoint in ("", item.vm.endpoint)]
                found = respond.desired(controller, items)
            return ListConfigurationsResponse(configurations=found)

    def WatchConfigurations(
        self, request: WatchConfigurationsRequest, context: ServicerContext
    ) -> Iterator[WatchConfigurationsResponse]:
        """What VMs shall run and what is armed for them, and every change of it."""
        with answering(context):
            watch = Watch(self._core().controller, request.endpoint, request.vms)
            yield from watch.until(lambda: not context.is_active())

    def ListArmedPlans(self, request: ListArmedPlansRequest, context: ServicerContext) -> ListArmedPlansResponse:
        """What is kept ready for which failure."""
        with answering(context):
            controller = self._core().controller
            with controller.lock:
                found = [respond.armed(controller, one) for one in controller.arming.all]
            return ListArmedPlansResponse(plans=found)

    def AcknowledgeConfiguration(
        self, request: AcknowledgeConfigurationRequest, context: ServicerContext
    ) -> AcknowledgeConfigurationResponse:
        """An agent has carried a change out."""
        with answering(context):
            core, read = self._core(), convert.Request(request)
            read.mutation()
            vm = read.name("vm")
            if not math.isfinite(request.freed_w):
                read.fault("freed_w", f"{request.freed_w}: must be a finite number; leave it out if it is not known")
            read.done()
            freed_w = request.freed_w if request.HasField("freed_w") else None
            response = AcknowledgeConfigurationResponse(generation=request.generation)
            return core.quickly(request, lambda: core.controller.acknowledge(vm, request.generation, freed_w), response)
