"""The page of a backtest: what happened beside each policy, and what one has to know before believing it."""

from __future__ import annotations

import html
import re
from dataclasses import replace

import numpy as np
import pytest

from tapas_opt.plot.backtest_report import write_backtest
from tapas_opt.plot.words import moment
from tapas_opt.simulation.record import Incident

DAY_11_S = 10 * 86_400.0
NASTY = "<img src=x onerror=alert(1)>"
MISS = {"mae": 0.35, "p95_error": 0.9, "bias": -0.1, "unit": "°C", "readings": 23_017}
ANSWER = {
    "servers": 80,
    "days": 1.0,
    "as_it_happened": {"measured": {}, "predicted": {}},
    "calibration": {"inlet_temperature": MISS, "airflow": MISS | {"mae": None, "p95_error": None, "bias": None}},
    "history": {"from_s": 950_700.0, "until_s": 1_037_100.0, "filled_frac": 0.0011, "row_meters_frac": 1.0},
    "vms": {"replayed": 92, "at_the_start": 78, "saas": 32, "too_short": 3, "of_this_site": True, "anew": False},
    "models": {"fingerprint": "7fba", "folder": None, "learned_until_s": 950_400.0, "saw_these_days": False},
}
SAMPLE = {
    "inlet_temperature": (np.linspace(18.0, 26.0, 200), np.linspace(18.5, 25.5, 200)),
    "airflow": (np.empty(0), np.empty(0)),
}


@pytest.fixture
def written(baseline, ours, tmp_path):
    """A day that happened as under the baseline, and what two policies made of it."""

    def write(answer=ANSWER, **changed):
        of_time = {"t_s": changed["t_s"]} if "t_s" in changed else {}
        measured, predicted = (replace(baseline, policy=name, **of_time) for name in ("measured", "predicted"))
        measured = replace(measured, metrics={"max_gpu_temperature_c": 70.0, "ups_trips": float("nan")})
        policies = [replace(one, incidents=(), **changed) for one in (baseline, ours)]
        policies = [replace(one, metrics=one.metrics | {"ups_trips": float("nan")}) for one in policies]
        predicted = replace(predicted, metrics=predicted.metrics | {"ups_trips": float("nan")})
        happened = [measured, predicted] if answer["as_it_happened"] else []
        path = tmp_path / "report.html"
        write_backtest(answer, "<room>", happened, policies, SAMPLE if answer["calibration"] else {}, path)
        return path

    return write


def ours_of(path):
    """The page without plotly's own source."""
    from plotly.offline import get_plotlyjs  # noqa: PLC0415

    return path.read_text("utf-8").replace(get_plotlyjs(), "")


def test_what_happened_stands_beside_the_policies_and_is_never_the_best(written):
    """The sensors' column has the lowest GPU by far, but nobody can choose it."""
    text = ours_of(written())
    heads = re.findall(r"<th scope='col'[^>]*>([^<]*)</th>", text)
    assert heads[:5] == ["The whole run", "happened, measured", "happened, predicted", "baseline", "tapas-opt"]
    assert "<td>70.0 °C</td>" in text
    assert "Fullest row: 98.7&nbsp;% of its budget as it happened, 98.7&nbsp;% under baseline" in text


def test_what_five_minutes_do_not_define_has_no_row(written):
    text = ours_of(written())
    assert "UPSs that tripped" not in text
    assert "Highest row power, of its budget" in text


def test_what_weakens_the_comparison_is_marked(written):
    marked = re.compile(r"<tr class='failure'><td>([^<]*)")
    assert marked.findall(ours_of(written())) == []
    saw = ANSWER | {"models": ANSWER["models"] | {"saw_these_days": True}}
    assert marked.findall(ours_of(written(saw))) == ["They saw these days"]
    vms = ANSWER["vms"] | {"of_this_site": False, "saas": 0}
    elsewhere = ANSWER | {"as_it_happened": {}, "calibration": None, "vms": vms}
    text = ours_of(written(elsewhere))
    assert marked.findall(text) == ["Of somewhere else"]
    assert "as it happened" not in text
    assert "How far the models are off" not in text
    assert "Demand served by the endpoints" not in text


def test_vms_are_named_with_those_who_turned_them_away(written, baseline):
    """Times count from the first day that is replayed, whatever the clock of the history says."""
    asked = (Incident(DAY_11_S + 3_600.0, NASTY), Incident(DAY_11_S + 7_200.0, "vm-7"))
    text = ours_of(written(turned_away=asked, t_s=baseline.t_s + DAY_11_S))
    assert "VMs turned away: 2 under baseline and 2 under tapas-opt" in text
    assert f"<td>01:00:00</td><td>{html.escape(NASTY)}</td><td>baseline and tapas-opt</td>" in text
    assert NASTY not in text
    assert "Every VM found a server." in ours_of(written())


def test_a_narrow_window_scrolls_pictures_of_several_columns(written):
    """Four rooms in two columns, two rows side by side; days and models' errors have one column and fit."""
    assert ours_of(written()).count("<div class='drawn' style='min-width:680px'>") == 2


def test_a_browser_draws_every_picture(written, drawn):
    """The room's days, what users got, the room from above, two rows, the models."""
    done = drawn(written())
    assert len(re.findall(r'id="figure-\d+"', done.stdout)) == 5
    assert not [line for line in done.stderr.splitlines() if "CONSOLE" in line]


def test_moments_are_dates_where_the_clock_knows_them():
    assert moment(950_700.0) == "day 12, 00:05:00"
    assert moment(1_772_323_500.0) == "2026-03-01, 00:05:00 UTC"
