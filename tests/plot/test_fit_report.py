"""The page about learned models says who is worst, what was refused and why, and what was decided."""

from __future__ import annotations

import html
import json
import re
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from tapas_opt.learn.judge import DayErrors, Judgement, PlaceErrors
from tapas_opt.plot.fit_report import fit_headline, write_fit_report

PICTURES = 2
"""Predicted against observed, and what was left over by day."""

AS_MAIL_B = 5_000_000
NASTY = "<img src=x onerror=alert(1)>&\"'</script><script>alert(2)</script>"


def judgement(name, unit, servers=4, days=7):
    rng = np.random.default_rng(len(name))
    predicted = rng.uniform(20, 80, 20_000)
    return Judgement(
        name=name,
        unit=unit,
        promise="server-day maxima",
        level=0.99,
        mae=0.5,
        bias=0.1,
        p95_error=1.2,
        mean_observed=50.0,
        coverage=0.985,
        promises=servers * days,
        coverage_hottest_days=0.96,
        coverage_top_hours=None,
        coverage_row_day=1.0,
        rows=20_000,
        refused_frac=0.02,
        by_day=tuple(DayErrors(86_400.0 * (21 + i), 0.1, 0.5, 1_000, 0.98) for i in range(days)),
        by_place=tuple(PlaceErrors(f"S{i}", 0.1 * (i + 1), -0.05, 5_000) for i in range(servers)),
        beyond={"outdoor_c": 0.12},
        sample=(predicted, np.round(predicted + rng.normal(0, 1, predicted.size))),
    )


def data_of(judged, **more):
    """What `tapas-opt fit --json` prints of it, in short."""
    models = {
        name: asdict(one.errors(100))
        | {
            "bias": one.bias,
            "promise": one.promise,
            "level": one.level,
            "short": name == "airflow",
            "mae_frac_of_mean": one.mae_frac_of_mean,
            "by_day": [asdict(day) for day in one.by_day],
            "worst": [asdict(place) for place in one.worst(10)],
            "beyond": dict(one.beyond),
            "extrapolated": list(one.extrapolated),
        }
        for name, one in judged.items()
    }
    refused = [{"table": "servers", "column": "inlet_c", "name": "S2", "readings": 288, "reason": "stuck at 21.5 °C"}]
    return {
        "models": models,
        "against_truth": {},
        "site": "two-rows",
        "servers": 4,
        "fingerprint": "0123456789abcdef",
        "training": {"from_s": 0.0, "until_s": 1.2e6, "fingerprint": "fedcba", "days": "days 0–13"},
        "features": {
            name: [{"name": "outdoor_c", "unit": "°C", "lowest": 2.0, "highest": 31.0}] for name in judged
        },
        "judged": {"from_s": 1.8e6, "until_s": 2.4e6, "days": "days 21–27"},
        "gated": {"servers.power_w": 12},
        "dropped": {"vms": 3, "gpus": 0},
        "refused": refused,
        "missing": ["gpus.memory_temperature_c"],
        "folder": "models/mine",
        "promoted": True,
        "worse": [],
        "compared": [],
        "not_compared": "",
        "drift": [],
        "pooled_servers": ["S3"],
    } | more  # fmt: skip


@pytest.fixture(scope="module")
def judged():
    units = {"inlet_temperature": "°C", "gpu_temperature": "°C", "server_power": "W", "airflow": "CFM", "vm_load": "1"}
    return {name: judgement(name, unit) for name, unit in units.items()}


@pytest.fixture(scope="module")
def report(judged, tmp_path_factory):
    path = tmp_path_factory.mktemp("fit_report") / "fit.html"
    write_fit_report(data_of(judged), judged, path)
    return path


def ours_of(path: Path) -> str:
    """The page without plotly's own source, as text."""
    from plotly.offline import get_plotlyjs  # noqa: PLC0415

    return html.unescape(path.read_text(encoding="utf-8").replace(get_plotlyjs(), ""))


def test_the_worst_server_is_named_first(report):
    names = re.findall(r"<td class='word'>(S\d)</td>", ours_of(report).split("For whom it is worst")[1])
    assert names[:4] == ["S3", "S2", "S1", "S0"]


def test_what_was_refused_is_named_with_its_reason(report):
    text = ours_of(report)
    assert "servers.inlet_c" in text
    assert "stuck at 21.5 °C" in text
    assert "12 readings of servers.power_w outside their physical range" in text
    assert "3 rows of vms" in text
    assert "rows of gpus" not in text
    assert "gpus.memory_temperature_c: not in this history" in text


