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

__all__ = ["Draw", "add_budgets", "add_draw"]

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
        ``[n, slot]``.
    """

    column: IntArray
    server: IntArray
    power_w: IntArray
    airflow_cfm: IntArray


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
    """Add what ``draw`` takes from each domain of ``family`` to ``rows[domain, slot]``."""
    counted = family.counted(draw.power_w, draw.airflow_cfm)
    slots = np.flatnonzero((rows != ABSENT).any(axis=0))
    stated = (rows != ABSENT).any(axis=1)
    for place in range(family.member.shape[1]):
        member = family.member[draw.server, place]
        inside = np.flatnonzero((member != NONE) & stated[member]) if len(stated) else member[:0]
        share = family.share_permille[draw.server[inside], place] / PERMILLE
        at = np.ix_(inside, slots)
        model.add(rows[np.ix_(member[inside], slots)], draw.column[inside, None], counted[at] * share[:, None])
