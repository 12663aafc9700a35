"""Time the per-request pick and the greedy routing plan; prints one JSON object.

Run: python benchmarks/route_pick.py [picks]
"""

from __future__ import annotations

import gc
import json
import random
import sys
import time

import numpy as np

from tapas_opt.budgets.numbers import BudgetFamily, BudgetNumbers
from tapas_opt.domain.result import Constraint
from tapas_opt.routing.greedy import greedy
from tapas_opt.routing.pick import Picker, routing_table
from tapas_opt.routing.problem import RoutingProblem


def problem_of(instances: int, *, alike: bool, full: float) -> RoutingProblem:
    """One endpoint with nine classes, rows of 20 servers whose budget holds at 90 % of full load."""
    rng = np.random.default_rng(1)
    spread = np.zeros(instances, dtype=np.int64) if alike else rng.integers(0, 200, instances)
    rows = max(1, instances // 20)
    row = np.arange(instances) % rows
    count = np.bincount(row, minlength=rows)[:, None]
    base, limit = count * 1_500, count * (1_500 + 4_500 * 9 // 10)
    share = np.full((instances, 1), 1000)
    family = BudgetFamily(
        Constraint.ROW_POWER_BUDGET, "W", tuple(f"R{r}" for r in range(rows)), row[:, None], share, limit, base
    )
    goodput = 5_000 + spread
    demand = np.full(9, int(goodput.sum() * full) // 9)
    steep = np.array([[100, 200, 400, 1_600]]) + spread[:, None]
    return RoutingProblem(
        instances=tuple(f"I{i}" for i in range(instances)),
        servers=tuple(f"S{i}" for i in range(instances)),
        instance_server=np.arange(instances),
        instance_endpoint=np.zeros(instances, dtype=np.int64),
        endpoints=("conv",),
        classes=tuple(f"conv/{q}" for q in range(9)),
        class_endpoint=np.zeros(9, dtype=np.int64),
        class_tokens_per_s=demand,
        class_work_permille=np.full(9, 1000),
        instance_goodput=goodput,
        breakpoints_permille=np.array([0, 250, 500, 750, 1000]),
        latency_cost=steep,
        power_w=np.full((instances, 4), 1_125),
        airflow_cfm=np.full((instances, 4), 50),
        gpu_power_w=np.full((instances, 4), 60),
        gpu_headroom_w=np.full(instances, 300),
        budgets=BudgetNumbers(("now",), (family,)),
    )


def picks_us(problem: RoutingProblem, picks: int, in_flight: int) -> dict[str, float]:
    """Microseconds a pick, with so many requests in flight, at the rate the plan was made for."""
    picker = Picker(routing_table(problem, None, snapshot="s1", created_at_s=0.0))
    rng = random.Random(1)
    per_s = float(problem.class_tokens_per_s.sum()) / 500
    names, taken, pending = problem.classes, [], []
    gc.collect()
    gc.disable()
    for k in range(picks):
        name, session, now_s = names[k % 9], f"session{k % 50_000}", k / per_s
        began = time.perf_counter_ns()
        pick = picker.pick(name, 500.0, now_s=now_s, rng=rng, session=session)
        taken.append(time.perf_counter_ns() - began)
        pending.append(pick)
        if len(pending) > in_flight:
            done = pending[k - in_flight]
            picker.complete(done.instance, done.pending_tokens)
            pending[k - in_flight] = None
    gc.enable()
    return {f"p{p:g}": round(float(np.percentile(taken, p)) / 1e3, 2) for p in (50, 99, 99.9)}


def greedy_ms(problem: RoutingProblem) -> float:
    """Best of five."""
    best = float("inf")
    for _ in range(5):
        began = time.perf_counter()
        greedy(problem)
        best = min(best, time.perf_counter() - began)
    return round(best * 1e3, 2)


def main(picks: int) -> None:
    sizes = (10, 100, 1_000, 10_000)
    answer: dict[str, object] = {"picks": picks}
    answer["pick_us"] = {str(n): picks_us(problem_of(n, alike=False, full=0.7), picks, in_flight=10 * n) for n in sizes}
    answer["greedy_ms"] = {
        f"{n} {'alike' if alike else 'all different'}": greedy_ms(problem_of(n, alike=alike, full=0.85))
        for n in sizes
        for alike in (True, False)
    }
    sys.stdout.write(json.dumps(answer) + "\n")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
