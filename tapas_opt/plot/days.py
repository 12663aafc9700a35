"""A run told from day 1 on, whatever day of the simulated calendar it began."""

from __future__ import annotations

from dataclasses import replace

from tapas_opt.simulation.record import Record, Run

__all__ = ["from_day_one"]

_DAY_S = 86_400.0


def from_day_one(run: Run) -> Run:
    """The same run with times that count from the midnight before its first sample."""
    first_s = min((float(record.t_s[0]) for record in run.records if len(record.t_s)), default=0.0)
    midnight_s = first_s // _DAY_S * _DAY_S
    if not midnight_s:
        return run
    outages = tuple(
        replace(item, from_s=item.from_s - midnight_s, until_s=item.until_s - midnight_s) for item in run.outages
    )
    return replace(run, outages=outages, records=tuple(_earlier(record, midnight_s) for record in run.records))


def _earlier(record: Record, by_s: float) -> Record:
    incidents, turned_away = (
        tuple(replace(item, t_s=item.t_s - by_s) for item in items) for items in (record.incidents, record.turned_away)
    )
    return replace(
        record,
        t_s=record.t_s - by_s,
        hottest_s=record.hottest_s - by_s,
        incidents=incidents,
        turned_away=turned_away,
    )
