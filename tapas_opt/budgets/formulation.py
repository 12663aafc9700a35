"""The shared budget rows as arrays: one block of rows a family, over domains and slots."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tapas_opt.budgets.numbers import BudgetFamily, BudgetNumbers
from tapas_opt.domain.failure import PERMILLE
from tapas_opt.domain.result import Constraint
from tapas_opt.domain.topology import NONE
from tapas_opt.mip.model import ABSENT, MipModel

__all__ = ["Draw", "add_budgets", "add_draw", "matched"]

IntArray = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Draw:
    """What each unit of some columns draws, and where.

    Attributes
    ----------
    column
        ``[n]`` column numbers.
    server
        ``[n]`` a server whose domains the column draws on (any member of its class).
    power_w, airflow_cfm
        ``[n, slot]``, or ``[look, slot]``.
    look
        ``[n]`` row of the two; None where each column has its own.
    """

    column: IntArray
    server: IntArray
    power_w: IntArray
    airflow_cfm: IntArray
    look: IntArray | None = None


def add_budgets(
    model: MipModel, numbers: BudgetNumbers, draw: Draw, excess: Mapping[Constraint, IntArray] | None = None
) -> None:
    """Σ share · draw · x ≤ limit − base (+ excess)   ∀ family, domain, slot that can bind.

    ``excess`` gives, where excess may be declared, a column per domain (in the family's unit).
    """
    for family in numbers.families:
        rows = model.rows(family.constraint, family.domains, numbers.slots, where=family.needs_row, upper=family.room)
        add_draw(model, rows, family, draw)
        if excess is not None and family.constraint in excess:
            model.add(rows, excess[family.constraint][:, None], -1.0)


def add_draw(model: MipModel, rows: IntArray, family: BudgetFamily, draw: Draw) -> None:
    """Add what ``draw`` takes from each domain of ``family`` to ``rows[domain, slot]``, where there is a row."""
    counted = family.counted(draw.power_w, draw.airflow_cfm)
    domain, slot = np.nonzero(rows != ABSENT)
    for place in range(family.member.shape[1]):
        member = family.member[draw.server, place]
        inside = np.flatnonzero(member != NONE)
        item, entry = matched(member[inside], domain, len(family.domains))
        x = inside[item]
        drawn = counted[x if draw.look is None else draw.look[x], slot[entry]]
        share = family.share_permille[draw.server[x], place] / PERMILLE
        model.add(rows[domain[entry], slot[entry]], draw.column[x], drawn * share)


def matched(of: IntArray, owner: IntArray, count: int) -> tuple[IntArray, IntArray]:
    """Every item with every entry of the same owner: numbers of items and of entries.

    Parameters
    ----------
    of, owner
        ``[item]`` and ``[entry]`` owners, from 0 to ``count - 1``; those of the entries ascend.
    """
    begin = np.searchsorted(owner, np.arange(count + 1))
    times = np.diff(begin)[of]
    item = np.repeat(np.arange(len(of)), times)
    within = np.arange(len(item)) - np.repeat(np.cumsum(times) - times, times)
    return item, np.repeat(begin[of], times) + within
