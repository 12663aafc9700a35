"""Paths: from the present choice to another one in a certain slot, or staying; and which instances are alike."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tapas_opt.budgets.classes import Classes, classes_of
from tapas_opt.budgets.numbers import BudgetFamily, BudgetNumbers
from tapas_opt.domain.failure import PERMILLE
from tapas_opt.reconfiguration.classes import Options, options_of
from tapas_opt.reconfiguration.horizon.problem import HorizonProblem
from tapas_opt.reconfiguration.problem import Aim

__all__ = ["HorizonClasses", "horizon_classes"]

IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class HorizonClasses:
    """Interchangeable instances and their paths. Index letter n counts classes, c choices, τ the slot of the change.

    Attributes
    ----------
    kind
        ``[class]`` index into the options.
    path
        ``[class, choice, τ]`` whether there is such a path; the last τ is never, and is for the present choice alone.
    budgets
        Without the domains that these instances cannot fill.
    excess_limit
        For each budget family, ``[domain]`` the most that may be declared there.
    """

    problem: HorizonProblem
    instances: Classes
    kind: IntArray
    options: Options
    path: BoolArray
    budgets: BudgetNumbers
    excess_limit: tuple[IntArray, ...]

    @property
    def current(self) -> IntArray:
        """``[class]`` present choice."""
        return self.problem.now.current[self.instances.first]

    @property
    def running(self) -> IntArray:
        """``[kind, choice]`` what a slot costs."""
        return self.options.quality + self.options.energy + self.options.iaas_performance

    def over_slots(self, table: IntArray, n: IntArray, c: IntArray, slot: IntArray, *, loading: bool) -> IntArray:
        """``[path, slot]`` a table ``[kind, choice]`` along some paths.

        While weights load it is the higher of both ends, or 0 where ``loading`` is false.
        """
        k, current = self.kind[n], self.current[n]
        old, new = table[k, current], table[k, c]
        during = np.maximum(old, new) if loading else np.zeros_like(old)
        return self.problem.over_slots(old, new, during, slot, self.reloads(n, c))

    def reloads(self, n: IntArray, c: IntArray) -> BoolArray:
        """``[path]`` whether weights are loaded."""
        return np.asarray(self.problem.now.reload[self.current[n], c] & (c != self.current[n]))

    def cost(self, n: IntArray, c: IntArray, slot: IntArray) -> IntArray:
        """``[path]`` running costs over all slots, and the change once for each, as if it were made every hour."""
        running = self.over_slots(self.running, n, c, slot, loading=True).sum(axis=1)
        return np.asarray(running + len(self.problem.slots) * self.options.changes[self.kind[n], c])


def horizon_classes(problem: HorizonProblem) -> HorizonClasses:
    """Tabulate paths, and group instances that are interchangeable."""
    now = problem.now
    options = options_of(now)
    power, airflow = (_most(problem, options, table) for table in (options.power_w, options.airflow_cfm))
    budgets = now.budgets.without_slack_domains(power, airflow)
    instances = classes_of(budgets, now.instance_server, options.kinds.of)
    kind = options.kinds.of[instances.first]
    limits = tuple(_excess_limit(problem, family, family.counted(power, airflow)) for family in now.budgets.families)
    return HorizonClasses(problem, instances, kind, options, _paths(problem, options, instances, kind), budgets, limits)


def _paths(problem: HorizonProblem, options: Options, instances: Classes, kind: IntArray) -> BoolArray:
    """A choice that is not eligible is left in the first slot; a reload that would not end in time is not begun."""
    slots, current = len(problem.slots), problem.now.current[instances.first]
    each, kept = np.arange(instances.count), options.kept[kind]
    path = np.repeat(kept[:, :, None], slots + 1, axis=2)
    path[:, :, slots] = False
    path[each, current, :] = False
    path[each, current, slots] = kept[each, current]
    late = np.arange(slots + 1) + problem.reload_slots >= slots
    late[0] = late[slots] = False
    path &= ~(problem.now.reload[current][:, :, None] & late)
    path[~kept[each, current], :, 1:] = False
    return np.asarray(path)


def _most(problem: HorizonProblem, options: Options, table: IntArray) -> IntArray:
    """``[server, slot]`` the most that its instances can draw together, the present choice included."""
    now = problem.now
    first = options.kinds.first
    most = np.maximum(options.most(table), table[np.arange(options.kinds.count), now.current[first]])
    total = np.zeros((len(now.servers), len(problem.slots)), dtype=np.int64)
    np.add.at(total, now.instance_server, most[options.kinds.of, None])
    return total


def _excess_limit(problem: HorizonProblem, family: BudgetFamily, most: IntArray) -> IntArray:
    worst = np.maximum(0, -((PERMILLE * family.room - family.drawn_permille(most)) // PERMILLE).min(axis=1))
    if problem.aim is Aim.EXCESS:
        return np.asarray(worst)
    allowed = [problem.now.allowed_excess.get((family.constraint, domain), 0) for domain in family.domains]
    return np.asarray(np.minimum(worst, np.array(allowed, dtype=np.int64)))
