"""The loads of recent days, and the worst of them: what CVaR needs of a placement problem, as whole numbers.

A quantile looks at each slot of each template by itself; days see which peaks come together. CVaR at level
1 − tail / days is the mean of the ``tail`` worst days (Rockafellar and Uryasev 2000), and ``tail`` is whole, so that
``tail`` times the mean is a sum, of whole units.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tapas_opt.budgets.numbers import BudgetFamily, MostDrawn
from tapas_opt.domain.failure import PERMILLE
from tapas_opt.domain.result import Constraint
from tapas_opt.errors import Fault

__all__ = ["WORST", "DayLoads", "Scenarios", "Tail", "over_days", "tails", "worst_days"]

IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

WORST = "worst"
"""Label of the row that adds the worst days up, beside those of the days."""


@dataclass(frozen=True, slots=True)
class DayLoads:
    """``[domain, day, slot]`` what is drawn on the domains of one family of budgets, whatever the plan decides."""

    constraint: Constraint
    domains: tuple[str, ...]
    base: IntArray


@dataclass(frozen=True, slots=True)
class Scenarios:
    """Recent days, each as likely as any other.

    Attributes
    ----------
    tail
        How many of the worst days count.
    families
        The budgets that the mean of the worst days has to keep; these are not stated slot by slot.
    type_power_w, type_airflow_cfm
        ``[type, hardware, day, slot]`` what a VM makes its server draw.
    """

    days: tuple[str, ...]
    tail: int
    families: tuple[DayLoads, ...]
    type_power_w: IntArray
    type_airflow_cfm: IntArray

    @property
    def constraints(self) -> frozenset[Constraint]:
        """Budgets that are judged by days."""
        return frozenset(loads.constraint for loads in self.families)

    def faults(self, families: Iterable[BudgetFamily]) -> Iterator[Fault]:
        """What does not fit the budgets of a problem, or counts more days than there are."""
        if not 1 <= self.tail <= len(self.days):
            yield Fault("scenarios.tail", f"{self.tail}: must be 1 to {len(self.days)}, the number of days")
        domains = {family.constraint: family.domains for family in families}
        for n, loads in enumerate(self.families):
            if domains.get(loads.constraint) != loads.domains:
                yield Fault(f"scenarios.families[{n}]", f"{loads.constraint} with these domains is none of the budgets")


@dataclass(frozen=True, slots=True)
class Tail:
    """A family judged by its days, as solvers see it.

    Attributes
    ----------
    family
        With all slots of one day after those of another.
    allowed
        ``[domain, slot]`` what the worst days may come to in sum: ``tail · limit``, or what they come to already.
    can_bind
        ``[domain, slot]`` where a plan could exceed that.
    days, count
        How many days there are, and how many of the worst count.
    """

    family: BudgetFamily
    allowed: IntArray
    can_bind: BoolArray
    days: int
    count: int

    def load(self, drawn_permille: IntArray) -> IntArray:
        """``[domain, day, slot]`` base and ``[domain, day · slot]`` thousandths beyond it, in whole units."""
        load = self.family.base - (-drawn_permille // PERMILLE)
        return load.reshape(len(load), self.days, -1)

    def excess(self, drawn_permille: IntArray) -> IntArray:
        """``[domain, slot]`` by how much the sum of the worst days exceeds what is allowed; negative below."""
        return worst_days(self.load(drawn_permille), self.count) - self.allowed


def worst_days(load: IntArray, count: int) -> IntArray:
    """``[…, slot]`` sum of the ``count`` highest of ``[…, day, slot]``."""
    days = load.shape[-2]
    return np.asarray(np.partition(load, days - count, axis=-2)[..., days - count :, :].sum(axis=-2))


def over_days(family: BudgetFamily, loads: DayLoads) -> BudgetFamily:
    """The family with the base of every day, the slots of one day after those of another."""
    days = loads.base.shape[1]
    return replace(
        family,
        limit=np.tile(family.limit, (1, days)),
        base=loads.base.reshape(len(family.domains), -1),
        can_bind=None,
    )


def tails(scenarios: Scenarios | None, families: Iterable[BudgetFamily], most: MostDrawn | None) -> tuple[Tail, ...]:
    """The families that are judged by days, with rows where the most that a plan could draw is too much."""
    if scenarios is None or most is None:
        return ()
    of = {family.constraint: family for family in families}
    stated = []
    for loads in scenarios.families:
        family = over_days(of[loads.constraint], loads)
        already = worst_days(loads.base, scenarios.tail)
        allowed = np.maximum(scenarios.tail * of[loads.constraint].limit, already)
        nowhere = np.zeros(allowed.shape, dtype=bool)
        tail = Tail(family, allowed, nowhere, len(scenarios.days), scenarios.tail)
        stated.append(replace(tail, can_bind=tail.excess(most.on(family)) > 0))
    return tuple(stated)
