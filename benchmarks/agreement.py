"""Whether solvers agree, and with trying everything, on random small problems of the three kinds: one JSON object.

usage: python benchmarks/agreement.py [--problems 10000] [--first 0] [--out results/agreement.json]

The problems are those that the tests draw; placements in turn with budgets and groups only, promises, parts of servers,
failures, and budgets judged by days. Every solver answers each of them through `solve`, to a gap of nothing;
every plan that it accepts is judged by the checker once more. Exit code 1 if anything disagrees.
"""

import argparse
import json
import sys
import time
from collections import Counter
from importlib.util import module_from_spec, spec_from_file_location
from itertools import permutations, product
from pathlib import Path

import numpy as np

from tapas_opt.domain.result import Status
from tapas_opt.mip import scip
from tapas_opt.placement.problem import PlacementPlan
from tapas_opt.reconfiguration.problem import Stage
from tapas_opt.solve import KINDS, solve

ROOT = Path(__file__).resolve().parents[1]
KIND_NAMES = ("placement", "routing", "reconfiguration")
GAP_FRAC = 0.0
NEAR = 1e-6
DEADLINE_S = 60.0
EVERY_S = 10.0


def drawing(*folder):
    """The tests' own way of drawing problems."""
    spec = spec_from_file_location("_".join(folder), ROOT.joinpath("tests", *folder, "conftest.py"))
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


PLACEMENTS, SURVIVAL, DAYS = drawing("placement"), drawing("placement", "survival"), drawing("placement", "scenarios")
ROUTINGS, RECONFIGURATIONS = drawing("routing"), drawing("reconfiguration")


def placement(seed):
    problem = PLACEMENTS.make_random(seed, vms=2 + seed // 3 % 3, servers=2 + seed // 9 % 3)
    random = np.random.default_rng([seed, 13])
    more = (
        lambda: problem,
        lambda: PLACEMENTS.promising(problem, seed),
        lambda: PLACEMENTS.in_parts(problem, random, [0.5, 1.0], 4),
        lambda: SURVIVAL.surviving(problem, random, forget=True),
        lambda: DAYS.judged_by_days(problem, seed),
    )
    return more[seed // 3 % len(more)]()


def problem_of(kind, seed):
    if kind == "placement":
        return placement(seed)
    if kind == "routing":
        return ROUTINGS.make_random(seed)
    stage, size = list(Stage)[seed // 3 % 2], 2 + seed // 3 % 3
    return RECONFIGURATIONS.make_random(seed, stage=stage, instances=size, configurations=1 + seed // 9 % 2)


def all_plans(kind, problem):
    """Every plan there is; none where more than whole places and choices is decided: shares, GPUs, relief."""
    if kind == "placement" and problem.hosts is None and problem.survival is None:
        places = [*problem.servers, *[None] * len(problem.vms)]
        for chosen in set(permutations(places, len(problem.vms))):
            pairs = list(zip(problem.vms, chosen, strict=True))
            yield PlacementPlan({v: s for v, s in pairs if s}, tuple(v for v, s in pairs if not s))
    if kind == "reconfiguration":
        for choice in product(range(len(problem.choices.names)), repeat=len(problem.instances)):
            yield problem.plan(choice)


def worth(problem, plan):
    """Excess and cost of a plan by the checker alone; None for one that is not lawful."""
    excess = getattr(plan, "excess", {})
    if any(excess.values()):
        problem = problem.with_allowed_excess(excess)
    report = KINDS[type(problem)].check.check(problem, plan)
    return (sum(excess.values()), report.objective) if report.ok else None


class Tried:
    """Every plan of a problem with its worth."""

    def __init__(self, kind, problem):
        found = ((plan, worth(problem, plan)) for plan in all_plans(kind, problem))
        self.plans = [(plan, value) for plan, value in found if value is not None]
        self.problem = problem

    def optimum(self, plan):
        """Least excess, and least cost of plans that are over no limit by more than this one is."""
        excess = min(value[0] for _, value in self.plans)
        if excess == 0:
            return min(value for _, value in self.plans)
        capped = self.problem.with_allowed_excess(plan.excess)
        return excess, min(value[1] for other, value in self.plans if capped.allows(other))


def solvers_of(problem):
    exact = KINDS[type(problem)].exact_solvers
    return [name for name in exact if name != "scip" or scip.installed()]


def near(a, b):
    return abs(a - b) <= NEAR * max(1.0, abs(a), abs(b))


def judged(kind, seed, counts):
    """What is wrong with the answers to one problem, a sentence each."""
    problem = problem_of(kind, seed)
    tried = Tried(kind, problem)
    counts[kind] += 1
    counts["enumerated"] += bool(tried.plans)
    target = None
    for name in ("greedy", *solvers_of(problem)):
        result = solve(problem, solver=name, deadline_s=DEADLINE_S, gap_frac=GAP_FRAC, seed=seed)
        counts["answers"] += 1
        value = worth(problem, result.plan)
        if value is None or not result.checked.ok:
            yield f"{kind} {seed}: the plan of {name} was accepted and breaks a limit"
            continue
        if result.bound > result.objective + NEAR * max(1.0, result.objective):
            yield f"{kind} {seed}: {name} has a bound of {result.bound}, above its plan of {result.objective}"
        if tried.plans:
            target = tried.optimum(result.plan)
        if name == "greedy":
            continue
        if result.status is not Status.OPTIMAL:
            counts["unproven"] += 1
            yield f"{kind} {seed}: {name} proved nothing ({result.fallback or result.gap_frac})"
        target = target or value
        if not all(map(near, value, target)):
            yield f"{kind} {seed}: {name} has {value}, the optimum is {target}"


def run(first, problems, progress=lambda found: None):
    """Judge problems, the three kinds in turn; ``progress`` is told what was found so far."""
    counts, wrong = Counter(), []
    for seed in range(first, first + problems):
        wrong += judged(KIND_NAMES[seed % 3], seed, counts)
        found = {"first": first, "problems": seed - first + 1, "counts": dict(counts), "disagreements": wrong}
        progress(found)
    return found


def told_now_and_then(problems, out):
    """Say how far it is, and write what was found, every few seconds: who stops it has that."""
    last = [time.monotonic()]

    def progress(found):
        if time.monotonic() - last[0] > EVERY_S:
            last[0] = time.monotonic()
            print(f"{found['problems']:,} of {problems:,}", file=sys.stderr)
            if out:
                out.write_text(json.dumps(found, indent=1) + "\n")

    return progress


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--problems", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    began = time.monotonic()
    found = run(given.first, given.problems, told_now_and_then(given.problems, given.out))
    text = json.dumps(found | {"took_s": round(time.monotonic() - began)}, indent=1)
    print(text)
    if given.out:
        given.out.write_text(text + "\n")
    sys.exit(1 if found["disagreements"] else 0)


if __name__ == "__main__":
    main()
