"""Multiple-choice multidimensional knapsack: one item of each group, most value within every capacity.

The shape of reconfiguration: instances choose a configuration each, under power, heat and GPU limits.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tapas_opt.bench.public.instance import (
    FloatArray,
    Judged,
    Numbers,
    best_known_of,
    instance_name,
    json_lines,
    text_files,
)
from tapas_opt.errors import InvalidInput
from tapas_opt.mip.model import MipArrays, MipModel

__all__ = ["Mmkp", "read"]

ROOM = 1e-6
"""A capacity is broken by more than this; weights need not be whole."""


@dataclass(frozen=True)
class Mmkp:
    """An instance; its cost is the value taken, negated.

    Attributes
    ----------
    capacity
        ``[resource]``.
    groups
        ``[group]`` of ``[item, 1 + resource]``: value, then weights.
    """

    name: str
    capacity: FloatArray
    groups: tuple[FloatArray, ...]
    best_known: float | None

    def arrays(self) -> MipArrays:
        """Minimise −Σ value·choose: one item a group, Σ weight·choose ≤ capacity."""
        items = np.vstack(self.groups)
        group = np.repeat(np.arange(len(self.groups)), [len(items) for items in self.groups])
        model = MipModel()
        names = [f"{g}.{i}" for g, items in enumerate(self.groups) for i in range(len(items))]
        choose = model.columns("choose", names, upper=1.0, cost=-items[:, 0], integer=True)
        one = model.rows("one_item_a_group", [str(g) for g in range(len(self.groups))], lower=1.0, upper=1.0)
        model.add(one[group], choose, 1.0)
        capacity = model.rows("capacity", [str(r) for r in range(len(self.capacity))], upper=self.capacity)
        model.add(capacity[None, :], choose[:, None], items[:, 1:])
        return model.arrays()

    def start(self) -> None:
        """No simple rule is sure to find a solution."""

    def judged(self, values: FloatArray) -> Judged:
        """Add up values and weights of the chosen items, group by group."""
        at, cost, violations = 0, 0.0, []
        used = [0.0] * len(self.capacity)
        for g, items in enumerate(self.groups):
            chosen = [i for i in range(len(items)) if values[at + i] > 0.5]
            at += len(items)
            if len(chosen) != 1:
                violations.append(f"group {g} has {len(chosen)} items, must have 1")
            for i in chosen:
                cost -= float(items[i, 0])
                used = [have + float(weight) for have, weight in zip(used, items[i, 1:], strict=True)]
        for r, (amount, limit) in enumerate(zip(used, self.capacity, strict=True)):
            if amount > limit + ROOM:
                violations.append(f"resource {r}: {amount:g} used of {limit:g}")
        return Judged(cost, tuple(violations))


def read(path: Path) -> Iterator[Mmkp]:
    """Instances of a folder (or file): ``*.txt[.gz]`` one a file, ``*.jsonl[.gz]`` one a line.

    A text file holds the numbers of groups and of resources, the capacities, and for each group the number of its items
    and for each item its value and weights. A line has ``name``, ``capacity``, ``group_items[group][item]`` (value,
    weights …) and, if known, ``optimum``.

    Raises
    ------
    InvalidInput
        A file is not of this form.
    """
    best = best_known_of(path, "instance")
    for file in text_files(path):
        yield _from_text(file, best.get(instance_name(file)))
    for where, found in json_lines(path):
        yield _from_json(where, found)


def _from_text(file: Path, best_known: float | None) -> Mmkp:
    numbers = Numbers(file)
    groups, resources = numbers.count("number of groups"), numbers.count("number of resources")
    capacity = np.array(numbers.take(resources, "capacities"))
    found = []
    for g in range(groups):
        items = numbers.count(f"number of items of group {g}")
        flat = numbers.take(items * (1 + resources), f"values and weights of group {g}")
        found.append(np.array(flat).reshape(items, 1 + resources))
    numbers.finish()
    return Mmkp(instance_name(file), capacity, tuple(found), None if best_known is None else -best_known)


def _from_json(where: str, found: dict[str, Any]) -> Mmkp:
    try:
        capacity = np.asarray(found["capacity"], dtype=np.float64)
        groups = tuple(np.asarray(items, dtype=np.float64) for items in found["group_items"])
        name, optimum = str(found["name"]), found.get("optimum")
        fits = [items.ndim == 2 and items.shape[1] == 1 + len(capacity) and len(items) > 0 for items in groups]
        whole = all(fits) and all(np.isfinite(items).all() for items in (capacity, *groups))
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidInput.one(where, "fields", f"name, capacity and group_items are needed: {error!r}") from None
    if not whole or not groups:
        raise InvalidInput.one(where, "group_items", "every item needs a value and one weight a resource, all finite")
    return Mmkp(name, capacity, groups, None if optimum is None else -float(optimum))
