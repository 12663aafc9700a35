"""A placement as the compiled loop of :mod:`tapas_opt.placement.trading` wants it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tapas_opt.budgets.classes import alike
from tapas_opt.domain.failure import PERMILLE
from tapas_opt.domain.topology import NONE
from tapas_opt.placement.problem import PlacementClasses, PlacementProblem
from tapas_opt.placement.survival.problem import Secured, Survival
from tapas_opt.placement.taps import Taps
from tapas_opt.placement.trading_book import Book, Terms
from tapas_opt.placement.trading_kernels import place

__all__ = ["booked", "terms_of"]

IntArray = NDArray[np.int64]


def terms_of(problem: PlacementProblem, classes: PlacementClasses, survival: Survival) -> tuple[Terms, Book]:
    """What stays as it is, and the book of a batch of which nothing is placed."""
    taps, pairs = Taps.of(problem, classes), _Pairs.of(problem, survival, classes.servers.first)
    terms, empty = _terms(problem, classes, survival, taps, pairs), _empty(problem, classes, survival, taps, pairs)
    return terms._replace(**_plain(terms)), empty._replace(**_plain(empty))


def _terms(
    problem: PlacementProblem, classes: PlacementClasses, survival: Survival, taps: Taps, pairs: _Pairs
) -> Terms:
    first = classes.servers.first
    asked, kind = np.unique(problem.vm_type, return_inverse=True)
    by_unit = np.stack([problem.type_power_w[asked], problem.type_airflow_cfm[asked]], axis=2)
    group_place, together_place = _group_places(problem, first)
    whole = [group.all_or_nothing or group.together is not None for group in problem.groups]
    return Terms(
        kind=kind.astype(np.int64),
        group=problem.vm_group,
        stays=~problem.is_spot,
        unplaced_price=problem.unplaced_price(np.arange(len(problem.vms))),
        size=_size(problem, survival)[problem.vm_type],
        bound=np.array([*whole, False])[problem.vm_group],
        mobile=np.flatnonzero((classes.promises.vm_tenant == NONE) | problem.is_spot),
        eligible=problem.eligible(first)[asked],
        cost=problem.temperature_cost(first)[asked],
        gpus=problem.type_gpus[:, problem.server_hardware[first]][asked],
        gpus_of_class=problem.gpus[first],
        spare_gpu=problem.prices.spare_gpu,
        of_class=taps.of_class,
        domain=taps.domain,
        share=taps.share,
        look=taps.look,
        row_begin=taps.row_begin,
        slot=taps.row_slot,
        room=taps.row_room,
        before=taps.row_before,
        step=taps.row_step,
        peak_of_row=taps.peak_of_row,
        peak_price=np.array([peak.price for peak in classes.peaks], dtype=np.int64),
        draw=by_unit.reshape(len(asked), 2 * by_unit.shape[1], by_unit.shape[3]),
        relief=_relief(problem, survival, asked),
        pair=pairs.pair,
        pair_share=pairs.share,
        pair_look=pairs.look,
        pair_begin=pairs.begin,
        pair_slot=pairs.slot,
        cell=pairs.cell,
        tier_price=pairs.price,
        failure_begin=pairs.failure_begin,
        failure_begin_of_room=pairs.failure_begin_of_room,
        present=survival.present_cost,
        room_of_class=np.append(pairs.room_of_class, NONE),
        alike=np.append(alike(pairs.pair, pairs.share, pairs.look).of, NONE),
        group_place=group_place,
        together_place=together_place,
        group_most=np.array([group.max_per_place for group in problem.groups], dtype=np.int64),
        kept_place=_kept_places(classes),
    )


def _empty(problem: PlacementProblem, classes: PlacementClasses, survival: Survival, taps: Taps, pairs: _Pairs) -> Book:
    first = classes.servers.first
    return Book(
        class_of=np.full(len(problem.vms), len(first)),
        left=classes.servers.size * problem.gpus[first],
        drawn=np.zeros(len(taps.row_slot), dtype=np.int64),
        spare=pairs.spare,
        given=pairs.given,
        row_cost=np.zeros(len(pairs.slot), dtype=np.int64),
        cell_cost=np.zeros(int(pairs.failure_begin[-1]), dtype=np.int64),
        failure_cost=np.zeros(len(pairs.failure_begin) - 1, dtype=np.int64),
        held=_held(problem),
        kept=_kept(problem, classes),
        used=np.zeros(len(first), dtype=np.int64),
        peak=np.zeros(len(classes.peaks), dtype=np.int64),
        room_cost=np.zeros((len(survival.rooms), 2)),
    )


def _plain(entries: Terms | Book) -> dict[str, Any]:
    """Arrays of one layout, so that the loop is compiled once."""
    return {name: np.array(of, order="C") for name, of in entries._asdict().items() if isinstance(of, np.ndarray)}


def booked(terms: Terms, empty: Book, class_of: IntArray) -> Book:
    """The book of a placement; ``empty`` is left as it is."""
    book = empty._replace(**{name: entry.copy() for name, entry in empty._asdict().items()})
    place(class_of, terms, book)
    return book


def _relief(problem: PlacementProblem, survival: Survival, asked: IntArray) -> IntArray:
    """``[kind, look, tier, slot]`` what a VM can give; parts differ in their units."""
    tiers = max(len(part.tiers) for part in survival.parts)
    hardware, slots = problem.type_fits.shape[1], len(problem.budgets.slots)
    relief = np.zeros((len(asked), 2 * hardware, tiers, slots), dtype=np.int64)
    for part in survival.parts:
        relief[:, _unit(part) :: 2, : len(part.tiers)] = part.type_relief[asked]
    return relief


def _size(problem: PlacementProblem, survival: Survival) -> IntArray:
    """``[type]`` what it would cost to relieve all that a VM draws, by the dearest knob: in W or CFM, what is more."""
    size = np.zeros(len(problem.type_fits), dtype=np.int64)
    for part in survival.parts:
        draw = part.family.counted(problem.type_power_w, problem.type_airflow_cfm)
        size = np.maximum(size, int(part.relief_price[-1]) * draw.max(axis=(1, 2), initial=0))
    return size


def _unit(part: Secured) -> int:
    return int(part.family.unit != "W")


@dataclass(frozen=True, slots=True)
class _Pairs:
    """Pairs of all parts, one part after the other; fields are those of :class:`Terms` and :class:`Book`."""

    pair: IntArray
    share: IntArray
    look: IntArray
    begin: IntArray
    slot: IntArray
    cell: IntArray
    price: IntArray
    spare: IntArray
    given: IntArray
    failure_begin: IntArray
    failure_begin_of_room: IntArray
    room_of_class: IntArray

    @classmethod
    def of(cls, problem: PlacementProblem, survival: Survival, first: IntArray) -> _Pairs:
        """Number pairs, their rows, and failures by room."""
        parts = survival.parts
        stated = np.concatenate([part.stated for part in parts])
        room = np.concatenate([part.scenario_room for part in parts])
        by_room = np.argsort(room, kind="stable")
        rank = np.argsort(by_room, kind="stable")
        number = np.cumsum(stated[by_room]).reshape(stated.shape) - 1
        failures = np.concatenate([[0], np.cumsum([len(part.scenarios) for part in parts])])
        pairs = np.concatenate([[0], np.cumsum([len(part.family.domains) for part in parts])])
        tiers = max(len(part.tiers) for part in parts)
        columns = [_rows(part, number, rank[begin:], tiers) for part, begin in zip(parts, failures[:-1], strict=True)]
        on = [part.family.member[part.kind[first]] for part in parts]
        hardware = 2 * problem.server_hardware[first]
        count, slot, cell, price, spare, given = (np.concatenate(column) for column in zip(*columns, strict=True))
        room_of_class = np.full(len(first), NONE)
        for part, member in zip(parts, on, strict=True):
            of_pair = np.append(part.scenario_room[part.scenario], NONE)
            room_of_class = np.maximum(room_of_class, of_pair[member].max(axis=1, initial=NONE))
        return cls(
            pair=np.hstack([np.where(m == NONE, NONE, m + begin) for m, begin in zip(on, pairs[:-1], strict=True)]),
            share=np.hstack([part.family.share_permille[part.kind[first]] for part in parts]),
            look=np.hstack(
                [np.broadcast_to((hardware + _unit(p))[:, None], m.shape) for p, m in zip(parts, on, strict=True)]
            ),
            begin=np.concatenate([[0], np.cumsum(count)]),
            slot=slot,
            cell=cell,
            price=price,
            spare=spare,
            given=given,
            failure_begin=np.concatenate([[0], np.cumsum(stated[by_room].sum(axis=1))]),
            failure_begin_of_room=np.searchsorted(room[by_room], np.arange(len(survival.rooms) + 1)),
            room_of_class=room_of_class,
        )


def _rows(part: Secured, number: IntArray, rank: IntArray, tiers: int) -> tuple[IntArray, ...]:
    """Rows of each pair; slot, cell, price, spare and given of each row."""
    pair, slot = np.nonzero(part.family.needs_row)
    spare = PERMILLE * (part.tolerated - part.family.base)
    price = np.zeros((len(pair), tiers), dtype=np.int64)
    price[:, : len(part.tiers)] = part.relief_price
    given = np.zeros((len(pair), tiers), dtype=np.int64)
    for tier in range(len(part.tiers)):
        given[:, tier] = part.relieved_permille(part.available[:, tier])[pair, slot]
    return (
        part.family.needs_row.sum(axis=1),
        slot,
        number[rank[part.scenario[pair]], slot],
        price,
        spare[pair, slot],
        given,
    )


def _group_places(problem: PlacementProblem, first: IntArray) -> tuple[IntArray, IntArray]:
    """``[group, class]`` place of the spread, and place of those that are together."""
    shape = (len(problem.groups), len(first))
    place, together = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)
    for g, group in enumerate(problem.groups):
        place[g] = group.place_of[first]
        if group.together is not None:
            together[g] = group.together.place_of[first]
    return place, together


def _held(problem: PlacementProblem) -> IntArray:
    """``[group, place]`` members that run."""
    most = max((len(group.places) for group in problem.groups), default=0)
    held = np.zeros((len(problem.groups), most), dtype=np.int64)
    for g, group in enumerate(problem.groups):
        held[g, : len(group.places)] = group.present
    return held


def _kept_places(classes: PlacementClasses) -> IntArray:
    """``[level, class]`` place in which servers are kept back."""
    levels, first = classes.promises.levels, classes.servers.first
    return np.array([level.place_of[first] for level in levels], dtype=np.int64).reshape(len(levels), len(first))


def _kept(problem: PlacementProblem, classes: PlacementClasses) -> IntArray:
    """``[level, place]`` servers beyond those that are kept back and owed."""
    levels = classes.promises.levels
    promised = classes.promises if problem.promises is None else problem.promises
    kept = np.zeros((len(levels), max((len(level.places) for level in levels), default=0)), dtype=np.int64)
    for n, level in enumerate(levels):
        kept[n, : len(level.places)] = promised.room(n, problem.server_available) - promised.due(n)
    return kept
