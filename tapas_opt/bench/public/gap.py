"""Generalised assignment: every item to one agent, at least cost, within each agent's capacity.

The shape of placement: VMs get a server each, under limits that belong to where the server stands.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tapas_opt.bench.public.instance import FloatArray, Judged, Numbers, best_known_of, instance_name, text_files
from tapas_opt.mip.model import MipArrays, MipModel

__all__ = ["Gap", "read"]

ROOM = 1e-6


@dataclass(frozen=True)
class Gap:
    """An instance.

    Attributes
    ----------
    cost, weight
        ``[agent, item]``.
    capacity
        ``[agent]``.
    """

    name: str
    cost: FloatArray
    weight: FloatArray
    capacity: FloatArray
    best_known: float | None

    def arrays(self) -> MipArrays:
        """Minimise Σ cost·assign: one agent an item, Σ weight·assign ≤ capacity; agents too small have no column."""
        agents, items = self.cost.shape
        names = [str(a) for a in range(agents)], [str(i) for i in range(items)]
        fits = self.weight <= self.capacity[:, None]
        model = MipModel()
        assign = model.columns("assign", *names, where=fits, upper=1.0, cost=self.cost, integer=True)
        one = model.rows("item_has_one_agent", names[1], lower=1.0, upper=1.0)
        model.add(one[None, :], assign, 1.0)
        capacity = model.rows("capacity", names[0], upper=self.capacity)
        model.add(capacity[:, None], assign, self.weight)
        return model.arrays()

    def start(self) -> None:
        """No simple rule is sure to find a solution."""

    def judged(self, values: FloatArray) -> Judged:
        """Count each item's agents and add up each agent's items; columns stand agent by agent, where an item fits."""
        agents, items = self.cost.shape
        at, cost, violations, holders = 0, 0.0, [], [0] * items
        for a in range(agents):
            used = 0.0
            for i in range(items):
                if self.weight[a, i] > self.capacity[a]:
                    continue
                if values[at] > 0.5:
                    used, cost, holders[i] = (
                        used + float(self.weight[a, i]),
                        cost + float(self.cost[a, i]),
                        holders[i] + 1,
                    )
                at += 1
            if used > self.capacity[a] + ROOM:
                violations.append(f"agent {a}: {used:g} used of {self.capacity[a]:g}")
        violations += [f"item {i} has {count} agents, must have 1" for i, count in enumerate(holders) if count != 1]
        return Judged(cost, tuple(violations))


def read(path: Path) -> Iterator[Gap]:
    """Instances of a folder (or file), one in each ``*.txt[.gz]``.

    Whitespace-separated: the numbers m of agents and n of items, costs m × n (a row an agent), weights m × n, and
    capacities.

    Raises
    ------
    InvalidInput
        A file is not of this form.
    """
    best = best_known_of(path, "file")
    for file in text_files(path):
        numbers = Numbers(file)
        agents, items = numbers.count("number of agents"), numbers.count("number of items")
        cost = np.array(numbers.take(agents * items, "costs")).reshape(agents, items)
        weight = np.array(numbers.take(agents * items, "weights")).reshape(agents, items)
        capacity = np.array(numbers.take(agents, "capacities"))
        numbers.finish()
        yield Gap(instance_name(file), cost, weight, capacity, best.get(instance_name(file)))
