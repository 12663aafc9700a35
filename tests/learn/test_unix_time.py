"""Histories of real machines count seconds since 1970: nothing that is learned may depend on how far back that is."""

from __future__ import annotations

import tracemalloc

import numpy as np

from tapas_opt.learn.fitting.week import Loads, Weeks, fit_weeks

DAYS, VMS = 15, 20
TODAY = 20_454 // 7 * 7
"""About the beginning of 2026 in days since 1970, a whole number of weeks."""


def weeks_from(first_day: int) -> tuple[Weeks, int]:
    """Templates learned from the same loads on later days, and the most memory that took, in bytes."""
    hour, vm = (index.ravel() for index in np.indices((24 * DAYS, VMS)))
    load = np.random.default_rng(1).uniform(0, 1, hour.size)
    loads = Loads(vm, vm, first_day + hour // 24, hour % 168, load, hours_each=1.0)
    tracemalloc.start()
    weeks = fit_weeks(loads, VMS)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return weeks, peak


def test_loads_of_a_history_in_unix_time_are_the_same_and_cost_the_same():
    """Memory once grew with the days before the first reading: 20,000 of them for each hour of each template."""
    (weeks, peak), (later, later_peak) = weeks_from(0), weeks_from(TODAY)
    assert np.array_equal(weeks.central, later.central)
    assert np.array_equal(weeks.spread, later.spread)
    assert later_peak < 1.5 * peak
