"""Failures as they are written on a command line."""

from __future__ import annotations

import pytest

from tapas_opt.domain.failure import FailureKind
from tapas_opt.domain.topology import topology_of
from tapas_opt.errors import InvalidInput
from tapas_opt.simulation.failing import read_failures, shifted

WEEK_S = 7 * 86_400.0


@pytest.fixture
def read(two_rows):
    return lambda *texts: read_failures(texts, topology_of(two_rows), WEEK_S)


def test_days_hours_minutes_and_seconds_add_up(read):
    (item,) = read("ups:U2@3d14h+5m30s")
    assert (item.failure.kind, item.failure.element) == (FailureKind.UPS, "U2")
    assert item.at_s == 3 * 86_400 + 14 * 3600
    assert item.until_s - item.at_s == item.failure.expected_duration_s == 330.0


def test_what_is_left_may_be_said(read):
    (item,) = read("ahu:AHU1=0.5@1.5h+30m")
    assert (item.failure.remaining_frac, item.at_s) == (0.5, 5_400.0)


def test_all_that_is_wrong_is_said_at_once(read):
    wrong = {
        "ups:U2": "KIND:ELEMENT@WHEN+FOR",
        "ups:U9@1h+5m": "U9",
        "pump:P@1h+5m": "'pump'",
        "ups:U1@8d+5m": "begins after",
        "ups:U1@1h+0m": "longer than 0 s",
        "ups:U1=1.5@1h+5m": "cannot be left",
        "ups:U1@h+5m": "no time",
    }
    with pytest.raises(InvalidInput) as error:
        read(*wrong)
    for fault, words in zip(error.value.faults, wrong.values(), strict=True):
        assert words in fault.what


def test_times_that_count_from_the_start_are_shifted(read):
    (item,) = read("ups:U2@1h+5m")
    later = shifted(item, 100.0)
    assert (later.at_s, later.until_s, later.failure.started_at_s) == (3_700.0, 4_000.0, 3_700.0)
