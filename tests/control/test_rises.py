"""Rises of what nobody decides upon, counted domain by domain: what 99 % of them stayed below is the margin."""

import numpy as np
import pytest

from tapas_opt.control.rises import BINS, HORIZON_S, KNOWN_AFTER, Rises
from tapas_opt.domain.result import Constraint
from tapas_opt.domain.topology import topology_of

ROW = Constraint.ROW_POWER_BUDGET
VMS = [f"vm{s}" for s in range(6)]
AIR = np.full(6, 500.0)


@pytest.fixture
def topology(two_rows):
    return topology_of(two_rows)


@pytest.fixture
def rises(topology):
    return Rises(topology)


def feed(rises, power_of, count=int(1.05 * KNOWN_AFTER), runs=lambda k: VMS, every_s=60.0):
    """A reading a minute; ``power_of(k)`` gives watts of the six servers, three a row."""
    for k in range(count):
        rises.note(every_s * k, power_of(k), AIR, runs(k))
    return rises.margins()


def jumps(k):
    """S1 draws 1,200 W more at every tenth reading."""
    return np.array([4_000.0 + (1_200.0 if k % 10 == 0 else 0.0), *[4_000.0] * 5])


def test_what_never_rises_needs_the_smallest_step(rises):
    """Falling costs nothing."""
    margins = feed(rises, lambda k: np.full(6, 5_000.0 - k))
    assert margins[ROW] == pytest.approx([0.0025, 0.0025])
    assert margins[Constraint.AISLE_AIRFLOW_CAPACITY] == pytest.approx([0.0025, 0.0025])


def test_a_row_that_often_jumps_gets_the_margin_that_it_needs(rises):
    """1,200 W of then 13,200 W are 9.1 % of R1, in the bin up to 9.25 %; R2 rests."""
    assert feed(rises, jumps)[ROW] == pytest.approx([0.0925, 0.0025])


def test_what_decisions_change_is_no_rise(rises, topology):
    """The server of an instance, and one whose VM has come since."""
    assert feed(rises, jumps, runs=lambda k: ["", *VMS[1:]])[ROW] == pytest.approx([0.0025, 0.0025])
    newcomer = Rises(topology)
    assert feed(newcomer, jumps, runs=lambda k: [f"vm-{k}", *VMS[1:]])[ROW] == pytest.approx([0.0025, 0.0025])


def test_nothing_is_known_from_little(rises, topology):
    """Before a thousand rises, and of a row with a server that is never read."""
    early = feed(rises, lambda k: np.full(6, 4_000.0), count=200)
    assert np.isnan(early[ROW]).all()
    hole = feed(Rises(topology), lambda k: np.array([np.nan, *[4_000.0] * 5]))
    assert np.isnan(hole[ROW]).tolist() == [True, False]


def test_a_gap_in_telemetry_is_no_horizon(rises):
    """What rises within an hour says nothing of five minutes."""
    margins = feed(rises, lambda k: np.full(6, 4_000.0 + k), every_s=3 * HORIZON_S)
    assert np.isnan(margins[ROW]).all()


def test_what_was_counted_survives_and_another_site_begins_anew(rises, topology, demo_topology):
    margins = feed(rises, lambda k: np.full(6, 4_000.0 + 100.0 * (k % 7)))
    again = Rises(topology)
    again.restore(rises.to_json())
    assert again.margins()[ROW] == pytest.approx(margins[ROW])
    other = Rises(demo_topology)
    other.restore(rises.to_json())
    assert np.isnan(other.margins()[Constraint.RACK_POWER_BUDGET]).all()
    again.restore({ROW.value: [[1.0] * BINS, [1.0]]})
    assert again.margins()[ROW] == pytest.approx(margins[ROW])
