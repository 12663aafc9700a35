"""Judge the shared budgets on named servers: the sum is made anew here, server by server."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from tapas_opt.budgets.numbers import BudgetFamily, BudgetNumbers
from tapas_opt.domain.result import Binding, Constraint, Violation

__all__ = ["NEAR_FRAC", "TOLERANCE", "add_up", "binding_budgets", "budget_violations", "loads"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

TOLERANCE = 1e-6
"""Relative to the limit (at least 1 of its unit)."""

NEAR_FRAC = 0.02
"""A budget with less than this part of itself left is reported as binding."""

Declared = Mapping[tuple[Constraint, str], float]
"""Excess that a plan owns up to, by constraint and domain, in the family's unit."""


def budget_violations(
    numbers: BudgetNumbers,
    power_w: IntArray,
    airflow_cfm: IntArray,
    declared: Declared | None = None,
    servers: IntArray | None = None,
) -> Iterator[Violation]:
    """Every domain whose load exceeds its limit (plus what is declared) in some slot; its worst slot is named.

    ``power_w`` and ``airflow_cfm`` are ``[server, slot]``: what the plan makes each server draw beyond the base; of
    these ``servers`` only, where they are given (:func:`loads`).
    """
    for family in numbers.families:
        load = loads(family, family.counted(power_w, airflow_cfm), servers)
        allowed = family.limit + _declared(family, declared)
        over = np.flatnonzero(~(load <= allowed).all(axis=1))  # NaN is an excess, too
        excess = (load - allowed)[over] if len(over) else load[over]
        worst = excess.argmax(axis=1)[:, None] if len(over) else np.zeros((0, 1), dtype=np.int64)
        most = np.take_along_axis(excess, worst, axis=1)[:, 0]
        of = np.abs(np.take_along_axis(np.broadcast_to(allowed, load.shape)[over], worst, axis=1)[:, 0])
        for n in np.flatnonzero(~(most <= TOLERANCE * np.maximum(1.0, of))):
            slot = f" in {numbers.slots[worst[n, 0]]}" if len(numbers.slots) > 1 else ""
            yield Violation(family.constraint, f"{family.domains[over[n]]}{slot}", float(most[n]), family.unit)


def _declared(family: BudgetFamily, declared: Declared | None) -> FloatArray | int:
    """``[domain, 1]`` excess that the plan owns up to; 0 where it owns up to nothing."""
    if not declared:
        return 0
    return np.array([declared.get((family.constraint, domain), 0.0) for domain in family.domains])[:, None]


def binding_budgets(
    numbers: BudgetNumbers, power_w: IntArray, airflow_cfm: IntArray, servers: IntArray | None = None
) -> Iterator[Binding]:
    """Domains with less than :data:`NEAR_FRAC` of their limit left, with their least headroom over the slots.

    Domains that nothing draws on, such as a UPS that has failed, bind nothing.
    """
    for family in numbers.families:
        load = loads(family, family.counted(power_w, airflow_cfm), servers)
        headroom = family.limit - load
        for d in np.flatnonzero((headroom <= NEAR_FRAC * family.limit).any(axis=1) & load.any(axis=1)):
            worst = int(headroom[d].argmin())
            if headroom[d, worst] <= NEAR_FRAC * family.limit[d, worst]:
                yield Binding(family.constraint, family.domains[d], float(headroom[d, worst]), family.unit)


def loads(family: BudgetFamily, draw: IntArray, servers: IntArray | None = None) -> FloatArray:
    """``[domain, slot]`` base plus what servers draw, in the family's unit; shares are summed in thousandths.

    ``draw`` is ``[server, slot]``, or ``[n, slot]`` with one row for each of some ``servers``, which may be named more
    than once: on large sites few servers are concerned.
    """
    thousandths = np.zeros(family.base.shape, dtype=draw.dtype)
    row = np.flatnonzero(draw.any(axis=1))
    server = row if servers is None else np.asarray(servers, dtype=np.int64)[row]
    for domain, share in zip(family.member[server].T, family.share_permille[server].T, strict=True):
        inside = np.flatnonzero(domain >= 0)
        add_up(thousandths, domain[inside], draw[row[inside]] * share[inside, None])
    return np.asarray(family.base + thousandths / 1000)


def add_up(total: IntArray, of: IntArray, rows: IntArray) -> None:
    """Add each of some ``rows`` to that row of ``total`` that ``of`` says, as `np.add.at` does, many times faster."""
    order = np.argsort(of, kind="stable")
    numbers, begin = np.unique(of[order], return_index=True)
    if len(numbers):
        total[numbers] += np.add.reduceat(rows[order], begin, axis=0)
