"""The compiled loop of :mod:`tapas_opt.placement.trading`, which says what it does."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tapas_opt.placement.trading_book import Book, Terms, smallest

__all__ = ["place", "trade", "warm_up"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

PERMILLE = 1000.0
DOUBLINGS = 5
"""A smooth maximum is the norm of the 2^5th power."""

SOFT_FRAC = 0.2
"""So much of the smooth maximum counts beside the maximum, which says nothing of any failure but the dearest."""

OUTSIDE, LOOKS = 4, 32
"""Every so many tries begin with a VM that has no server, if so many looks find one."""

RECOUNT = 4096
"""After so many tries peaks are counted anew: a change only raises them."""


@njit(cache=True)
def settle(j: int, terms: Terms, book: Book) -> None:
    """Work out what relief a survival row needs, cheapest first, and book it to its cell."""
    need, cost = -book.spare[j], np.int64(0)
    for tier in range(book.given.shape[1]):
        if need <= 0:
            break
        taken = min(need, book.given[j, tier])
        cost += taken * terms.tier_price[j, tier]
        need -= taken
    book.cell_cost[terms.cell[j]] += cost - book.row_cost[j]
    book.row_cost[j] = cost


@njit(cache=True)
def draw_on(v: int, k: int, sign: int, terms: Terms, book: Book) -> None:
    """Put a VM on a server of class ``k``, or take it away where ``sign`` is -1: all but the failures."""
    if k == len(book.left):
        return
    w = terms.kind[v]
    book.left[k] -= sign * terms.gpus[w, k]
    for n in terms.of_class[k]:
        for j in range(terms.row_begin[terms.domain[n]], terms.row_begin[terms.domain[n] + 1]):
            book.drawn[j] += sign * terms.draw[w, terms.look[n], terms.slot[j]] * terms.share[n]
    if terms.group[v] >= 0:
        book.held[terms.group[v], terms.group_place[terms.group[v], k]] += sign
    if terms.stays[v]:
        whole = terms.gpus_of_class[k]
        taken = -(-book.used[k] // whole)
        book.used[k] += sign * terms.gpus[w, k]
        taken -= -(-book.used[k] // whole)
        for level in range(terms.kept_place.shape[0]):
            if terms.kept_place[level, k] >= 0:
                book.kept[level, terms.kept_place[level, k]] += taken


@njit(cache=True)
def fail_on(v: int, k: int, sign: int, terms: Terms, book: Book) -> None:
    """Count what a VM on a server of class ``k`` draws and gives after failures."""
    if k == len(book.left):
        return
    w = terms.kind[v]
    for p in range(terms.pair.shape[1]):
        d = terms.pair[k, p]
        if d < 0:
            continue
        share, look = sign * terms.pair_share[k, p], terms.pair_look[k, p]
        for j in range(terms.pair_begin[d], terms.pair_begin[d + 1]):
            book.spare[j] -= share * terms.draw[w, look, terms.pair_slot[j]]
            for tier in range(book.given.shape[1]):
                book.given[j, tier] += share * terms.relief[w, look, tier, terms.pair_slot[j]]
            settle(j, terms, book)


@njit(cache=True)
def may_go(v: int, k: int, terms: Terms, book: Book) -> bool:
    """Whether what can be said at once does not speak against a VM on class ``k``."""
    here, g = book.class_of[v], terms.group[v]
    if k == len(book.left) or here == len(book.left):
        if terms.bound[v]:
            return False
        return k == len(book.left) or bool(terms.eligible[terms.kind[v], k])
    if g >= 0 and terms.together_place[g, k] != terms.together_place[g, here]:
        return False
    return bool(terms.eligible[terms.kind[v], k])


@njit(cache=True)
def holds(v: int, k: int, terms: Terms, book: Book) -> bool:
    """Whether all limits of class ``k`` hold, where ``v`` came: all but those of failures."""
    if k == len(book.left):
        return True
    if book.left[k] < 0:
        return False
    g = terms.group[v]
    if g >= 0 and book.held[g, terms.group_place[g, k]] > terms.group_most[g]:
        return False
    for level in range(terms.kept_place.shape[0]):
        if terms.kept_place[level, k] >= 0 and book.kept[level, terms.kept_place[level, k]] < 0:
            return False
    for n in terms.of_class[k]:
        for j in range(terms.row_begin[terms.domain[n]], terms.row_begin[terms.domain[n] + 1]):
            if book.drawn[j] > terms.room[j]:
                return False
    return True


@njit(cache=True)
def bears(k: int, terms: Terms, book: Book) -> bool:
    """Whether everything that may be relieved suffices after each failure that matters to class ``k``."""
    if k == len(book.left):
        return True
    for p in range(terms.pair.shape[1]):
        d = terms.pair[k, p]
        if d >= 0:
            for j in range(terms.pair_begin[d], terms.pair_begin[d + 1]):
                if book.spare[j] < 0 and book.spare[j] + book.given[j].sum() < 0:
                    return False
    return True


@njit(cache=True)
def worst_of(r: int, terms: Terms, book: Book) -> FloatArray:
    """What the worst failure of a room costs beyond today's, and the same with a smooth maximum."""
    costs = np.zeros(2)
    if r < 0:
        return costs
    begin, end = terms.failure_begin_of_room[r], terms.failure_begin_of_room[r + 1]
    worst, total = 0.0, 0.0
    for i in range(begin, end):
        highest = np.int64(0)
        for c in range(terms.failure_begin[i], terms.failure_begin[i + 1]):
            highest = max(highest, book.cell_cost[c])
        book.failure_cost[i] = highest
        worst = max(worst, float(highest))
    for i in range(begin, end):
        part = book.failure_cost[i] / max(1.0, worst)
        for _ in range(DOUBLINGS):
            part *= part
        total += part
    for _ in range(DOUBLINGS):
        total = np.sqrt(total)
    present = float(terms.present[r])
    costs[0] = max(0.0, worst / PERMILLE - present)
    costs[1] = max(0.0, worst * total / PERMILLE - present)
    return costs


