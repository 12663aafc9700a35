"""Which rows of a domain say nothing that another row of the same domain does not say already.

Row t of a domain is ``Σ draw[x,t]·x ≤ room[t]`` over whole x ≥ 0. Multiplied by any λ ≥ 0 with
``λ·draw[x,t] ≥ draw[x,u]`` for every x it covers what row u sums, so that row u follows wherever
``λ·room[t] ≤ room[u]``: the least such λ, ``max_x draw[x,u] / draw[x,t]``, decides. A row with a column of its own on
the other side, ``− step[t]·peak`` with 0 ≤ peak, needs ``λ·step[t] ≤ step[u]`` as well. What follows needs no row, for
any solver: a week has 168 slots, of which few say anything.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tapas_opt.budgets.numbers import BudgetNumbers

__all__ = ["undominated", "without_dominated"]

IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


def without_dominated(numbers: BudgetNumbers, power_w: IntArray, airflow_cfm: IntArray) -> BudgetNumbers:
    """The budgets with rows for those slots only that no other slot of the same domain implies.

    ``power_w`` and ``airflow_cfm`` are ``[kind, slot]``: what one unit of each kind of column makes a server draw.
    Nothing else may stand in the rows.
    """
    return replace(
        numbers,
        families=tuple(
            replace(f, can_bind=undominated(f.needs_row, f.room, f.counted(power_w, airflow_cfm)))
            for f in numbers.families
        ),
    )


def undominated(rows: BoolArray, room: IntArray, draw: IntArray, step: IntArray | None = None) -> BoolArray:
    """``[domain, slot]`` those of ``rows`` that no other of the same domain implies; exact, in whole numbers.

    Parameters
    ----------
    room
        ``[domain, slot]`` right-hand sides; a row whose room is negative implies nothing.
    draw
        ``[kind, slot]`` what one unit of each kind of column draws, ≥ 0; shares do not change over slots.
    step
        ``[domain, slot]`` what one unit of the domain's own column adds to the room.
    """
    if rows.shape[1] < 2:
        return rows
    from tapas_opt.budgets import kernels  # noqa: PLC0415  compiled loops take long to import

    over, under = _least_multiples(draw)
    steps = np.zeros_like(room) if step is None else step
    kept: BoolArray = kernels.undominated(rows, room, steps, over, under, draw.sum(axis=0))
    return kept


def _least_multiples(draw: IntArray) -> tuple[IntArray, IntArray]:
    """``[slot t, slot u]`` the largest of ``draw[x,u] / draw[x,t]`` as a fraction; -1/1 where no multiple will do."""
    _, slots = draw.shape
    over, under = np.zeros((slots, slots), dtype=np.int64), np.ones((slots, slots), dtype=np.int64)
    for of in draw:
        t, u = of[:, None], of[None, :]
        more = u * under > over * t
        over, under = np.where(more, u, over), np.where(more, t, under)
    impossible = under == 0
    return np.where(impossible, -1, over), np.where(impossible, 1, under)
