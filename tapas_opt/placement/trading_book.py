"""What VMs that trade places go by, as the compiled loops of :mod:`tapas_opt.placement.trading_kernels` read it.

Rows of budgets are those of :class:`~tapas_opt.placement.taps.Taps`. A *survival row* is a pair in a slot that is
stated, a *cell* a failure in such a slot; cells of a failure lie together. The class after the last one is nowhere.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Book", "Terms", "smallest"]

IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]
FloatArray = NDArray[np.float64]


class Terms(NamedTuple):
    """What stays as it is while VMs trade places.

    Attributes
    ----------
    kind, group, stays, unplaced_price, size
        ``[vm]`` number of its type, group or -1, whether its server counts as taken, what it costs to have none, and
        how hard it is to place: it is felt as a cost, so that of two VMs the smaller one stays without a server.
    bound, mobile
        ``[vm]`` whether it has to stay placed, or unplaced; and the VMs that may move.
    eligible, cost, gpus
        ``[kind, class]``.
    gpus_of_class, spare_gpu
        ``[class]`` GPUs of one of its servers; price of a GPU that is left over.
    of_class, domain, share, look, row_begin, slot, room
        Taps of classes, and rows; ``room[row]`` in thousandths.
    before, step, peak_of_row, peak_price
        ``[row]`` thousandths before the peak rises, and a step of it; ``[peak]`` price of a step.
    draw, relief
        ``[kind, look, slot]`` and ``[kind, look, tier, slot]``; look is 2 · hardware, and 1 more for CFM.
    pair, pair_share, pair_look
        ``[class, place]``; pair -1 where there is none.
    pair_begin, pair_slot, cell, tier_price
        Survival rows of a pair, ``[survival row]`` slot and cell, and ``[survival row, tier]`` price.
    failure_begin, failure_begin_of_room, present
        Cells of a failure; failures of a room; ``[room]`` what its worst failure costs anyway.
    room_of_class, alike
        ``[class]`` room whose failures matter there, or -1; number of those that failures do not tell apart.
    group_place, together_place, group_most
        ``[group, class]`` place of the spread, and place in which members are together; ``[group]`` most a place.
    kept_place
        ``[level, class]`` place in which servers are kept back, or -1.
    """

    kind: IntArray
    group: IntArray
    stays: BoolArray
    unplaced_price: IntArray
    size: IntArray
    bound: BoolArray
    mobile: IntArray
    eligible: BoolArray
    cost: IntArray
    gpus: IntArray
    gpus_of_class: IntArray
    spare_gpu: int
    of_class: IntArray
    domain: IntArray
    share: IntArray
    look: IntArray
    row_begin: IntArray
    slot: IntArray
    room: IntArray
    before: IntArray
    step: IntArray
    peak_of_row: IntArray
    peak_price: IntArray
    draw: IntArray
    relief: IntArray
    pair: IntArray
    pair_share: IntArray
    pair_look: IntArray
    pair_begin: IntArray
    pair_slot: IntArray
    cell: IntArray
    tier_price: IntArray
    failure_begin: IntArray
    failure_begin_of_room: IntArray
    present: IntArray
    room_of_class: IntArray
    alike: IntArray
    group_place: IntArray
    together_place: IntArray
    group_most: IntArray
    kept_place: IntArray


class Book(NamedTuple):
    """What changes while VMs trade places.

    Attributes
    ----------
    class_of, left, drawn
        ``[vm]``, ``[class]`` free GPUs, and ``[row]``.
    spare, given, row_cost
        ``[survival row]`` thousandths until relief is needed, ``[survival row, tier]`` those that may be relieved, and
        what the relief costs, in thousandths.
    cell_cost, failure_cost
        ``[cell]`` in thousandths, and ``[failure]`` the dearest of its cells.
    held, kept, used
        ``[group, place]`` members, ``[level, place]`` servers that may still be taken, ``[class]`` GPUs of VMs that
        stay.
    peak
        ``[peak]`` steps above today's.
    room_cost
        ``[room]`` what its worst failure costs beyond today's, and the same with a smooth maximum.
    """

    class_of: IntArray
    left: IntArray
    drawn: IntArray
    spare: IntArray
    given: IntArray
    row_cost: IntArray
    cell_cost: IntArray
    failure_cost: IntArray
    held: IntArray
    kept: IntArray
    used: IntArray
    peak: IntArray
    room_cost: FloatArray


def smallest() -> tuple[Terms, Book]:
    """One VM on one server, to compile loops with."""
    of = (np.zeros((1,) * n, dtype=np.int64) for n in range(5))
    _, one, table, cube, fourfold = of
    ends, no = np.array([0, 1]), np.zeros(1, dtype=np.bool_)
    terms = Terms(
        *(one, one - 1, no, one, one, ~no, one, table > 0, table, table, one + 1, 0),
        *(table, one, one, one, ends, one, one, one, one + 1, one - 1, one, cube, fourfold),
        *(table, table, table, ends, one, one, table, ends, ends, one, ends - ends, ends, table, table, one, table),
    )
    book = Book(
        *(one.copy(), one.copy(), one.copy(), one.copy(), table.copy(), one.copy(), one.copy(), one.copy()),
        *(table.copy(), table.copy(), one.copy(), one.copy(), np.zeros((1, 2))),
    )
    return terms, book
