"""The different ways in which server classes draw on domains, each judged once for all classes, as flat arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tapas_opt.budgets.numbers import BudgetFamily
from tapas_opt.domain.failure import PERMILLE
from tapas_opt.domain.topology import NONE
from tapas_opt.placement.problem import PlacementClasses, PlacementProblem

__all__ = ["Taps"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

UNLIMITED = 10**15
"""More thousandths of a watt than any site has."""


@dataclass(frozen=True, slots=True)
class Taps:
    """Taps (domain, share, look) and the rows of the domains, all families stacked.

    A look is a hardware and a unit. The last domain has no rows, for classes that draw on fewer domains than others.

    Attributes
    ----------
    domain, share, look
        ``[tap]``, by rising domain; look ``2 · hardware`` draws W, ``2 · hardware + 1`` CFM.
    begin
        ``[domain + 1]`` taps of domain d are ``begin[d]:begin[d + 1]``.
    limit
        ``[tap]`` largest limit of its domain, in thousandths.
    of_class, peak_of_place
        ``[class, place]`` number of the tap; ``[place]`` which peak looks at it, :data:`NONE` where none does.
    row_begin
        ``[domain + 1]`` rows of domain d are ``row_begin[d]:row_begin[d + 1]``: the slots in which it may be filled, or
        raise the peak.
    row_slot, row_room, row_before, row_step, peak_of_row
        ``[row]`` its slot; thousandths that may be drawn in all, and before the peak rises; a step of the peak, and
        which peak that is.
    """

    domain: IntArray
    share: IntArray
    look: IntArray
    begin: IntArray
    limit: FloatArray
    of_class: IntArray
    peak_of_place: IntArray
    row_begin: IntArray
    row_slot: IntArray
    row_room: IntArray
    row_before: IntArray
    row_step: IntArray
    peak_of_row: IntArray

    @classmethod
    def of(cls, problem: PlacementProblem, classes: PlacementClasses) -> Taps:
        """Lay out the taps of all server classes."""
        families, first = classes.budgets.families, classes.servers.first
        member, share, unit = _stacked(families, first)
        look = 2 * problem.server_hardware[first][:, None] + unit
        width, looks = int(share.max(initial=0)) + 1, 2 * problem.type_fits.shape[1]
        key, of_class = np.unique((member * width + share) * looks + look, return_inverse=True)
        domain = key // looks // width
        names = [peak.family.constraint for peak in classes.peaks]
        places = [names.index(f.constraint) if f.constraint in names else NONE for f in families for _ in f.member.T]
        limits = [f.limit.max(axis=1, initial=0) for f in families]
        domains = sum(len(f.domains) for f in families) + 1
        return cls(
            domain,
            key // looks % width,
            key % looks,
            np.searchsorted(domain, np.arange(domains + 1)),
            PERMILLE * np.maximum(1.0, np.concatenate([*limits, [UNLIMITED / PERMILLE]]))[domain],
            np.ascontiguousarray(of_class.reshape(member.shape)),
            np.array([*places, NONE], dtype=np.int64),
            *_rows(classes),
        )

    @property
    def tap(self) -> tuple[IntArray, IntArray, IntArray]:
        """Domain, share and look."""
        return self.domain, self.share, self.look

    @property
    def row(self) -> tuple[IntArray, IntArray, IntArray, IntArray]:
        """Slot, room, room before the peak rises, and step."""
        return self.row_slot, self.row_room, self.row_before, self.row_step


def _stacked(families: tuple[BudgetFamily, ...], servers: IntArray) -> tuple[IntArray, IntArray, IntArray]:
    """``[server, place]`` domain over all families, share and unit; the last place is the domain without rows."""
    last = sum(len(family.domains) for family in families)
    none = np.zeros((len(servers), 1), dtype=np.int64)
    members, shares, units, offset = [], [], [], 0
    for family in families:
        member, share = family.summed_shares()
        members.append(np.where(member == NONE, last, member + offset)[servers])
        shares.append(share[servers])
        units += [int(family.unit != "W")] * member.shape[1]
        offset += len(family.domains)
    return np.hstack([*members, none + last]), np.hstack([*shares, none]), np.array([*units, 0])


def _rows(classes: PlacementClasses) -> tuple[IntArray, ...]:
    """Where the rows of each domain begin; slot, room, room before the peak rises, step and peak of each row."""
    peaks = {peak.family.constraint: peak for peak in classes.peaks}
    number = {constraint: n for n, constraint in enumerate(peaks)}
    counts, parts = [np.zeros(1, dtype=np.int64)], []
    for family in classes.budgets.families:
        peak = peaks.get(family.constraint)
        rows = family.needs_row if peak is None else family.needs_row | peak.can_rise
        counts.append(rows.sum(axis=1))
        unlimited = np.full(int(rows.sum()), UNLIMITED, dtype=np.int64)
        room = np.where(family.needs_row[rows], PERMILLE * family.room[rows], UNLIMITED)
        before, step = unlimited, unlimited
        if peak is not None:
            before = np.where(peak.can_rise[rows], PERMILLE * peak.room[rows], UNLIMITED)
            step = PERMILLE * peak.step[rows]
        looked_at = np.full(len(room), number.get(family.constraint, NONE))
        parts.append((np.nonzero(rows)[1], room, before, step, looked_at))
    begin = np.cumsum(np.concatenate([*counts, [0]]))
    columns = zip(*parts, strict=True) if parts else ((),) * 5
    return begin, *(np.concatenate([np.zeros(0, dtype=np.int64), *column]) for column in columns)
