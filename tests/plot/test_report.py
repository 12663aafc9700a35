from __future__ import annotations

import html
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tapas_opt.plot.report import close_ups, write_report
from tapas_opt.plot.tables import METRICS, incidents_table, summary_table, told_names
from tapas_opt.simulation.record import Incident, Moment, Outage, Record

PICTURES = 9
"""Heat and power, users, two failures, the room, UPSs, rows, aisles, who answered."""

AS_MAIL_B = 8_000_000
NASTY = "<img src=x onerror=alert(1)>&\"'</script><script>alert(2)</script>"


@pytest.fixture(scope="module")
def report(tripped, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("report") / "report.html"
    write_report(tripped, path)
    return path


def ours_of(path: Path) -> str:
    """The page without plotly's own source."""
    from plotly.offline import get_plotlyjs  # noqa: PLC0415

    text = path.read_text(encoding="utf-8")
    assert text.count(get_plotlyjs()) == 1
    return text.replace(get_plotlyjs(), "")


def cut(record: Record, samples: int) -> Record:
    """The record's first samples."""
    return replace(record, **{name: getattr(record, name)[:samples] for name in Moment.__slots__})


def test_nothing_is_loaded_from_another_host(report):
    """A control room has no internet, and its data has no business outside."""
    text = ours_of(report)
    assert not re.findall(r"""(?:src|href|action)\s*=\s*["']?\s*(?:https?:)?//""", text, flags=re.IGNORECASE)
    assert "default-src 'none'" in text
    assert "@import" not in text


def test_no_button_sends_the_data_away(report):
    """Plotly 7 offers to send a chart to its maker unless told not to."""
    text = ours_of(report)
    assert text.count('"showSendToCloud": false') == text.count('"displaylogo"') == PICTURES
    assert "plotlyServerURL" not in text


def test_every_domain_policy_failure_and_metric_is_named(report, tripped):
    text = html.unescape(ours_of(report))
    for name in ("U1", "U2", "U3", "U4", "Row R1", "Row R2", "Aisle A1", "Aisle A2"):
        assert name in text
    for outage in tripped.outages:
        assert outage.label in text
    for record in tripped.records:
        assert record.policy in text
        assert all(METRICS[name].words in text for name in record.metrics)
        assert all(incident.text in text for incident in record.incidents)


def test_modelled_is_told_from_measured(report):
    """Nobody shall take the plant for a datacenter."""
    text = ours_of(report)
    assert "Modelled, not measured." in text
    assert re.search(r"99 % below <span class='tag'>measured</span>", text)
    assert not re.search(r"Hottest GPU <span class='tag'>", text)


def test_a_report_can_be_sent_by_mail(report):
    assert report.stat().st_size < AS_MAIL_B


def test_many_policies_domains_and_a_week_still_fit(ours, tmp_path, make_run):
    """Ten policies, forty rows, and a sample every ten seconds for a week: 60,480 a series."""
    n = 7 * 8_640
    t_s = np.arange(n) * 10.0
    wave = 1 + np.sin(t_s / 9_000)
    big = replace(
        ours,
        rows=tuple(f"R{i}" for i in range(40)),
        t_s=t_s,
        row_power_w=np.outer(wave, np.full(40, 9e4)),
        row_budget_w=np.full((n, 40), 2e5),
        ups_power_w=np.outer(wave, np.full(4, 5e4)),
        ups_capacity_w=np.full((n, 4), 1.2e5),
        aisle_airflow_cfm=np.outer(wave, np.full(2, 1e4)),
        aisle_capacity_cfm=np.full((n, 2), 3e4),
        hottest_gpu_c=wave,
        throttled_servers=wave,
        quality_frac=wave,
        served_frac=wave,
        iaas_performance_frac=wave,
        slo_attainment_frac=wave,
        p99_ttft_s=wave,
    )
    path = tmp_path / "report.html"
    write_report(make_run(*(replace(big, policy=f"policy {i}") for i in range(10))), path)
    assert path.stat().st_size < AS_MAIL_B
    assert "Fullest row" in ours_of(path)


def test_names_from_outside_are_text_and_never_markup(baseline, tmp_path, make_run):
    """A site file, a policy or an incident may be called anything."""
    bad = replace(
        baseline,
        policy=NASTY,
        rows=(NASTY, "R2"),
        servers=(NASTY,) * 5,
        incidents=(Incident(1.0, NASTY),),
        metrics={NASTY: 1.0},
        answered={NASTY: {NASTY: 2}},
    )
    outage = Outage(NASTY, 100.0, 200.0)
    path = tmp_path / "report.html"
    write_report(
        make_run(bad, outages=(outage,), name=NASTY, site=NASTY, summary={NASTY: NASTY}),
        path,
    )
    text = ours_of(path)
    assert "<img" not in text
    assert "<script>alert" not in text
    assert html.escape(NASTY) in text


@pytest.mark.parametrize("samples", [0, 1, 2])
def test_a_record_of_almost_nothing_makes_a_page(baseline, ours, samples, tmp_path, make_run):
    """A run that died early is the one whose report is wanted."""
    path = tmp_path / "report.html"
    write_report(make_run(cut(baseline, samples), cut(ours, samples)), path)
    assert "UPSs that tripped" in ours_of(path)


def test_policies_of_different_length_share_a_page(baseline, ours, tmp_path, make_run):
    path = tmp_path / "report.html"
    write_report(make_run(cut(baseline, 500), cut(ours, 0)), path)
    assert "tapas-opt" in ours_of(path)


def test_a_run_without_policies_failures_or_metrics_makes_a_page(ours, tmp_path, make_run):
    write_report(make_run(outages=()), tmp_path / "none.html")
    assert "No failure happened" in ours_of(tmp_path / "none.html")
    write_report(make_run(replace(ours, metrics={}, answered={}), outages=()), tmp_path / "few.html")
    assert "No metrics were recorded" in ours_of(tmp_path / "few.html")


def test_a_failure_that_never_ends_is_shaded_to_the_end(ours, tmp_path, make_run):
    path = tmp_path / "report.html"
    write_report(make_run(ours, outages=(Outage("ups:U2", 50_400.0, float("inf")),)), path)
    assert "for the rest of the run" in ours_of(path)


def test_a_page_holds_no_more_close_ups_than_one_reads(ours, make_run):
    """A year of drills is not told second by second."""
    outages = tuple(Outage("ups:U2", 3_600.0 * i, 3_600.0 * i + 60.0) for i in range(1, 13))
    assert len(close_ups(make_run(cut(ours, 9), outages=outages))) == 8


def test_a_run_of_the_fifth_week_is_told_from_day_one(ours, tmp_path, make_run):
    """Simulations begin four weeks after history did; their readers count from the first day."""
    weeks_s = 28 * 86_400.0
    outages = (Outage("ups:U2", weeks_s + 50_400.0, weeks_s + 50_700.0),)
    incidents = tuple(replace(item, t_s=item.t_s + weeks_s) for item in ours.incidents)
    later = replace(ours, t_s=ours.t_s + weeks_s, hottest_s=ours.hottest_s + weeks_s, incidents=incidents)
    write_report(make_run(later, outages=outages), tmp_path / "later.html")
    write_report(make_run(ours, outages=(Outage("ups:U2", 50_400.0, 50_700.0),)), tmp_path / "first.html")
    assert (tmp_path / "later.html").read_bytes() == (tmp_path / "first.html").read_bytes()


def test_the_same_run_gives_the_same_file(tripped, report, tmp_path):
    """Two reports can be compared byte by byte."""
    write_report(tripped, tmp_path / "again.html")
    assert (tmp_path / "again.html").read_bytes() == report.read_bytes()


def test_a_missing_metric_is_a_dash_and_the_better_one_is_bold(baseline, ours, make_run):
    """Missing is not zero: 0.962 against 0.9991 of requests in time, and a trip count that only one policy has."""
    one = replace(baseline, metrics={"slo_attainment_frac": 0.962})
    two = replace(ours, metrics={"slo_attainment_frac": 0.9991, "ups_trips": 0.0})
    text = summary_table(make_run(one, two))
    assert "<td>96.20 %</td><td class='best'>99.91 %</td>" in text
    assert "<td>–</td><td>0</td>" in text


def test_what_one_endpoint_saw_is_told_apart_and_folded(baseline, ours, make_run):
    """In units, and not among the figures of the whole run."""
    both = [replace(record, metrics={"p99_ttft_s": 1.5, "p99_ttft_s[conv]": 0.5}) for record in (baseline, ours)]
    whole, folded = summary_table(make_run(*both)).split("<details>")
    assert "Time to first token, 99 % below</th><td>1.50 s</td>" in whole
    assert "conv" not in whole
    assert "conv: Time to first token, 99 % below</th><td>0.50 s</td>" in folded


def test_what_never_came_about_is_never_and_not_the_best(baseline, ours, make_run):
    """Relief after infinity: the failure ended first."""
    one = replace(baseline, metrics={"relief_s": float("inf"), "route_p99_ms": 0.5})
    two = replace(ours, metrics={"relief_s": 2.0})
    text = summary_table(make_run(one, two))
    assert "<td>never</td><td class='best'>2.0 s</td>" in text
    assert "route p99 <span class='tag'>measured</span></th><td>0.50 ms</td><td>–</td>" in text


def test_routine_does_not_bury_the_failures(ours, make_run):
    """Ninety-six reviews a day are not what the timeline is opened for; a trip at night is."""
    routine = [Incident(900.0 * i, f"review {i}") for i in range(20)]
    told = incidents_table(
        make_run(replace(ours, incidents=(*routine, Incident(3_000.0, "R1 trips"), *ours.incidents)))
    )
    shown, folded = told.split("<details>")
    assert "review" not in shown
    assert "R1 trips" in shown
    assert "ups:U2 fails" in shown
    assert "The rest (20 lines)" in folded


def test_what_came_upon_all_is_told_once(baseline, ours, make_run):
    """Both policies note the failure, which is one."""
    both = [replace(r, incidents=(Incident(50_400.0, "ups:U2 fails"), *r.incidents)) for r in (baseline, ours)]
    assert incidents_table(make_run(*both)).count("ups:U2 fails") == 1


def test_a_browser_draws_every_picture_and_complains_of_nothing(report, drawn):
    """A page that is right as text may still be empty on the screen."""
    done = drawn(report)
    figures = re.findall(r'id="figure-\d+"', done.stdout)
    assert len(figures) == PICTURES
    assert 'data-title="Download' in done.stdout
    assert 'data-title="Share' not in done.stdout
    assert len(re.findall(r'<svg class="main-svg"', done.stdout)) >= len(figures)
    assert not [line for line in done.stderr.splitlines() if "CONSOLE" in line]


@pytest.mark.parametrize(
    ("routed", "named"), [(0, ["vms_placed"]), (7, ["requests_routed", "requests_refused", "vms_placed"])]
)
def test_requests_are_counted_where_they_are_routed_one_by_one(routed, named):
    """A trace's, all of which got an instance; in a study nobody routes any."""
    metrics = {"requests_routed": routed, "requests_refused": 0, "vms_placed": 3}
    assert told_names([metrics, metrics]) == named
