"""The compiled loop of :mod:`tapas_opt.placement.dealing`, which says what it does."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tapas_opt.placement.taps import UNLIMITED
from tapas_opt.placement.trading_book import Book, Terms, smallest
from tapas_opt.placement.trading_kernels import bears, draw_on, fail_on, holds, own_cost

__all__ = ["Hand", "deal", "warm_up"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


class Hand(NamedTuple):
    """Who is dealt to whom.

    Attributes
    ----------
    vms, to
        ``[turn]`` numbers of VMs, and the kind of server that each goes to.
    begin, classes
        Where the server classes of each kind begin, kind by kind.
    slots
        ``[slot]`` whether loads are compared there.
    pair_room
        ``[survival row]`` thousandths until relief is needed, before anything is dealt.
    filling_of_cost
        As much fuller is as bad as one cost unit.
    """

    vms: IntArray
    to: IntArray
    begin: IntArray
    classes: IntArray
    slots: BoolArray
    pair_room: IntArray
    filling_of_cost: float


@njit(cache=True)
def filling(v: int, k: int, hand: Hand, terms: Terms, book: Book) -> float:
    """How full what class ``k`` draws on is and would be, weighted by what the VM draws there."""
    w, total = terms.kind[v], 0.0
    for n in terms.of_class[k]:
        for j in range(terms.row_begin[terms.domain[n]], terms.row_begin[terms.domain[n] + 1]):
            if hand.slots[terms.slot[j]] and 0 < terms.room[j] < UNLIMITED:
                more = float(terms.draw[w, terms.look[n], terms.slot[j]] * terms.share[n])
                total += more * (2.0 * book.drawn[j] + more) / terms.room[j]
    for p in range(terms.pair.shape[1]):
        d = terms.pair[k, p]
        if d < 0:
            continue
        for j in range(terms.pair_begin[d], terms.pair_begin[d + 1]):
            room = hand.pair_room[j]
            if hand.slots[terms.pair_slot[j]] and room > 0:
                more = float(terms.draw[w, terms.pair_look[k, p], terms.pair_slot[j]] * terms.pair_share[k, p])
                total += more * (2.0 * (room - book.spare[j]) + more) / room
    return total


@njit(cache=True)
def put(v: int, k: int, sign: int, terms: Terms, book: Book) -> None:
    """Put a VM on class ``k``, or take it back."""
    draw_on(v, k, sign, terms, book)
    fail_on(v, k, sign, terms, book)
    book.class_of[v] = k if sign > 0 else len(book.left)


@njit(cache=True)
def least_filled(v: int, classes: IntArray, hand: Hand, terms: Terms, book: Book) -> int:
    """Put the VM on the class that it fills least, or, of a host that was begun, leaves least of; -1 if none holds."""
    w = terms.kind[v]
    score = np.full(len(classes), np.inf)
    for i in range(len(classes)):
        k = classes[i]
        if terms.eligible[w, k] and book.left[k] >= terms.gpus[w, k]:
            rest = (book.left[k] - terms.gpus[w, k]) % terms.gpus_of_class[k]
            spare = terms.spare_gpu * float(rest - book.left[k] % terms.gpus_of_class[k])
            score[i] = own_cost(v, k, terms, book) + spare + filling(v, k, hand, terms, book) / hand.filling_of_cost
    for _ in range(len(classes)):
        i = int(np.argmin(score))
        if score[i] == np.inf:
            break
        k = classes[i]
        put(v, k, 1, terms, book)
        if holds(v, k, terms, book) and bears(k, terms, book):
            return int(k)
        put(v, k, -1, terms, book)
        score[i] = np.inf
    return -1


@njit(cache=True)
def deal(hand: Hand, terms: Terms, book: Book) -> None:
    """Deal VMs one by one; whoever finds no server of its kind may have any other at the end."""
    for turn in range(len(hand.vms)):
        k = hand.to[turn]
        least_filled(hand.vms[turn], hand.classes[hand.begin[k] : hand.begin[k + 1]], hand, terms, book)
    for v in hand.vms:
        if book.class_of[v] == len(book.left):
            least_filled(v, hand.classes, hand, terms, book)


def warm_up() -> None:
    """Compile, or load what was compiled before."""
    none, ends = np.zeros(1, dtype=np.int64), np.array([0, 1])
    deal(Hand(none, none, ends, none, none == 0, none.copy(), 1.0), *smallest())
