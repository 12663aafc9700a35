"""A placement that follows the optimum of a site as a few places: VMs are dealt out to kinds of servers.

Counts by kind of VM and kind of server (:mod:`tapas_opt.placement.aggregate`) are made whole, remainders carried from
one kind of VM to the next that is like it. Then each VM, the largest first, takes the server class of its kind whose
domains it fills least; who finds none there takes any. All limits are asked as in trading.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tapas_opt.domain.topology import NONE
from tapas_opt.placement.aggregate import WHOLE, Shares
from tapas_opt.placement.problem import PlacementClasses, PlacementPlan, PlacementProblem
from tapas_opt.placement.trading import plan_of_classes
from tapas_opt.placement.trading_book import Book
from tapas_opt.placement.trading_numbers import terms_of

if TYPE_CHECKING:
    from tapas_opt.placement.dealing_kernels import Hand

__all__ = ["dealt", "rounded", "sizes", "turns"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


FILLING_OF_COST = 1e6
"""So many thousandths of a watt on domains that are half full are as bad as one cost unit: less than any real cost."""


def dealt(problem: PlacementProblem, classes: PlacementClasses, shares: Shares) -> PlacementPlan:
    """The plan of a problem that has failures to survive."""
    from tapas_opt.placement.dealing_kernels import deal  # noqa: PLC0415  compiled loops take long to import

    assert problem.survival is not None
    terms, book = terms_of(problem, classes, problem.survival)
    deal(_hand(problem, classes, shares, book), terms, book)
    return plan_of_classes(problem, classes, book.class_of)


def rounded(amount: FloatArray) -> IntArray:
    """``[vm kind, server kind]`` whole numbers with about the same sums: remainders are carried from row to row."""
    whole = np.floor(amount + WHOLE).astype(np.int64)
    carry, in_all = np.zeros(amount.shape[1]), 0.0
    for w, rest in enumerate(amount - whole):
        carry += rest
        in_all += float(rest.sum())
        more = int(np.rint(in_all))
        in_all -= more
        wanted = np.where(amount[w] > WHOLE, carry, -np.inf)
        chosen = np.argsort(-wanted, kind="stable")[: max(0, more)]
        whole[w, chosen] += 1
        carry[chosen] -= 1.0
    return whole


def _hand(problem: PlacementProblem, classes: PlacementClasses, shares: Shares, empty: Book) -> Hand:
    """Whom to deal where."""
    from tapas_opt.placement.dealing_kernels import Hand  # noqa: PLC0415  compiled loops take long to import

    vms, to = turns(problem, shares)
    kind = shares.server_kind[classes.servers.first]
    by_kind = np.argsort(kind, kind="stable")
    begin = np.searchsorted(kind[by_kind], np.arange(shares.amount.shape[1] + 1))
    return Hand(
        vms=vms,
        to=to,
        begin=begin - begin[0],
        classes=by_kind[begin[0] :],
        slots=np.isin(np.arange(len(problem.budgets.slots)), shares.slots),
        pair_room=empty.spare.copy(),
        filling_of_cost=FILLING_OF_COST,
    )


def turns(problem: PlacementProblem, shares: Shares) -> tuple[IntArray, IntArray]:
    """Numbers of VMs, the largest first, and the kind of server each goes to.

    Where not all of a type go anywhere those do that cost most unplaced.
    """
    size = sizes(problem)
    of_kind = np.zeros(len(shares.amount), dtype=np.int64)
    of_kind[shares.vm_kind] = problem.vm_type
    by_size = np.lexsort(size[of_kind].T[::-1])
    whole = np.zeros(shares.amount.shape, dtype=np.int64)
    whole[by_size] = rounded(shares.amount[by_size])
    order = np.lexsort((-problem.unplaced_price(np.arange(len(problem.vms))), shares.vm_kind))
    begin = np.searchsorted(shares.vm_kind[order], np.arange(len(whole) + 1))
    to = np.full(len(order), NONE)
    for w, counts in enumerate(whole):
        kinds = np.repeat(np.arange(len(counts)), counts)[: begin[w + 1] - begin[w]]
        to[order[begin[w] : begin[w] + len(kinds)]] = kinds
    dealt_out = np.flatnonzero(to != NONE)
    largest_first = dealt_out[np.argsort(-size[problem.vm_type[dealt_out], -1], kind="stable")]
    return largest_first, to[largest_first]


def sizes(problem: PlacementProblem) -> FloatArray:
    """``[type, measure]`` what can be relieved of it, roughly, and what it draws, in the slot that draws most."""
    draws, reliefs = [problem.type_power_w.max(axis=(1, 2), initial=0)], []
    count = np.bincount(problem.vm_type, minlength=len(problem.type_fits))
    for part in problem.survival.parts if problem.survival else ():
        draw = part.family.counted(problem.type_power_w, problem.type_airflow_cfm).max(axis=1)
        slot = int((count @ draw).argmax())
        relief = part.type_relief[:, :, :, slot].max(axis=1)
        reliefs += [(4 * tier / np.maximum(1, draw[:, slot])).astype(np.int64) for tier in relief.T]
        draws.append(draw[:, slot])
    return np.column_stack([*reliefs, *draws]).astype(np.float64)
