"""CVaR as columns and rows (docs/formulation.md, "Placement")."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tapas_opt.budgets.formulation import Draw, add_draw
from tapas_opt.domain.result import Constraint
from tapas_opt.mip.model import MipModel
from tapas_opt.placement.scenarios.problem import WORST, Scenarios, Tail

__all__ = ["TailColumns", "add_tails", "set_tails", "tail_columns"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class TailColumns:
    """``threshold[domain, slot]``, what all but the worst days stay below, and ``beyond[domain, day, slot]``."""

    threshold: IntArray
    beyond: IntArray


def tail_columns(
    model: MipModel, scenarios: Scenarios | None, tails: tuple[Tail, ...], slots: tuple[str, ...]
) -> tuple[TailColumns, ...]:
    """The columns of each family that is judged by days, where it has rows."""
    if scenarios is None:
        return ()
    return tuple(
        TailColumns(
            threshold=model.columns(
                "threshold",
                [tail.family.constraint],
                tail.family.domains,
                slots,
                where=tail.can_bind,
                upper=tail.allowed // tail.count,
                integer=True,
            )[0],
            beyond=model.columns(
                "beyond",
                [tail.family.constraint],
                tail.family.domains,
                scenarios.days,
                slots,
                where=tail.can_bind[:, None, :],
                upper=tail.allowed[:, None, :],
                integer=True,
            )[0],
        )
        for tail in tails
    )


def add_tails(
    model: MipModel,
    x: tuple[TailColumns, ...],
    scenarios: Scenarios | None,
    tails: tuple[Tail, ...],
    slots: tuple[str, ...],
    draw: Draw,
) -> None:
    """The mean of the worst days is within the limit, times their number.

    tail · threshold[d,t] + Σ_s beyond[d,s,t] ≤ tail · limit[d,t]   ∀ d, t
    Σ share · draw[s,t] · assign − threshold[d,t] − beyond[d,s,t] ≤ − base[d,s,t]   ∀ d, day s, t
    """
    if scenarios is None:
        return
    by_day = replace(
        draw,
        power_w=scenarios.type_power_w.reshape(-1, len(scenarios.days) * len(slots)),
        airflow_cfm=scenarios.type_airflow_cfm.reshape(-1, len(scenarios.days) * len(slots)),
    )
    for tail, columns in zip(tails, x, strict=True):
        base = tail.family.base.reshape(columns.beyond.shape)
        rows = model.rows(
            Constraint.CVAR_BUDGET,
            [tail.family.constraint],
            tail.family.domains,
            (WORST, *scenarios.days),
            slots,
            where=tail.can_bind[:, None, :],
            upper=np.concatenate([tail.allowed[:, None, :], -base], axis=1),
        )[0]
        worst, days = rows[:, 0], rows[:, 1:]
        model.add(worst, columns.threshold, tail.count)
        model.add(worst[:, None, :], columns.beyond, 1.0)
        add_draw(model, days.reshape(len(days), -1), tail.family, by_day)
        model.add(days, columns.threshold[:, None, :], -1.0)
        model.add(days, columns.beyond, -1.0)


def set_tails(
    x: tuple[TailColumns, ...], tails: tuple[Tail, ...], drawn_permille: tuple[IntArray, ...], values: FloatArray
) -> None:
    """Write what VMs draw, ``[domain, day · slot]`` for each family, into column values."""
    for columns, tail, drawn in zip(x, tails, drawn_permille, strict=True):
        load = tail.load(drawn)
        threshold = np.sort(load, axis=1)[:, -tail.count]
        there = tail.can_bind
        values[columns.threshold[there]] = threshold[there]
        beyond, days = np.maximum(0, load - threshold[:, None, :]), np.broadcast_to(there[:, None, :], load.shape)
        values[columns.beyond[days]] = beyond[days]
