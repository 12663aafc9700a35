"""Which rows of a domain say nothing that another row of the same domain does not say already.

Row t of a domain is ``Σ draw[x,t]·x ≤ room[t]`` over whole x ≥ 0. Multiplied by any λ ≥ 0 with
``λ·draw[x,t] ≥ draw[x,u]`` for every x it covers what row u sums, so that row u follows wherever
``λ·room[t] ≤ room[u]``: the least such λ, ``max_x draw[x,u] / draw[x,t]``, decides. A row with a column of its own on
the other side, ``− step[t]·peak`` with 0 ≤ peak, needs ``λ·step[t] ≤ step[u]`` as well. What follows needs no row, for
any solver: a week has 168 slots, of which few say anything.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tapas_opt.budgets.numbers import BudgetNumbers

__all__ = ["Multiples", "undominated", "without_dominated"]

IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Multiples:
    """How what is drawn in one slot compares with another: the same for all domains that count one unit.

    Attributes
    ----------
    over, under
        ``[slot t, slot u]`` the largest of ``draw[x,u] / draw[x,t]`` as a fraction; -1/1 where no multiple will do.
    weight
        ``[slot]`` how much is drawn there in all.
    """

    over: IntArray
    under: IntArray
    weight: IntArray

    @classmethod
    def of(cls, draw: IntArray) -> Multiples:
        """From ``[kind, slot]`` what one unit of each kind of column draws, ≥ 0."""
        from tapas_opt.budgets import kernels  # noqa: PLC0415  compiled loops take long to import

        return cls(*kernels.least_multiples(np.ascontiguousarray(draw)), draw.sum(axis=0))


def without_dominated(numbers: BudgetNumbers, power: Multiples, airflow: Multiples) -> BudgetNumbers:
    """The budgets with rows for those slots only that no other slot of the same domain implies.

    ``power`` and ``airflow`` are of what one unit of each kind of column makes a server draw, in W and in CFM.
    Nothing else may stand in the rows.
    """
    return replace(
        numbers,
        families=tuple(
            replace(f, can_bind=undominated(f.needs_row, f.room, f.counted(power, airflow))) for f in numbers.families
        ),
    )


def undominated(rows: BoolArray, room: IntArray, multiples: Multiples, step: IntArray | None = None) -> BoolArray:
    """``[domain, slot]`` those of ``rows`` that no other of the same domain implies; exact, in whole numbers.

    Parameters
    ----------
    room
        ``[domain, slot]`` right-hand sides; a row whose room is negative implies nothing.
    multiples
        Of what one unit of each kind of column draws; shares do not change over slots.
    step
        ``[domain, slot]`` what one unit of the domain's own column adds to the room.
    """
    if rows.shape[1] < 2 or not rows.any():
        return rows
    from tapas_opt.budgets import kernels  # noqa: PLC0415  compiled loops take long to import

    steps = np.zeros_like(room) if step is None else step
    kept: BoolArray = kernels.undominated(rows, room, steps, multiples.over, multiples.under, multiples.weight)
    return kept
