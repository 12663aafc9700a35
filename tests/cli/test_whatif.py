"""``whatif``: one file in, tables and a page out; killed, it goes on."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from tapas_opt.planning.study import read_study

STUDY = """format: tapas-opt/study/1
name: a small <room>
sites: [{name: small, servers: 16}]
policies: [baseline, polca]
seeds: [1]
days: 0.005
oversubscription: [0.0, 0.5]
failures: {none: [], one UPS: ["ups:U2@7m+5s"]}
money:
  currency: EUR
  built_kw: {low: 8000, base: 11000, high: 14000}
  building_years: 15
  stranded_kw_year: {low: 500, base: 800, high: 1200}
  server: {low: 100000, base: 150000, high: 200000}
  server_years: 5
  energy_kwh: {low: 0.05, base: 0.08, high: 0.12}
  pue: {low: 1.1, base: 1.25, high: 1.4}
  revenue_server_h: {low: 8, base: 12, high: 18}
  sla_penalty_server_h: {low: 12, base: 24, high: 48}
"""

WITHIN_S = 60.0


def test_it_prints_one_object_and_writes_tables_and_a_page(write, tmp_path, tapas):
    code, out, err = tapas("whatif", write(STUDY), "--out", tmp_path / "o", "--jobs", "1", "--json")
    assert code == 0, err
    answer = json.loads(out)
    assert (answer["run"], answer["kept"], len(answer["cells"])) == (8, 0, 8)
    assert {row["policy"] for row in answer["fits"]} == {"baseline", "polca"}
    assert answer["money"]["built_kw"] == {"low": 8000.0, "base": 11000.0, "high": 14000.0}
    assert json.loads((tmp_path / "o" / "study.json").read_text("utf-8")) == answer
    cells = pd.read_csv(tmp_path / "o" / "cells.csv")
    assert cells["max_gpu_temperature_c"].tolist() == [
        row["metrics"]["max_gpu_temperature_c"] for row in answer["cells"]
    ]
    assert {"cost_per_million_tokens_base", "margin_per_h_low"} <= set(pd.read_csv(tmp_path / "o" / "costs.csv"))
    assert not (tmp_path / "o" / "worths.csv").exists()
    page = (tmp_path / "o" / "report.html").read_text("utf-8")
    assert "a small &lt;room&gt;" in page
    assert "What it costs and brings" in page


def test_finished_cells_are_not_run_again_and_a_person_gets_tables(write, tmp_path, tapas):
    """One seed first, another besides: eight cells more; then names only, and nothing is run."""
    given = ("whatif", write(STUDY), "--out", tmp_path / "o", "--jobs", "1")
    first = json.loads(tapas(*given, "--json")[1])
    write(STUDY.replace("seeds: [1]", "seeds: [1, 2]"))
    more = json.loads(tapas(*given, "--json")[1])
    assert (more["run"], more["kept"]) == (8, 8)
    assert [row for row in more["cells"] if row["seed"] == 1] == first["cells"]
    write(STUDY.replace("name: small", "name: other"))
    code, out, err = tapas(*given)
    assert code == 0, err
    assert "0 cells run, 8 kept from before" in out
    assert "other" in out
    assert "what binds beyond" in out
    assert "In EUR, at the study's base prices" in out
    assert f"report: {tmp_path / 'o' / 'report.html'}" in out


def test_a_study_that_was_killed_goes_on(write, tmp_path, tapas):
    """SIGKILL once a cell is there; what was finished by then is not run again."""
    study, folder = write(STUDY.replace("days: 0.005", "days: 0.05")), tmp_path / "o"
    command = [sys.executable, "-m", "tapas_opt", "whatif", str(study), "--out", str(folder), "--jobs", "1", "--json"]
    package = str(Path(__file__).parents[2])
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, env=os.environ | {"PYTHONPATH": package}) as running:
        until = time.monotonic() + WITHIN_S
        while not list(folder.glob("cells/*.json")) and time.monotonic() < until:
            time.sleep(0.01)
        running.send_signal(signal.SIGKILL)
    there = len(list(folder.glob("cells/*.json")))
    assert 1 <= there < 8
    code, out, err = tapas("whatif", study, "--out", folder, "--jobs", "1", "--json")
    assert code == 0, err
    answer = json.loads(out)
    assert (answer["kept"], answer["run"]) == (there, 8 - there)


def _heard() -> None:
    """Ctrl-C is heard, also where tests run in the background of a shell that ignores it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_a_study_that_is_stopped_says_how_far_it_is(write, tmp_path):
    """Ctrl-C once two cells are there, of which the second may not be counted yet."""
    study, folder = write(STUDY.replace("days: 0.005", "days: 0.1")), tmp_path / "o"
    command = [sys.executable, "-m", "tapas_opt", "whatif", str(study), "--out", str(folder), "--jobs", "1"]
    given = {"env": os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}, "text": True}
    told = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, preexec_fn=_heard, **told, **given) as running:  # noqa: PLW1509
        until = time.monotonic() + WITHIN_S
        while len(list(folder.glob("cells/*.json"))) < 2 and time.monotonic() < until:
            time.sleep(0.01)
        running.send_signal(signal.SIGINT)
        _, err = running.communicate()
    assert running.returncode == 130, err
    assert re.search(r"stopped with [1-7] of 8 cells; run the same again, and it goes on from there", err)


