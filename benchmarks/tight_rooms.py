"""Reconfiguration where many limits bind at once, HiGHS beside the decomposition: one JSON object.

usage: python benchmarks/tight_rooms.py [SERVERS ...] [--seconds S]      (default: 1000 10000, 10 s)

The problems are those of decisions.py after a UPS failure, made harder: twelve endpoints instead of two, six thermal
classes, a fifth of all rows and PDUs and a tenth of all aisles allowed 80 to 97 % of what they draw now, demand at 58
to 92 % of what is served now. The checker judges every plan; solvers run in this process, so that overruns show.
"""

import argparse
import json
import time
from dataclasses import replace

import numpy as np
from decisions import PEAK_S, controller_of, machine

from tapas_opt.domain.failure import PERMILLE, Failure, FailureKind
from tapas_opt.domain.result import Constraint
from tapas_opt.reconfiguration.problem import Stage
from tapas_opt.solve import solve

ENDPOINTS = 12
CEILINGS_W = (250, 280, 300, 330, 360, 400)
TIGHT_SHARE = {
    Constraint.RACK_POWER_BUDGET: 0.02,
    Constraint.ROW_POWER_BUDGET: 0.2,
    Constraint.PDU_POWER_BUDGET: 0.2,
    Constraint.AISLE_AIRFLOW_CAPACITY: 0.1,
    Constraint.AISLE_HEAT_CAPACITY: 0.05,
}
"""Share of the domains of a family that are made tight."""


def tightened(problem, seed):
    random = np.random.default_rng(seed)
    several = ENDPOINTS // len(problem.endpoints)
    endpoint = problem.instance_endpoint * several + random.integers(0, several, len(problem.instances))
    served = problem.choices.goodput_tokens_per_s[problem.instance_hardware, problem.current]
    share = random.uniform(0.58, 0.92, ENDPOINTS)
    preferred = problem.preferred_loss_permille
    return replace(
        problem,
        instance_endpoint=endpoint,
        endpoints=tuple(f"endpoint{e}" for e in range(ENDPOINTS)),
        allowed=np.repeat(problem.allowed, several, axis=0),
        preferred_loss_permille=None if preferred is None else np.repeat(preferred, several),
        server_ceiling_w=np.minimum(problem.server_ceiling_w, random.choice(CEILINGS_W, len(problem.servers))),
        demand_tokens_per_s=np.ceil(share * np.bincount(endpoint, served, minlength=ENDPOINTS)).astype(np.int64),
        budgets=replace(
            problem.budgets,
            families=tuple(tighter(problem, family, random) for family in problem.budgets.families),
        ),
    )


def tighter(problem, family, random):
    drawn = np.zeros((len(problem.servers), 1), dtype=np.int64)
    np.add.at(drawn[:, 0], problem.instance_server, problem.counted(problem.current, family.unit))
    now = family.drawn_permille(np.repeat(drawn, len(problem.budgets.slots), axis=1)) // PERMILLE
    tight = random.random(len(family.domains))[:, None] < TIGHT_SHARE.get(family.constraint, 0.0)
    allowed = family.base + np.ceil(now * random.uniform(0.8, 0.97, (len(family.domains), 1))).astype(np.int64)
    return replace(family, limit=np.where(tight & (now > 0), allowed, family.limit))


def rows(servers, seconds):
    controller = controller_of(servers, None)
    failed = [Failure(FailureKind.UPS, controller.fleet.topology.upses[1])]
    for stage in Stage:
        problem = tightened(controller.reconfiguration_problem(stage, failed, now_s=PEAK_S), seed=1)
        for solver in ("greedy", "highs", "decomposition"):
            for gap_frac in (1e-2,) if solver == "greedy" else (1e-2, 1e-3):
                began = time.perf_counter()
                result = solve(problem, solver=solver, deadline_s=seconds, gap_frac=gap_frac)
                yield {
                    "servers": servers,
                    "instances": len(problem.instances),
                    "stage": stage,
                    "solver": solver,
                    "answered_by": result.solver,
                    "gap_asked_frac": gap_frac,
                    "total_s": round(time.perf_counter() - began, 3),
                    "build_s": round(result.build_s, 3),
                    "objective": result.objective,
                    "bound": result.bound,
                    "gap_frac": round(result.gap_frac, 5),
                    "checker": "ok" if result.checked.ok else str(result.checked.violations[0]),
                }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("servers", nargs="*", type=int, default=[1_000, 10_000])
    parser.add_argument("--seconds", type=float, default=10.0)
    asked = parser.parse_args()
    found = [row for servers in asked.servers for row in rows(servers, asked.seconds)]
    print(json.dumps({"rows": found, "machine": machine()}, indent=1))


if __name__ == "__main__":
    main()
