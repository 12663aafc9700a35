"""What the shared budget rows need, as whole numbers on one grid: W, CFM and thousandths of a share.

Loads are rounded up and limits down once, here, so that every solver and the checker see the same numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tapas_opt.domain.failure import PERMILLE, Effect
from tapas_opt.domain.result import Constraint
from tapas_opt.domain.topology import NONE, Topology

__all__ = ["BudgetFamily", "BudgetNumbers", "Margins", "budget_numbers"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

GRID_TOLERANCE = 1e-6
"""A float this close above a whole number is that number, not the next one."""

Margins = Mapping[Constraint, FloatArray]
"""By how much, as a fraction, each domain of a family may draw more than its central prediction; absent means 0."""


@dataclass(frozen=True, slots=True)
class BudgetFamily:
    """One kind of domain (row, UPS, aisle, …) and its limits.

    Attributes
    ----------
    unit
        ``W`` (draws power) or ``CFM`` (draws air).
    member, share_permille
        ``[server, place]`` the domains that a server draws on, :data:`NONE` where fewer, and which part of its draw.
    limit, base
        ``[domain, slot]`` what is allowed, and what is drawn whatever the plan decides.
    """

    constraint: Constraint
    unit: str
    domains: tuple[str, ...]
    member: IntArray
    share_permille: IntArray
    limit: IntArray
    base: IntArray

    @property
    def room(self) -> IntArray:
        """``[domain, slot]`` what a plan may still draw; negative where the base alone is too much."""
        return self.limit - self.base

    def drawn_permille(self, draw: IntArray) -> IntArray:
        """``[domain, slot]`` thousandths of a unit drawn by servers whose own draw is ``[server, slot]``."""
        total = np.zeros(self.limit.shape, dtype=np.int64)
        for member, share in zip(self.member.T, self.share_permille.T, strict=True):
            inside = member != NONE
            np.add.at(total, member[inside], draw[inside] * share[inside, None])
        return total


@dataclass(frozen=True, slots=True)
class BudgetNumbers:
    """All budget families over the same servers and time slots."""

    slots: tuple[str, ...]
    families: tuple[BudgetFamily, ...]

    def tolerating_present_excess(self) -> BudgetNumbers:
        """The same budgets where one that is over already may stay over, but not grow."""
        return replace(self, families=tuple(replace(f, limit=np.maximum(f.limit, f.base)) for f in self.families))

    def without_slack_domains(self, most_power_w: IntArray, most_airflow_cfm: IntArray) -> BudgetNumbers:
        """Forget domains that no plan can fill, given the most that each server may draw in each slot.

        Few racks can exceed their budget; without the others, many more servers are interchangeable.
        """
        return replace(
            self,
            families=tuple(
                _without_slack(family, most_power_w if family.unit == "W" else most_airflow_cfm)
                for family in self.families
            ),
        )


def _without_slack(family: BudgetFamily, most: IntArray) -> BudgetFamily:
    can_bind = np.asarray((family.drawn_permille(most) > PERMILLE * family.room).any(axis=1))
    kept = (family.member != NONE) & can_bind[family.member]
    return replace(
        family, member=np.where(kept, family.member, NONE), share_permille=np.where(kept, family.share_permille, 0)
    )


def budget_numbers(
    topology: Topology,
    effect: Effect,
    slots: tuple[str, ...],
    base_power_w: FloatArray,
    base_airflow_cfm: FloatArray,
    margins: Margins,
) -> BudgetNumbers:
    """State the six budgets of a site under an effect.

    Parameters
    ----------
    base_power_w, base_airflow_cfm
        ``[server, slot]`` central prediction of what each server draws whatever the plan decides, its part of the
        row's unmetered load included. A dark server draws nothing.
    margins
        A limit ``L`` with margin ``m`` allows ``⌊L / (1 + m)⌋``: the domain may draw ``1 + m`` of its prediction.
    """
    alive = ~effect.server_dark[:, None]
    draw = {"W": _rounded_up(base_power_w * alive), "CFM": _rounded_up(base_airflow_cfm * alive)}
    share = effect.feed_permille[topology.server_rack]
    feeds = topology.rack_feeds[topology.server_rack]
    rack, row, aisle = (_whole(index) for index in (topology.server_rack, topology.server_row, topology.server_aisle))
    pdu = _Domains(np.where(share > 0, feeds, NONE), share)
    ups = _Domains(np.where(share > 0, topology.pdu_ups[feeds], NONE), share)
    stated: tuple[tuple[Constraint, str, tuple[str, ...], _Domains, FloatArray], ...] = (
        (Constraint.RACK_POWER_BUDGET, "W", topology.racks, rack, effect.rack_budget_w),
        (Constraint.ROW_POWER_BUDGET, "W", topology.rows, row, effect.row_budget_w),
        (Constraint.PDU_POWER_BUDGET, "W", topology.pdus, pdu, effect.pdu_capacity_w),
        (Constraint.UPS_POWER_CAPACITY, "W", topology.upses, ups, effect.ups_capacity_w),
        (Constraint.AISLE_AIRFLOW_CAPACITY, "CFM", topology.aisles, aisle, effect.aisle_airflow_capacity_cfm),
        (Constraint.AISLE_HEAT_CAPACITY, "W", topology.aisles, aisle, effect.aisle_heat_capacity_w),
    )
    families = tuple(
        _family(constraint, unit, names, domains, limit / (1.0 + margins.get(constraint, np.zeros(1))), draw[unit])
        for constraint, unit, names, domains, limit in stated
    )
    return BudgetNumbers(slots, families)


@dataclass(frozen=True, slots=True)
class _Domains:
    """Which domains each server draws on, and with which share."""

    member: IntArray
    share_permille: IntArray


def _whole(index: IntArray) -> _Domains:
    return _Domains(index[:, None], np.full((len(index), 1), PERMILLE, dtype=np.int64))


def _family(
    constraint: Constraint, unit: str, names: tuple[str, ...], domains: _Domains, limit: FloatArray, draw: IntArray
) -> BudgetFamily:
    shape = (len(names), draw.shape[1])
    allowed = np.broadcast_to(_rounded_down(limit)[:, None], shape).copy()
    unused = np.zeros(shape, dtype=np.int64)
    family = BudgetFamily(constraint, unit, names, domains.member, domains.share_permille, allowed, unused)
    return replace(family, base=-(-family.drawn_permille(draw) // PERMILLE))


def _rounded_up(values: FloatArray) -> IntArray:
    return np.ceil(values - GRID_TOLERANCE).astype(np.int64)


def _rounded_down(values: FloatArray) -> IntArray:
    return np.floor(values + GRID_TOLERANCE).astype(np.int64)