def test_an_address_that_is_none_is_bad_input(write, tmp_path, tapas):
    pytest.importorskip("distributed")
    code, out, err = tapas("whatif", write(STUDY), "--out", tmp_path / "o", "--cluster", "nonsense")
    assert (code, out) == (2, "")
    assert "--cluster" in err


def test_all_that_is_wrong_is_one_error_before_anything_runs(write, tmp_path, tapas):
    wrong = STUDY.replace("[baseline, polca]", "[basline]").replace("days: 0.005", "days: -1")
    code, out, err = tapas("whatif", write(wrong), "--out", tmp_path / "o", "--json")
    assert (code, out) == (2, "")
    assert "policies[0]" in err
    assert "days" in err
    assert not (tmp_path / "o").exists()


def test_files_that_a_study_names_are_judged_with_it(write, tmp_path, tapas):
    (tmp_path / "room.yaml").write_text("format: nonsense\n", encoding="utf-8")
    named = STUDY.replace("[{name: small, servers: 16}]", "[{name: mine, file: room.yaml}]")
    code, out, err = tapas("whatif", write(named + "models: nowhere\nprofiles: none.csv\n"), "--out", tmp_path / "o")
    assert (code, out) == (2, "")
    for where in (f"sites[0].file {tmp_path / 'room.yaml'}, format", "models", "profiles"):
        assert where in err, where


def test_what_is_wrong_with_sites_files_and_failures_is_one_message(write, tmp_path, tapas):
    """A seed twice; two files that are not there, of a site and of weather; and failures on the site that is."""
    wrong = STUDY.replace("servers: 16}]", "servers: 16}, {name: mine, file: none.yaml}]").replace("[1]", "[1, 1]")
    wrong = (
        wrong.replace("ups:U2@7m+5s", "ups:*@3h+1m") + "weather: [{name: hot, file: no.csv, day: 3}]\nmodels: none\n"
    )
    code, out, err = tapas("whatif", write(wrong), "--out", tmp_path / "o")
    assert (code, out) == (2, "")
    told = [line.strip().split(": ")[0] for line in err.splitlines()[1:]]
    files = [f"sites[1].file {tmp_path / 'none.yaml'}", f"weather[0].file {tmp_path / 'no.csv'}"]
    assert told == ["seeds[1]", *files, f"models {tmp_path / 'none'}, folder", "failures.one UPS"]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (("ups:U2@7m+5s", "ups:U9@7m+5s"), "failures.one UPS"),
        (("ups:U2@7m+5s", "ups:U2@2h+1m"), "failures.one UPS"),
        (("servers: 16", "servers: 4"), "sites[0].servers"),
        (("base: 11000", "base: 1"), "money.built_kw"),
    ],
)
def test_a_wrong_field_is_named(change, field, write, tmp_path, tapas):
    code, _, err = tapas("whatif", write(STUDY.replace(*change)), "--out", tmp_path / "o")
    assert code == 2
    assert field in err


def test_processes_here_and_a_cluster_exclude_each_other(write, tmp_path, tapas):
    given = ("--out", tmp_path / "o", "--jobs", "2", "--cluster", "tcp://127.0.0.1:1")
    code, _, err = tapas("whatif", write(STUDY), *given)
    assert code == 2
    assert "--jobs" in err


def test_the_example_that_comes_with_it_is_a_study_and_so_is_that_of_its_page(repository, write):
    assert read_study(repository / "data" / "studies" / "example.yaml").worth is not None
    told = re.search(r"```yaml\n(.*?)```", (repository / "docs" / "studies.md").read_text("utf-8"), re.DOTALL)
    assert told is not None
    assert read_study(write(told[1])).policies
