"""The routing plan in milliseconds, and a bound: water poured along the segments that cost least with all they draw.

Segments are filled in order of cost for their width, first as far as no domain comes near a limit, then as far as the
limits. Where domains are short, the linear program (:mod:`tapas_opt.routing.program`) is solved through its interior
(:mod:`tapas_opt.routing.interior`): its columns say how far each segment is filled, and its prices in what order the
rest is (:mod:`tapas_opt.routing.pouring`). What is left goes unserved, first of the classes that ask for most work a
token. Feasible because segments are convex: what stops a segment stops the later ones of its instance too.
"""

from __future__ import annotations

from tapas_opt.routing.problem import RoutingPlan, RoutingProblem, routing_classes

__all__ = ["bounded", "greedy", "warm_up"]


def greedy(problem: RoutingProblem) -> RoutingPlan:
    """A feasible plan, near the best."""
    return bounded(problem)[0]


def bounded(problem: RoutingProblem) -> tuple[RoutingPlan, float]:
    """Greedy's plan, and a lower bound on the cost of any."""
    from tapas_opt.routing.pouring import Pouring  # noqa: PLC0415  compiled loops take long to import

    return Pouring(problem, routing_classes(problem)).run()


def warm_up() -> None:
    """Load what the greedy path needs, and compile it, or load what was compiled before."""
    from tapas_opt.routing import kernels, pouring, skyline_kernels  # noqa: F401, PLC0415  compiled loops take long to import

    kernels.warm_up()
    skyline_kernels.warm_up()