def test_windows_ranges_and_what_lies_outside_are_told(report):
    text = ours_of(report)
    assert "days 0–13" in text
    assert "days 21–27" in text
    assert "EXTRAPOLATED: 12.0% of outdoor_c outside the range of the fitting days" in text
    assert "for want of readings: S3" in text


def test_only_what_breaks_its_promise_is_marked(report):
    marked = re.findall(r"<tr class='failure'><td class='word'>(\w+)</td>", ours_of(report))
    assert marked == ["airflow"]


def test_the_headline_says_what_was_decided_and_what_falls_short(judged):
    assert fit_headline(data_of(judged)) == (
        "Put in use; mean errors: inlets 0.5 °C, GPUs 0.5 °C, servers 0.5 W; airflow covers less than promised."
    )
    kept = {name: one for name, one in judged.items() if name != "airflow"}
    assert fit_headline(data_of(kept)).endswith(
        "all cover what they promise, within chance (the least: inlet_temperature 98.5% of 99%)."
    )
    turned_down = data_of(judged, promoted=False, worse=["vm_load: mean error 0.1 → 0.2"])
    assert fit_headline(turned_down).startswith("Not put in use, because worse: vm_load; ")
    drifted = data_of(judged, drift=[{"name": "airflow", "words": "DRIFT: airflow 17 → 32 CFM on days 14–20"}])
    del drifted["promoted"]
    assert fit_headline(drifted).startswith("airflow drifted; ")


def test_the_models_in_use_stand_beside_the_new_ones(judged, tmp_path):
    row = {"name": "airflow", "unit": "CFM", "mae_in_use": 17.0, "mae_new": 32.0, "coverage_in_use": 0.99}
    rows = [row | {"coverage_new": 0.9, "level": 0.99, "worse": ["mean error 17 → 32 CFM"]}]
    write_fit_report(data_of(judged, compared=rows), judged, tmp_path / "fit.html")
    assert "mean error 17 → 32 CFM" in ours_of(tmp_path / "fit.html")


def test_the_page_can_be_sent_by_mail_and_needs_no_network(report, judged, tmp_path):
    """Ten models of a thousand servers, two hundred of them refused."""
    many = {f"model_{i}": judgement("x" * i, "W", servers=1_000) for i in range(7)} | judged
    refused = data_of(judged)["refused"] * 200
    path = tmp_path / "fit.html"
    write_fit_report(data_of(many, refused=refused, servers=1_000), many, path)
    assert path.stat().st_size < AS_MAIL_B
    assert "50 more are in the JSON file" in ours_of(path)
    assert not re.findall(r"""(?:src|href|action)\s*=\s*["']?\s*(?:https?:)?//""", ours_of(report), flags=re.IGNORECASE)


def test_names_from_outside_are_text_and_never_markup(judged, tmp_path):
    nasty = {NASTY: judgement(NASTY, "°C")} | judged
    refused = [{"table": "servers", "column": "inlet_c", "name": NASTY, "readings": 1, "reason": NASTY}]
    path = tmp_path / "fit.html"
    write_fit_report(data_of(nasty, site=NASTY, refused=refused, pooled_servers=[NASTY]), nasty, path)
    text = path.read_text(encoding="utf-8")
    assert "<img src=x" not in text
    assert "<script>alert" not in text


def test_a_fit_without_any_judged_reading_makes_a_page(tmp_path):
    silent = judgement("inlet_temperature", "°C")
    empty = np.zeros(0)
    nothing = replace(silent, rows=0, by_day=(), by_place=(), beyond={}, sample=(empty, empty), mean_observed=None)
    judged = dict.fromkeys(("inlet_temperature", "gpu_temperature", "server_power"), nothing)
    write_fit_report(data_of(judged), judged, tmp_path / "fit.html")
    assert "Coverage of the upper values" in ours_of(tmp_path / "fit.html")


def test_the_json_beside_is_the_same_data(report, judged):
    assert json.loads(report.with_suffix(".json").read_text(encoding="utf-8")) == json.loads(
        json.dumps(data_of(judged))
    )


def test_a_browser_draws_every_picture_and_complains_of_nothing(report, drawn):
    """A page that is right as text may still be empty on the screen."""
    done = drawn(report)
    figures = re.findall(r'id="figure-\d+"', done.stdout)
    assert len(figures) == PICTURES
    assert len(re.findall(r'<svg class="main-svg"', done.stdout)) >= len(figures)
    assert not [line for line in done.stderr.splitlines() if "CONSOLE" in line]
