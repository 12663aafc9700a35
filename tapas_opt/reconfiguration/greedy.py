"""A plan within milliseconds, and a bound: find prices, let every instance choose, and put right what does not fit.

What power, air and tokens are worth is found by climbing the bound (:mod:`tapas_opt.reconfiguration.pricing`). At these
prices all instances choose for themselves, so that domains and demand are missed by little. Overloaded domains are then
relieved and demand is served by the steps that cost least at the prices, and whatever still pays is bought back
(:mod:`tapas_opt.reconfiguration.search`, whose loops are compiled).
"""

from __future__ import annotations

from tapas_opt.reconfiguration.problem import ReconfigurationPlan, ReconfigurationProblem

__all__ = ["bounded", "greedy", "warm_up"]


def greedy(problem: ReconfigurationProblem) -> ReconfigurationPlan:
    """Excess first, then cost; a plan for every problem, with declared excess where nothing found avoids it."""
    return bounded(problem)[0]


def bounded(problem: ReconfigurationProblem) -> tuple[ReconfigurationPlan, float]:
    """Greedy's plan, and a lower bound on the cost of any plan with no more excess than this one declares."""
    if not problem.instances:
        return problem.present(), 0.0
    from tapas_opt.reconfiguration.search import Search  # noqa: PLC0415  compiled loops take long to import
    from tapas_opt.reconfiguration.tables import tables_of  # noqa: PLC0415

    return Search(tables_of(problem)).run()


def warm_up() -> None:
    """Load what the greedy path needs, and compile it, or load what was compiled before."""
    # compiled loops take long to import
    from tapas_opt.reconfiguration import kernels, load_kernels, search, search_kernels, tables  # noqa: F401, PLC0415

    kernels.warm_up()
    load_kernels.warm_up()
    search_kernels.warm_up()
