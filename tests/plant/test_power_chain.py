"""Who carries what above the servers, and how one lost UPS can take the others along."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tapas_opt.domain.failure import Failure, FailureKind
from tapas_opt.domain.topology import topology_of
from tapas_opt.errors import NotFound
from tapas_opt.plant.parameters import Parameters
from tapas_opt.plant.power_chain import PowerChain

BARE = replace(Parameters(), rack_overhead_w=0.0, distribution_loss_frac=0.0)
SIX_KW = np.full(6, 6000.0)
U1 = Failure(FailureKind.UPS, "U1")


@pytest.fixture
def chain(two_rows) -> PowerChain:
    return PowerChain(topology_of(two_rows), BARE)


def run(chain: PowerChain, seconds: int, server_w: np.ndarray = SIX_KW) -> None:
    for _ in range(seconds):
        chain.protect(chain.flow(np.where(chain.dark, 0.0, server_w)), 1.0)


def test_two_feeds_share_a_rack_by_halves(chain):
    """Each UPS feeds three racks by halves: 1.5 × 6 kW = 9 kW; a row is three racks: 18 kW."""
    flow = chain.flow(SIX_KW)
    assert flow.ups_w == pytest.approx([9000.0] * 4)
    assert flow.row_w == pytest.approx([18_000.0] * 2)


def test_a_lost_ups_moves_its_racks_to_their_other_feeds(chain):
    """U1 fed K1, K3 and K5, whose other feeds are U2, U3 and U4: each now carries 2 × 6 kW."""
    chain.fail(U1)
    assert chain.flow(SIX_KW).ups_w == pytest.approx([0.0, 12_000.0, 12_000.0, 12_000.0])


def test_switches_and_losses_are_seen_by_meters_and_by_no_server(two_rows):
    """Each rack adds 150 W and 1.5 % of its 6 kW: 6,240 W; three of them in a row, twelve halves over the UPSs."""
    flow = PowerChain(topology_of(two_rows), Parameters()).flow(SIX_KW)
    assert flow.row_w == pytest.approx([3 * 6240.0] * 2)
    assert flow.pdu_w.sum() == pytest.approx(6 * 6240.0)
    assert flow.ups_w.sum() == pytest.approx(6 * 6240.0)


def test_survivors_of_a_lost_ups_are_held_to_their_battery_curve(chain):
    """At 13.2 of 12 kW (110 %) a UPS on battery bears 60 s, on mains an hour."""
    chain.fail(U1)
    run(chain, 59, SIX_KW * 1.1)
    assert chain.upses.used[1:] == pytest.approx([59 / 60] * 3)
    run(chain, 1, SIX_KW * 1.1)
    assert chain.upses.opened.tolist() == [False, True, True, True]
    assert chain.dark.all()


def test_without_a_lost_ups_the_mains_curve_holds(chain):
    """1.5 × 8.8 = 13.2 kW is 110 % again, but 60 s use only 60 of 3,600 s; the row's breaker is another matter."""
    chain.protect(chain.flow(SIX_KW * 8.8 / 6.0), 60.0)
    assert chain.upses.used == pytest.approx([1 / 60] * 4)


def test_an_opened_ups_drags_its_partners_down(two_rows):
    """With a weak U2 (11 kW) the loss of U1 cascades.

    At 6.6 kW a server U2, U3 and U4 carry 13.2 kW each: 120 % of U2, borne for 28.4 s, but only 110 % of the others,
    which alone would bear it for 60 s. K1 is then dark, and K6 and K4 lie wholly on U3 and U4: 2.5 × 6.6 = 16.5 kW,
    137.5 %, borne for 7.3 s from fresh, of which 1 − 29/60 is left: 3.8 s.
    """
    room = two_rows.rooms[0]
    weak = tuple(replace(ups, rating_w=11_000.0) if ups.name == "U2" else ups for ups in room.upses)
    chain = PowerChain(topology_of(replace(two_rows, rooms=(replace(room, upses=weak),))), BARE)
    chain.fail(U1)
    run(chain, 28, SIX_KW * 1.1)
    assert not chain.upses.opened.any()
    run(chain, 1, SIX_KW * 1.1)
    assert chain.upses.opened.tolist() == [False, True, False, False]
    assert chain.dark.tolist() == [True] + [False] * 5
    run(chain, 4, SIX_KW * 1.1)
    assert chain.upses.opened.tolist() == [False, True, True, True]
    assert chain.flow(np.zeros(6)).ups_w.sum() == 0.0


def test_clearing_closes_what_had_opened(chain):
    """Repair is the only way back."""
    chain.fail(U1)
    run(chain, 60, SIX_KW * 1.1)
    for name in ("U1", "U2", "U3", "U4"):
        chain.clear(Failure(FailureKind.UPS, name))
    assert not chain.dark.any()
    assert chain.flow(SIX_KW).ups_w == pytest.approx([9000.0] * 4)


