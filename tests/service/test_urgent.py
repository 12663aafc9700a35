"""An emergency does not wait behind a placement."""

import threading
import time

import pytest

from tapas_opt.control.controller import Controller, Settings
from tapas_opt.control.events import EndpointPut, VmOnServer, VmsAdopted
from tapas_opt.domain.failure import Failure, FailureKind
from tapas_opt.domain.result import Mode, Status
from tapas_opt.domain.workload import Vm, VmKind
from tapas_opt.errors import WorkerFailed
from tapas_opt.learn.models import LearnedModels
from tapas_opt.mip.worker import Workers


@pytest.fixture
def busy_workers():
    """Its HiGHS process works on something for a minute, as on a placement that nobody bounds."""
    with Workers() as workers:
        worker = workers["highs"]
        assert worker.wait_until_ready(20.0)

        def solve_for_long():
            with pytest.raises(WorkerFailed, match="was closed"):
                worker.run(time.sleep, 60.0, deadline_s=60.0)

        solving = threading.Thread(target=solve_for_long)
        solving.start()
        yield workers
        workers.close()
        solving.join(5)


@pytest.fixture
def urgent_workers():
    with Workers() as workers:
        assert workers["highs"].wait_until_ready(20.0)
        yield workers


def test_a_failure_and_the_routes_are_solved_while_a_placement_is(
    repository, demo_site, profiles, chat, busy_workers, urgent_workers
):
    """Two instances of one endpoint, and a UPS that fails: greedy alone would be the answer of a busy solver."""
    models = LearnedModels.load(repository / "models" / "demo")
    # the machine may be busy too, but not for a minute; and greedy's answer shall not be near enough
    patient = Settings(emergency_s=10.0, emergency_gap_frac=0.0)
    controller = Controller(
        demo_site, models, profiles, workers=busy_workers, urgent_workers=urgent_workers, settings=patient
    )
    instances = [VmOnServer(Vm(f"chat-{i}", VmKind.SAAS, "acme", "chat"), f"R1-K1-S{i}") for i in (1, 2)]
    controller.apply([EndpointPut(chat), VmsAdopted(tuple(instances))])
    placed = controller.place([Vm("one", VmKind.IAAS, "acme")], (), now_s=0.0, deadline_s=4.0)
    assert "busy with another run" in placed.result.fallback
    answer = controller.report_failure(Failure(FailureKind.UPS, "U1"), now_s=0.0, deadline_s=10.0)
    assert answer.proposal.result.mode is Mode.SOLVER
    controller.apply(answer.events)
    assert controller.refresh_routes(now_s=0.0, deadline_s=10.0)
    routes = controller.router.answer.result
    assert routes.mode is Mode.SOLVER or routes.status is Status.OPTIMAL  # greedy may have proven it
