"""Judge the shared budgets on named servers: the sum is made anew here, server by server."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from tapas_opt.budgets.numbers import BudgetFamily, BudgetNumbers
from tapas_opt.domain.result import Binding, Constraint, Violation

__all__ = ["NEAR_FRAC", "TOLERANCE", "binding_budgets", "budget_violations", "loads"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

TOLERANCE = 1e-6
"""Relative to the limit (at least 1 of its unit)."""

NEAR_FRAC = 0.02
"""A budget with less than this part of itself left is reported as binding."""

Declared = Mapping[tuple[Constraint, str], float]
"""Excess that a plan owns up to, by constraint and domain, in the family's unit."""


def budget_violations(
    numbers: BudgetNumbers, power_w: IntArray, airflow_cfm: IntArray, declared: Declared | None = None
) -> Iterator[Violation]:
    """Every domain whose load exceeds its limit (plus what is declared) in some slot; its worst slot is named.

    ``power_w`` and ``airflow_cfm`` are ``[server, slot]``: what the plan makes each server draw beyond the base.
    """
    for family in numbers.families:
        load = loads(family, family.counted(power_w, airflow_cfm))
        for d, domain in enumerate(family.domains):
            allowed = family.limit[d] + (declared or {}).get((family.constraint, domain), 0.0)
            excess = load[d] - allowed
            worst = int(excess.argmax())
            if not excess[worst] <= TOLERANCE * max(1.0, abs(float(allowed[worst]))):  # NaN is an excess, too
                where = f"{domain} in {numbers.slots[worst]}" if len(numbers.slots) > 1 else domain
                yield Violation(family.constraint, where, float(excess[worst]), family.unit)


def binding_budgets(numbers: BudgetNumbers, power_w: IntArray, airflow_cfm: IntArray) -> Iterator[Binding]:
    """Domains with less than :data:`NEAR_FRAC` of their limit left, with their least headroom over the slots.

    Domains that nothing draws on, such as a UPS that has failed, bind nothing.
    """
    for family in numbers.families:
        load = loads(family, family.counted(power_w, airflow_cfm))
        for d, domain in enumerate(family.domains):
            headroom = family.limit[d] - load[d]
            worst = int(headroom.argmin())
            if load[d].any() and headroom[worst] <= NEAR_FRAC * family.limit[d, worst]:
                yield Binding(family.constraint, domain, float(headroom[worst]), family.unit)


def loads(family: BudgetFamily, draw: IntArray) -> FloatArray:
    """``[domain, slot]`` base plus what the servers draw, in the family's unit; shares are summed in thousandths."""
    thousandths = np.zeros(family.base.shape, dtype=draw.dtype)
    for server in np.flatnonzero(draw.any(axis=1)):
        for domain, share in zip(family.member[server], family.share_permille[server], strict=True):
            if domain >= 0:
                thousandths[domain] += draw[server] * share
    return np.asarray(family.base + thousandths / 1000)
