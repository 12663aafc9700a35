"""Trade places warm first, then ever colder: simulated annealing (Kirkpatrick, Gelatt and Vecchi 1983).

Trading (:mod:`tapas_opt.placement.trading`) at one low heat suits large batches, where some exchange nearly always
pays. In a small one the VMs have to fit together, and better plans lie behind worse ones.
"""

from __future__ import annotations

import time

import numpy as np

from tapas_opt.placement.problem import PlacementClasses, PlacementPlan, PlacementProblem
from tapas_opt.placement.trading import class_of_plan, plan_of_classes
from tapas_opt.placement.trading_kernels import trade
from tapas_opt.placement.trading_numbers import booked, terms_of

__all__ = ["cooled"]

TURNS, TRIES = 5, 5_000
"""Heats, and changes tried at each."""


def cooled(
    problem: PlacementProblem,
    classes: PlacementClasses,
    plan: PlacementPlan,
    heats: tuple[float, float],
    *,
    seed: int = 0,
    until: float = np.inf,
) -> PlacementPlan:
    """The plan that trading leads to from one that keeps all limits; the checker has to say what it costs.

    Parameters
    ----------
    heats
        Of the first and the last turn, above 0, in cost units: a change that costs so much more is taken every third
        time or so.
    until
        A `time.perf_counter` after which no turn begins.
    """
    survival = problem.survival
    if survival is None or not survival.parts or not plan.server_of:
        return plan
    terms, empty = terms_of(problem, classes, survival)
    class_of = class_of_plan(problem, classes, plan)
    if not len(terms.mobile):
        return plan
    for turn, heat in enumerate(np.geomspace(*heats, TURNS).tolist()):
        if time.perf_counter() > until:
            break
        class_of, _ = trade(terms, booked(terms, empty, class_of), TRIES, heat, seed + turn)
    return plan_of_classes(problem, classes, class_of)
