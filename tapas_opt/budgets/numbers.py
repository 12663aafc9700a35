"""What the shared budget rows need, as whole numbers on one grid: W, CFM and thousandths of a share.

Loads are rounded up and limits down once, here, so that every solver and the checker see the same numbers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from tapas_opt.domain.failure import PERMILLE, Effect
from tapas_opt.domain.result import Constraint
from tapas_opt.domain.topology import NONE, Topology
from tapas_opt.errors import Fault, InvalidInput

__all__ = ["BudgetFamily", "BudgetNumbers", "Margins", "MostDrawn", "budget_numbers", "joined"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]
_T = TypeVar("_T")

GRID_TOLERANCE = 1e-6
"""A float this close above a whole number is that number, not the next one."""

FAULTS_NAMED = 20
"""Wrong numbers in one array beyond these are counted, not named."""

FILLED_BY_SERVERS_ALONE = (Constraint.RACK_POWER_BUDGET, Constraint.AISLE_AIRFLOW_CAPACITY)
"""What nameplates bound; above racks there is unmetered load that no nameplate states."""

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
    can_bind
        ``[domain, slot]`` where a row is needed: a plan could draw more than is allowed, and no other slot of the
        domain implies it; None for everywhere.
    """

    constraint: Constraint
    unit: str
    domains: tuple[str, ...]
    member: IntArray
    share_permille: IntArray
    limit: IntArray
    base: IntArray
    can_bind: BoolArray | None = None

    def counted(self, power: _T, airflow: _T) -> _T:
        """Whichever of the two the family counts."""
        return power if self.unit == "W" else airflow

    @property
    def room(self) -> IntArray:
        """``[domain, slot]`` what a plan may still draw; negative where the base alone is too much."""
        return self.limit - self.base

    @property
    def needs_row(self) -> BoolArray:
        """``[domain, slot]`` where the limit has to be stated to a solver."""
        return np.ones(self.limit.shape, dtype=bool) if self.can_bind is None else self.can_bind

    def drawn_permille(self, draw: IntArray) -> IntArray:
        """``[domain, slot]`` thousandths of a unit drawn by servers whose own draw is ``[server, slot]``."""
        total = np.zeros(self.limit.shape, dtype=np.int64)
        for member, share in zip(self.member.T, self.share_permille.T, strict=True):
            inside = np.flatnonzero(member != NONE)
            by_domain = inside[np.argsort(member[inside], kind="stable")]
            domains, start = np.unique(member[by_domain], return_index=True)
            if len(domains):
                total[domains] += np.add.reduceat(draw[by_domain] * share[by_domain, None], start, axis=0)
        return total

    def shares_by_kind(self, kind: IntArray, kinds: int) -> tuple[IntArray, IntArray]:
        """``[domain, kind]`` sum of the shares of servers of a kind (``[server]``), and ``[domain]`` the largest share.

        Servers of kind :data:`NONE` draw nothing. On large sites summing kinds is much less work than summing servers.
        """
        from tapas_opt.budgets import kernels  # noqa: PLC0415  compiled loops take long to import

        total, largest = kernels.shares_by_kind(self.member, self.share_permille, kind, len(self.domains), kinds)
        return np.asarray(total), np.asarray(largest)

    def summed_shares(self) -> tuple[IntArray, IntArray]:
        """``member`` and ``share_permille`` with each domain named once a server: two feeds may hang on one UPS."""
        if self.member.shape[1] == 1:
            return self.member, self.share_permille
        member, share = self.member.copy(), self.share_permille.copy()
        for later in range(1, member.shape[1]):
            for earlier in range(later):
                same = (member[:, later] == member[:, earlier]) & (member[:, later] != NONE)
                share[same, earlier] += share[same, later]
                share[same, later], member[same, later] = 0, NONE
        return member, share


