"""Failures second by second, and what is said of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tapas_opt.plot.emergency import close_up
from tapas_opt.plot.figures import service_figure
from tapas_opt.plot.outages import emergencies, relief_told
from tapas_opt.simulation.record import Moment, Outage

ROOMS = [Outage(f"{kind}:room{i}", 100.0, 400.0) for kind in ("room_power", "room_airflow") for i in (1, 2)]


def test_what_fails_at_once_is_one_emergency():
    """Power and air of both rooms at 100 s, and a UPS before."""
    before = Outage("ups:U2", 50.0, 60.0)
    first, second = emergencies([*ROOMS, before])
    assert (first.label, first.title) == ("ups:U2", "UPS U2 fails")
    assert second.label == "room_power:room1 +3"
    assert second.title == (
        "Part of the power of room1, part of the power of room2, part of the airflow of room1 and 1 more fail"
    )
    assert (second.from_s, second.until_s, second.numbers) == (100.0, 400.0, (0, 1, 2, 3))


def test_the_worst_of_failures_at_once_is_their_relief(ours):
    (both,) = emergencies(ROOMS[:2])
    assert both.relief_s(replace(ours, relief_s=(3.0, 42.0))) == 42.0


@pytest.mark.parametrize(
    ("relief_s", "words"),
    [
        ((5.0, 0.0), "tapas-opt had every one within its capacity after 5 s"),
        ((0.0, 0.0), "tapas-opt never overloaded one"),
        ((np.inf, 0.0), "tapas-opt did not relieve them before the failure was over, or one tripped"),
        ((), ""),
    ],
)
def test_relief_is_told_in_words(ours, tripped, relief_s, words):
    """Nothing is claimed where nobody looked."""
    text = relief_told([replace(ours, relief_s=relief_s)], emergencies(tripped.outages)[0])
    assert text == (f"UPSs: {words}." if words else "")


def test_a_close_up_spans_half_a_minute_before_and_six_after_and_marks_relief(tripped):
    """The baseline tripped and gets no mark; tapas-opt's diamond is five seconds after zero, below 100 %."""
    figure = close_up(tripped, emergencies(tripped.outages)[0])
    assert tuple(figure.layout.xaxis.range) == (-30.0, 360.0)
    marks = [trace for trace in figure.data if trace.mode == "markers"]
    assert [(mark.x[0], mark.text[0]) for mark in marks] == [(5.0, "every UPS within its capacity again after 5 s")]
    of_ours = tripped.records[1]
    sample = np.searchsorted(of_ours.t_s, emergencies(tripped.outages)[0].from_s + 5.0)
    load = np.delete(of_ours.ups_power_w[sample] / 130_000.0, 1)  # U2 is the one that failed
    assert marks[0].y[0] == pytest.approx(100.0 * load.max())


def test_what_no_policy_knows_has_no_panel(ours, make_run):
    """A room without instances: nobody answers, late or well."""
    nothing = np.full(len(ours.t_s), np.nan)
    run = make_run(replace(ours, quality_frac=nothing, slo_attainment_frac=nothing, p99_ttft_s=nothing))
    titles = [note.text for note in close_up(run, emergencies(run.outages)[0]).layout.annotations]
    assert "Demand served" in titles
    assert not {"Quality of answers", "Requests within the promised latency"} & set(titles)
    assert len({trace.yaxis for trace in service_figure(run).data}) == 2


def test_lines_reach_the_edges_of_a_close_up(baseline, make_run):
    """With a sample every 70 s, the ones next to the window, at −420 s and at 420 s, are drawn as well."""
    few = baseline.t_s % 70.0 == 0.0
    run = make_run(replace(baseline, **{name: getattr(baseline, name)[few] for name in Moment.__slots__}))
    line = next(trace for trace in close_up(run, emergencies(run.outages)[0]).data if trace.mode == "lines")
    assert line.x.tolist() == [-420.0, 0.0, 70.0, 140.0, 210.0, 280.0, 350.0, 420.0]