def test_what_a_failure_has_used_up_comes_back_slowly_after_it_has_cleared(chain):
    """30 of 60 s at 110 % use a half; ten minutes of 1,800 s give a third back: 30 − 20 s are left used.

    A second failure therefore meets partners that bear 50 s and not 60, and the first one's own tolerance, which was
    never asked for, is whole.
    """
    chain.fail(U1)
    run(chain, 30, SIX_KW * 1.1)
    chain.clear(U1)
    assert chain.upses.used == pytest.approx([0.0, 0.5, 0.5, 0.5], abs=1e-9)
    run(chain, 600, SIX_KW * 0.5)
    assert chain.upses.used[1:] == pytest.approx([1 / 6] * 3)
    chain.fail(U1)
    run(chain, 49, SIX_KW * 1.1)
    assert not chain.upses.opened.any()
    run(chain, 2, SIX_KW * 1.1)
    assert chain.upses.opened[1:].all()


def test_clearing_a_failure_of_one_that_never_opened_does_not_make_it_fresh(chain):
    """U2 has used a half when it is switched off and on again: its heat does not leave with the order."""
    chain.fail(U1)
    run(chain, 30, SIX_KW * 1.1)
    chain.fail(Failure(FailureKind.UPS, "U2"))
    chain.clear(Failure(FailureKind.UPS, "U2"))
    assert chain.upses.used[1] == pytest.approx(0.5)


def test_an_overloaded_row_breaker_darkens_its_row(chain):
    """R1 at 27 of 18 kW (150 %) bears 60 s; R2 stays."""
    heavy = SIX_KW * np.array([1.5] * 3 + [0.5] * 3)
    run(chain, 59, heavy)
    assert not chain.dark.any()
    run(chain, 1, heavy)
    assert chain.dark.tolist() == [True] * 3 + [False] * 3
    assert chain.flow(np.zeros(6)).row_w[0] == 0.0


def test_an_overloaded_rack_breaker_darkens_its_rack_alone(chain):
    """K1 at 8.19 of 6.5 kW (126 %) bears 300 s × (1.26/1.25)^−8.83 = 279.6 s; its row has 18 kW for 15.7 and stays.

    At its budget a rack is full, not over.
    """
    heavy = np.array([8190.0, 3750.0, 3750.0, 3000.0, 3000.0, 3000.0])
    run(chain, 279, heavy)
    assert not chain.dark.any()
    run(chain, 1, heavy)
    assert chain.dark.tolist() == [True] + [False] * 5
    assert chain.flow(np.where(chain.dark, 0.0, heavy)).rack_w[0] == 0.0
    run(chain, 10, np.full(6, 6500.0))
    assert chain.racks.used[1:].max() == 0.0


def test_an_overloaded_pdu_opens_and_its_racks_hang_on_their_other_feed(two_rows):
    """P1 for 8 kW carries 9, 112.5 %.

    Between 105 % for 3,600 s and 125 % for 300 s, on log-log axes, that is borne for 3600 s × (1.125/1.05)^−14.25 =
    1,347 s. Then K1, K3 and K5 lie on P2, P3 and P4 alone, 12 kW each.
    """
    room = two_rows.rooms[0]
    pdus = tuple(replace(pdu, rating_w=8_000.0) if pdu.name == "P1" else pdu for pdu in room.pdus)
    chain = PowerChain(topology_of(replace(two_rows, rooms=(replace(room, pdus=pdus),))), BARE)
    run(chain, 1346)
    assert not chain.pdus.opened.any()
    run(chain, 1)
    assert chain.pdus.opened.tolist() == [True, False, False, False]
    assert not chain.dark.any()
    assert chain.flow(SIX_KW).pdu_w == pytest.approx([0.0, 12_000.0, 12_000.0, 12_000.0])
    assert chain.flow(SIX_KW).ups_w[0] == 0.0


def test_a_rack_with_a_single_feed_is_carried_by_that_feed(two_rows):
    """K1 on P1 alone: P1 carries 6 + 2 × 3 = 12 kW, P2 the 2 × 3 kW of K4 and K6."""
    room = two_rows.rooms[0]
    aisle, other = room.aisles
    row = aisle.rows[0]
    racks = (replace(row.racks[0], feeds=("P1",)), *row.racks[1:])
    aisles = (replace(aisle, rows=(replace(row, racks=racks),)), other)
    chain = PowerChain(topology_of(replace(two_rows, rooms=(replace(room, aisles=aisles),))), BARE)
    assert chain.flow(SIX_KW).pdu_w == pytest.approx([12_000.0, 6_000.0, 9_000.0, 9_000.0])


def test_an_unknown_element_cannot_fail(chain):
    """A misspelt drill must not pass for one that was survived; nothing has changed after the error."""
    with pytest.raises(NotFound, match="U9"):
        chain.fail(Failure(FailureKind.UPS, "U9"))
    assert chain.flow(SIX_KW).ups_w == pytest.approx([9000.0] * 4)
