"""How long decisions take, and how far from their bounds they are, on generated sites: one JSON object.

usage: python benchmarks/decisions.py [SERVERS ...]      (default: 80 1000)

Figures of one machine on one day, to be compared within one run only. Sites are filled to seven tenths with the demo's
mix of VMs and use the demo's models, pooled by hardware; every plan is judged by the checker.
"""

import json
import platform
import sys
import time
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

from tapas_opt.control.controller import Controller, Settings
from tapas_opt.control.events import VmOnServer, VmsAdopted
from tapas_opt.control.forecast import Profiles
from tapas_opt.domain.configuration import read_profiles
from tapas_opt.domain.failure import Failure, FailureKind
from tapas_opt.domain.site_generator import generate_site
from tapas_opt.domain.workload import Endpoint, Slo
from tapas_opt.learn.models import LearnedModels
from tapas_opt.mip.machine import cores
from tapas_opt.plant.workload import ENDPOINTS, Workload
from tapas_opt.reconfiguration.problem import Stage
from tapas_opt.solve import solve, solver_workers

ROOT = Path(__file__).resolve().parents[1]
FILLED_FRAC = 0.7
BATCH = 32
SECONDS = 5.0
PEAK_S = 15 * 3600.0


def controller_of(servers, workers):
    controller = Controller(
        generate_site(servers),
        LearnedModels.load(ROOT / "models" / "demo"),
        Profiles(read_profiles(ROOT / "data" / "demo" / "profiles.csv")),
        workers=workers,
        settings=Settings(),
    )
    for name, configuration in ENDPOINTS.items():
        controller.apply(controller.put_endpoint(Endpoint(name, Slo(5.0, 0.5), configuration)))
    names = controller.fleet.topology.servers
    vms = Workload(seed=1).initial_vms(int(FILLED_FRAC * servers))
    every = len(names) / len(vms)
    controller.apply([VmsAdopted(tuple(VmOnServer(vm, names[int(i * every)]) for i, vm in enumerate(vms)))])
    return controller


def problems(controller):
    arrivals = [replace(Workload(seed=1).vm(f"new-{i:03d}"), group=None) for i in range(BATCH)]
    failed = [Failure(FailureKind.UPS, controller.fleet.topology.upses[1])]
    yield f"placement of {BATCH}", lambda: controller.placement_problem(arrivals, (), now_s=PEAK_S)
    for stage in Stage:
        yield (
            f"reconfiguration {stage}",
            lambda stage=stage: controller.reconfiguration_problem(stage, failed, now_s=PEAK_S),
        )
    yield "routing plan", lambda: controller.router.problem(controller.forecast_next_hour(now_s=PEAK_S))


def rows(servers, workers):
    controller = controller_of(servers, workers)
    for name, state in problems(controller):
        began = time.perf_counter()
        problem = state()
        stated_s = time.perf_counter() - began
        for solver in ("greedy", "highs", "auto"):
            began = time.perf_counter()
            result = solve(problem, solver=solver, deadline_s=SECONDS, workers=workers)
            yield {
                "servers": servers,
                "problem": name,
                "solver": solver,
                "answered_by": result.solver,
                "state_s": round(stated_s, 4),
                "total_s": round(time.perf_counter() - began, 4),
                "status": result.status,
                "mode": result.mode,
                "objective": result.objective,
                "bound": result.bound,
                "gap_frac": round(result.gap_frac, 5),
                "checker": "ok" if result.checked.ok else str(result.checked.violations[0]),
            }


def machine():
    packages = {name: version(name) for name in ("tapas-opt", "highspy", "ortools", "pyomo", "numpy")}
    return {"cores": cores(), "processor": platform.machine(), "python": platform.python_version(), **packages}


def main():
    sizes = [int(argument) for argument in sys.argv[1:]] or [80, 1000]
    with solver_workers() as workers:
        workers["highs"].wait_until_ready(30.0)
        found = [row for servers in sizes for row in rows(servers, workers)]
    print(json.dumps({"rows": found, "machine": machine()}, indent=1))


if __name__ == "__main__":
    main()