@dataclass(frozen=True, slots=True)
class MostDrawn:
    """The most that any plan could draw.

    Attributes
    ----------
    power_w, airflow_cfm
        ``[server, slot]`` by one server; ``[kind, slot]`` where kinds are given.
    in_all_power_w, in_all_airflow_cfm
        ``[slot]`` by all that the plan decides together; None where only the servers limit it.
    kind
        ``[server]`` which kind it is of, :data:`NONE` of one that can draw nothing.
    """

    power_w: IntArray
    airflow_cfm: IntArray
    in_all_power_w: IntArray | None = None
    in_all_airflow_cfm: IntArray | None = None
    kind: IntArray | None = None

    def draws(self, family: BudgetFamily) -> BoolArray:
        """``[server]`` whether it can draw anything that the family counts."""
        some = np.asarray(family.counted(self.power_w, self.airflow_cfm).any(axis=1))
        return some if self.kind is None else np.append(some, False)[self.kind]

    def on(self, family: BudgetFamily) -> IntArray:
        """``[domain, slot]`` thousandths of a unit: no plan draws more on the family's domains."""
        draw, in_all = self._counted(family)
        if in_all is None and self.kind is None:
            return family.drawn_permille(draw)
        kind = np.full(len(family.member), NONE) if self.kind is None else self.kind
        by_kind, largest = family.shares_by_kind(kind, len(draw))
        by_servers = family.drawn_permille(draw) if self.kind is None else by_kind @ draw
        return by_servers if in_all is None else np.asarray(np.minimum(by_servers, largest[:, None] * in_all))

    def exceeds(self, family: BudgetFamily, room: IntArray) -> BoolArray:
        """``[domain, slot]`` where a plan could draw more than ``room``, in whole units, on the family's domains."""
        draw, in_all = self._counted(family)
        if self.kind is None or in_all is None:
            return np.asarray(self.on(family) > PERMILLE * room)
        from tapas_opt.budgets import kernels  # noqa: PLC0415  compiled loops take long to import

        by_kind, largest = family.shares_by_kind(self.kind, len(draw))
        return np.asarray(kernels.exceeds(by_kind, draw, largest, in_all, room))

    def _counted(self, family: BudgetFamily) -> tuple[IntArray, IntArray | None]:
        return (
            family.counted(self.power_w, self.airflow_cfm),
            family.counted(self.in_all_power_w, self.in_all_airflow_cfm),
        )


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

        Few racks can exceed their budget; without the others, many more servers are interchangeable. Servers that
        can draw nothing draw on no domain.
        """
        return self.without_slack(MostDrawn(most_power_w, most_airflow_cfm))

    def without_slack(self, most: MostDrawn, watched: Mapping[Constraint, BoolArray] | None = None) -> BudgetNumbers:
        """As :meth:`without_slack_domains`, where more is known of what a plan can draw.

        Parameters
        ----------
        watched
            ``[domain]`` per family: domains to keep although they cannot be filled, because something else than
            the budget (a price on their utilisation, say) looks at them.
        """
        kept = watched or {}
        return replace(self, families=tuple(_without_slack(f, most, kept.get(f.constraint)) for f in self.families))


def _without_slack(family: BudgetFamily, most: MostDrawn, watched: BoolArray | None) -> BudgetFamily:
    can_bind = most.exceeds(family, family.room)
    fillable = can_bind.any(axis=1)
    matters = fillable if watched is None else fillable | watched
    kept = (family.member != NONE) & np.asarray(matters)[family.member] & most.draws(family)[:, None]
    return replace(
        family,
        member=np.where(kept, family.member, NONE),
        share_permille=np.where(kept, family.share_permille, 0),
        can_bind=can_bind,
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
        A limit ``L`` with margin ``m`` allows ``⌊L / (1 + m)⌋``: the domain may draw ``1 + m`` of its prediction. A
        rack's power or an aisle's air that the nameplates of its servers cannot fill needs no margin: no prediction
        error breaks it.

    Raises
    ------
    InvalidInput
        If a prediction or a margin is missing (NaN), infinite or negative: missing is never zero.
    """
    _require_predictions(topology, slots, base_power_w, base_airflow_cfm, margins)
    alive = ~effect.server_dark[:, None]
    hardware = [topology.site.hardware[name] for name in topology.hardware]
    watts = _rounded_up(np.array([item.max_power_w for item in hardware]))
    cfm = _rounded_up(np.array([item.max_airflow_cfm for item in hardware]))
    draw = {"W": _rounded_up(base_power_w * alive), "CFM": _rounded_up(base_airflow_cfm * alive)}
    nameplate = {"W": watts[topology.server_hardware][:, None], "CFM": cfm[topology.server_hardware][:, None]}
    draw, nameplate = ({unit: _by_rack(topology, values) for unit, values in of.items()} for of in (draw, nameplate))
    pdus = topology.rack_feeds
    rack, row, aisle = (
        _whole(index)
        for index in (np.arange(len(topology.racks)), topology.rack_row, topology.row_aisle[topology.rack_row])
    )
    pdu = _Domains.fed_by(pdus, effect.feed_permille)
    ups = _Domains.fed_by(topology.pdu_ups[pdus], effect.feed_permille)
    stated: tuple[tuple[Constraint, str, tuple[str, ...], _Domains, FloatArray], ...] = (
        (Constraint.RACK_POWER_BUDGET, "W", topology.racks, rack, effect.rack_budget_w),
        (Constraint.ROW_POWER_BUDGET, "W", topology.rows, row, effect.row_budget_w),
        (Constraint.PDU_POWER_BUDGET, "W", topology.pdus, pdu, effect.pdu_capacity_w),
        (Constraint.UPS_POWER_CAPACITY, "W", topology.upses, ups, effect.ups_capacity_w),
        (Constraint.AISLE_AIRFLOW_CAPACITY, "CFM", topology.aisles, aisle, effect.aisle_airflow_capacity_cfm),
        (Constraint.AISLE_HEAT_CAPACITY, "W", topology.aisles, aisle, effect.aisle_heat_capacity_w),
    )
    families = tuple(
        _family(
            constraint, unit, names, domains, limit, margins.get(constraint, np.zeros(1)), draw[unit], nameplate[unit]
        )
        for constraint, unit, names, domains, limit in stated
    )
    of_server = topology.server_rack
    return BudgetNumbers(
        slots,
        tuple(replace(f, member=f.member[of_server], share_permille=f.share_permille[of_server]) for f in families),
    )