@njit(cache=True)
def own_cost(v: int, k: int, terms: Terms, book: Book) -> float:
    """What a VM costs on class ``k`` by itself."""
    if k == len(book.left):
        return float(terms.unplaced_price[v])
    return float(terms.cost[terms.kind[v], k])


@njit(cache=True)
def left_over(k: int, terms: Terms, book: Book) -> float:
    """What the GPUs cost that are left over of servers that were begun."""
    if k == len(book.left):
        return 0.0
    return float(terms.spare_gpu * (book.left[k] % terms.gpus_of_class[k]))


@njit(cache=True)
def rise_of_class(k: int, peak: IntArray, terms: Terms, book: Book) -> None:
    """Raise ``peak`` to what the rows of class ``k`` ask."""
    if k == len(book.left):
        return
    for n in terms.of_class[k]:
        for j in range(terms.row_begin[terms.domain[n]], terms.row_begin[terms.domain[n] + 1]):
            f = terms.peak_of_row[j]
            if f >= 0 and book.drawn[j] > terms.before[j]:
                peak[f] = max(peak[f], -(-(book.drawn[j] - terms.before[j]) // terms.step[j]))


@njit(cache=True)
def counted_anew(peak: IntArray, terms: Terms, book: Book) -> float:
    """Count peaks anew; by how much they cost less than was booked."""
    peak[:] = 0
    for j in range(len(book.drawn)):
        f = terms.peak_of_row[j]
        if f >= 0 and book.drawn[j] > terms.before[j]:
            peak[f] = max(peak[f], -(-(book.drawn[j] - terms.before[j]) // terms.step[j]))
    less = float(((book.peak - peak) * terms.peak_price).sum())
    book.peak[:] = peak
    return less


@njit(cache=True)
def place(class_of: IntArray, terms: Terms, book: Book) -> None:
    """Book a whole placement where nothing is placed yet."""
    for j in range(len(terms.pair_slot)):
        settle(j, terms, book)
    for v in range(len(class_of)):
        draw_on(v, class_of[v], 1, terms, book)
        fail_on(v, class_of[v], 1, terms, book)
    book.class_of[:] = class_of
    counted_anew(book.peak.copy(), terms, book)


@njit(cache=True)
def move(v: int, u: int, here: int, there: int, terms: Terms, book: Book) -> None:
    """Take ``v`` from one class to another, and ``u``, if it is anybody, the other way: all but the failures."""
    draw_on(v, here, -1, terms, book)
    draw_on(v, there, 1, terms, book)
    if u >= 0:
        draw_on(u, there, -1, terms, book)
        draw_on(u, here, 1, terms, book)


@njit(cache=True)
def fail(v: int, u: int, here: int, there: int, terms: Terms, book: Book) -> None:
    """Let failures know that ``v`` went from here to there, and ``u``, if it is anybody, the other way."""
    fail_on(v, here, -1, terms, book)
    fail_on(v, there, 1, terms, book)
    if u >= 0:
        fail_on(u, there, -1, terms, book)
        fail_on(u, here, 1, terms, book)


@njit(cache=True)
def anybody(terms: Terms) -> int:
    """A VM that may move."""
    return int(terms.mobile[np.random.randint(len(terms.mobile))])


@njit(cache=True)
def anybody_outside(terms: Terms, book: Book) -> int:
    """One that has no server, if some looks find one."""
    v = anybody(terms)
    for _ in range(LOOKS):
        if book.class_of[v] == len(book.left):
            break
        v = anybody(terms)
    return v


@njit(cache=True)
def drawn_change(v: int, terms: Terms, book: Book) -> tuple[int, int]:
    """With whom a VM might change places, -1 for nobody, and on which class it then is: its own if nothing can change.

    It may come in by this, move, or drop out.
    """
    here, nowhere = book.class_of[v], len(book.left)
    if np.random.random() < 0.5:
        u = anybody(terms)
        there = book.class_of[u]
        both_placed = nowhere not in (here, there)
        return u, here if both_placed and terms.kind[u] == terms.kind[v] else there
    there = np.random.randint(nowhere + 1)
    return -1, here if there < nowhere and book.left[there] < terms.gpus[terms.kind[v], there] else there


@njit(cache=True)
def own_change(v: int, u: int, here: int, there: int, terms: Terms, book: Book) -> tuple[float, float]:
    """What going there costs the two VMs by themselves, and what is felt beside it: the size of who is left outside."""
    costs, size, nowhere = 0.0, 0.0, len(book.left)
    for one, left, reached in ((v, here, there), (u, there, here)):
        if one >= 0:
            costs += own_cost(one, reached, terms, book) - own_cost(one, left, terms, book)
            size += terms.size[one] * (int(reached == nowhere) - int(left == nowhere))
    return costs, size


@njit(cache=True)
def rooms_told_apart(here: int, there: int, terms: Terms) -> tuple[int, int]:
    """Rooms whose worst failure another class may change, each once; -1 for none."""
    if terms.alike[here] == terms.alike[there]:
        return -1, -1
    one, other = terms.room_of_class[here], terms.room_of_class[there]
    return one, -1 if other == one else other


@njit(cache=True)
def changed(v: int, u: int, there: int, heat: float, peak: IntArray, terms: Terms, book: Book) -> float:
    """Take ``v`` to a class, and ``u``, if it is anybody, to where ``v`` was; what all costs more now.

    inf, and all is as it was, where a limit is broken or it costs too much for this heat. ``peak`` is for notes.
    """
    here = book.class_of[v]
    costs, size = own_change(v, u, here, there, terms, book)
    costs -= left_over(here, terms, book) + left_over(there, terms, book)
    move(v, u, here, there, terms, book)
    if not holds(v, there, terms, book) or (u >= 0 and not holds(u, here, terms, book)):
        move(v, u, there, here, terms, book)
        return np.inf
    costs += left_over(here, terms, book) + left_over(there, terms, book)
    peak[:] = book.peak
    rise_of_class(here, peak, terms, book)
    rise_of_class(there, peak, terms, book)
    costs += float(((peak - book.peak) * terms.peak_price).sum())
    felt, fits, worst = costs + size, True, np.zeros((2, 2))
    rooms = rooms_told_apart(here, there, terms)
    if max(rooms) >= 0:
        fail(v, u, here, there, terms, book)
        fits = bears(here, terms, book) and bears(there, terms, book)
    for side, r in enumerate(rooms):
        if fits and r >= 0:
            worst[side] = worst_of(r, terms, book)
            costs += worst[side, 0] - book.room_cost[r, 0]
            felt += worst[side, 0] - book.room_cost[r, 0]
            felt += SOFT_FRAC * (worst[side, 1] - book.room_cost[r, 1])
    if not fits or (felt > 0.0 and np.random.random() >= np.exp(-felt / heat)):
        if max(rooms) >= 0:
            fail(v, u, there, here, terms, book)
        move(v, u, there, here, terms, book)
        return np.inf
    for side, r in enumerate(rooms):
        if r >= 0:
            book.room_cost[r] = worst[side]
    book.class_of[v] = there
    if u >= 0:
        book.class_of[u] = here
    book.peak[:] = peak
    return costs


@njit(cache=True)
def trade(terms: Terms, book: Book, tries: int, heat: float, seed: int) -> tuple[IntArray, float]:
    """``class_of`` of the best that was met, and by how much it costs less than the beginning.

    A change that costs ``heat`` more is taken every third time or so.
    """
    np.random.seed(seed)
    best_of, peak = book.class_of.copy(), book.peak.copy()
    saved, most_saved = 0.0, 0.0
    for r in range(len(book.room_cost)):
        book.room_cost[r] = worst_of(r, terms, book)
    for n in range(tries):
        if n % RECOUNT == 0:
            saved += counted_anew(peak, terms, book)
        v = anybody_outside(terms, book) if n % OUTSIDE == 0 else anybody(terms)
        u, there = drawn_change(v, terms, book)
        here = book.class_of[v]
        if here == there or not may_go(v, there, terms, book) or (u >= 0 and not may_go(u, here, terms, book)):
            continue
        costs = changed(v, u, there, heat, peak, terms, book)
        if costs == np.inf:
            continue
        saved -= costs
        if saved > most_saved + 0.5:
            most_saved = saved
            best_of[:] = book.class_of
    return best_of, most_saved


def warm_up() -> None:
    """Compile, or load what was compiled before."""
    terms, book = smallest()
    place(np.zeros(1, dtype=np.int64), terms, book)
    trade(terms, book, 1, 1.0, 0)
