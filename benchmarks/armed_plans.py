"""How long the answer to a failure takes with a plan that was armed for it, and without: one JSON object.

usage: python benchmarks/armed_plans.py [SERVERS ...]      (default: 80 1000)

The sites are filled to seven tenths and so busy that the loss of a UPS needs a plan. Without an armed plan, greedy is
timed by itself and with the solver behind it, which has its usual 0.3 s. Each figure is the least of five.
"""

import json
import sys
import time
from dataclasses import replace

from tapas_opt.bench.instances import PEAK_S, Making, filled_site
from tapas_opt.cli.bench_answer import machine
from tapas_opt.cli.paths import demo_data, demo_models
from tapas_opt.control.telemetry import Readings
from tapas_opt.domain.failure import Failure, FailureKind
from tapas_opt.mip.worker import Workers

TIMES = 5
WATTS = 5_400.0
"""A server with a VM draws so much: three of four UPSs cannot carry that."""


def busy(servers, workers):
    making = Making(servers, 1, demo_models(), demo_data() / "profiles.csv")
    controller = filled_site(making, 0.7, workers=workers)
    watts = {placed.server: WATTS for placed in controller.fleet.vms.values()}
    controller.observe(Readings(PEAK_S, outdoor_c={"room1": 28.0}, server_power_w=watts))
    return controller


def least(run):
    found = []
    for _ in range(TIMES):
        began = time.perf_counter()
        answer = run()
        found.append((time.perf_counter() - began, answer))
    return min(found, key=lambda pair: pair[0])


def rows(servers, workers):
    controller = busy(servers, workers)
    failure = Failure(FailureKind.UPS, controller.fleet.topology.upses[1])

    def reported():
        return controller.report_failure(failure, now_s=PEAK_S, deadline_s=10.0)

    usual = controller.settings
    for name, settings in (("greedy", replace(usual, solver="greedy")), ("auto", usual)):
        controller.settings = settings
        yield row(servers, f"not armed, {name}", *least(reported))
    began, looks = time.perf_counter(), 0
    while controller.arm(PEAK_S):
        looks += 1
    arming_s = (time.perf_counter() - began) / looks
    yield row(servers, "armed", *least(reported)) | {"arming_s_each": round(arming_s, 4), "failures": looks}
    began = time.perf_counter()
    while controller.arm(PEAK_S + 60.0):
        pass
    yield {
        "servers": servers,
        "what": "armed plan looked at",
        "s_each": round((time.perf_counter() - began) / looks, 4),
    }


def row(servers, what, seconds, answer):
    proposal = answer.proposal
    return {
        "servers": servers,
        "what": what,
        "answer_s": round(seconds, 4),
        "answered_by": proposal.result.solver,
        "mode": proposal.result.mode,
        "changes": len(proposal.changes),
        "excess": sum(proposal.result.plan.excess.values()),
        "objective": proposal.result.objective,
    }


def main():
    sizes = [int(argument) for argument in sys.argv[1:]] or [80, 1000]
    with Workers() as workers:
        workers["highs"].wait_until_ready(30.0)
        found = [each for servers in sizes for each in rows(servers, workers)]
    print(json.dumps({"rows": found, "machine": machine()}, indent=1))


if __name__ == "__main__":
    main()