def joined(parts: Sequence[BudgetNumbers]) -> BudgetNumbers:
    """The same budgets over the slots of several parts, one part after the other."""
    return BudgetNumbers(
        tuple(slot for part in parts for slot in part.slots),
        tuple(
            replace(same[0], limit=np.hstack([f.limit for f in same]), base=np.hstack([f.base for f in same]))
            for same in zip(*(part.families for part in parts), strict=True)
        ),
    )


def _by_rack(topology: Topology, values: IntArray) -> IntArray:
    """``[rack, slot]`` sums of ``[server, slot]``: all domains are made of whole racks, of which there are fewer."""
    total = np.zeros((len(topology.racks), values.shape[1]), dtype=np.int64)
    order = np.argsort(topology.server_rack, kind="stable")
    racks, start = np.unique(topology.server_rack[order], return_index=True)
    if len(racks):
        in_order = values if np.array_equal(order, np.arange(len(order))) else values[order]
        total[racks] = np.add.reduceat(in_order, start, axis=0)
    return total


@dataclass(frozen=True, slots=True)
class _Domains:
    """Which domains each rack draws on, and with which share."""

    member: IntArray
    share_permille: IntArray

    @classmethod
    def fed_by(cls, supplies: IntArray, share: IntArray) -> _Domains:
        """Live supplies in ascending order, so that racks which name the same feeds in another order are alike."""
        member = np.where(share > 0, supplies, NONE)
        order = np.argsort(member, axis=1, kind="stable")[:, ::-1]
        return cls(np.take_along_axis(member, order, axis=1), np.take_along_axis(share, order, axis=1))


def _whole(index: IntArray) -> _Domains:
    return _Domains(index[:, None], np.full((len(index), 1), PERMILLE, dtype=np.int64))


def _family(
    constraint: Constraint,
    unit: str,
    names: tuple[str, ...],
    domains: _Domains,
    limit: FloatArray,
    margin: FloatArray,
    draw: IntArray,
    nameplate: IntArray,
) -> BudgetFamily:
    shape = (len(names), draw.shape[1])
    unused = np.zeros(shape, dtype=np.int64)
    family = BudgetFamily(constraint, unit, names, domains.member, domains.share_permille, unused, unused)
    held_back = limit / (1.0 + margin)
    if constraint in FILLED_BY_SERVERS_ALONE:
        most = replace(family, limit=unused[:, :1], base=unused[:, :1]).drawn_permille(nameplate)[:, 0]
        held_back = np.where(most <= PERMILLE * limit, limit, held_back)
    allowed = np.broadcast_to(_rounded_down(held_back)[:, None], shape).copy()
    return replace(family, limit=allowed, base=-(-family.drawn_permille(draw) // PERMILLE))


def _rounded_up(values: FloatArray) -> IntArray:
    return np.ceil(values - GRID_TOLERANCE).astype(np.int64)


def _rounded_down(values: FloatArray) -> IntArray:
    return np.floor(values + GRID_TOLERANCE).astype(np.int64)


def _require_predictions(
    topology: Topology, slots: tuple[str, ...], power_w: FloatArray, airflow_cfm: FloatArray, margins: Margins
) -> None:
    faults = [
        *_faults("base_power_w", power_w, topology.servers, slots),
        *_faults("base_airflow_cfm", airflow_cfm, topology.servers, slots),
    ]
    for constraint, margin in margins.items():
        names = [str(d) for d in range(len(margin))]
        faults += _faults(f"margins[{constraint}]", np.asarray(margin, dtype=np.float64)[:, None], names, ("",))
    if faults:
        raise InvalidInput("budget numbers", faults)


def _faults(
    what: str, values: FloatArray, names: tuple[str, ...] | list[str], slots: tuple[str, ...]
) -> Iterator[Fault]:
    wrong = np.argwhere(~(np.isfinite(values) & (values >= 0)))
    for item, t in wrong[:FAULTS_NAMED]:
        where = f"{what}[{names[item]}]" + (f" in {slots[t]}" if slots[t] else "")
        yield Fault(where, f"{values[item, t]}: must be a finite number of at least 0")
    if len(wrong) > FAULTS_NAMED:
        yield Fault(what, f"{len(wrong) - FAULTS_NAMED} more numbers likewise")
