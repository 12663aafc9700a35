"""Samples as a table."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tapas_opt.domain.site_generator import SiteShape, generate_site
from tapas_opt.domain.topology import topology_of
from tapas_opt.simulation.loop import run_story
from tapas_opt.simulation.record import thinned
from tapas_opt.simulation.series import write_series


@pytest.fixture
def record(make, room_of, started, scripted):
    site = generate_site(16, name="sixteen", shape=SiteShape(racks_per_row=2, rows_per_aisle=1))
    day = make(hours=(12.0, 12.5))
    return run_story(day, room_of(site, day.start_s), scripted(topology_of(site).servers), started)


def test_the_series_have_a_row_for_each_policy_and_moment_and_a_column_for_each_domain(record, tmp_path):
    """Half an hour of minutes, told twice; two rows, four UPSs, two aisles."""
    write_series([record, record], tmp_path / "series.csv.gz")
    table = pd.read_csv(tmp_path / "series.csv.gz")
    assert len(table) == 2 * 30
    assert list(table.columns[:4]) == ["policy", "t_s", "row_power_w[R1]", "row_power_w[R2]"]
    assert table["ups_power_w[U4]"].tolist() == pytest.approx([*record.ups_power_w[:, 3]] * 2, rel=1e-6)
    assert {"aisle_capacity_cfm[A2]", "hottest_gpu_c", "served_frac"} <= set(table.columns)


def test_the_same_samples_give_the_same_file(record, tmp_path):
    for name in ("one", "two"):
        write_series([record], tmp_path / f"{name}.csv.gz")
    assert (tmp_path / "one.csv.gz").read_bytes() == (tmp_path / "two.csv.gz").read_bytes()


def test_a_thinned_record_keeps_all_that_is_close_together(make, room_of, started, scripted, failing):
    """An hour by minutes with a failure of a minute in it: of the calm ones one in ten, of the seconds all."""
    site = generate_site(16, name="sixteen", shape=SiteShape(racks_per_row=2, rows_per_aisle=1))
    day = make([failing(15.5, for_s=60.0)], hours=(15.0, 16.0))
    whole = run_story(day, room_of(site, day.start_s), scripted(topology_of(site).servers), started)
    few = thinned(whole, 600.0)
    seconds = int((np.diff(whole.t_s) < 60.0).sum())
    assert seconds == 300
    assert seconds <= len(few.t_s) <= seconds + 8
    assert few.row_power_w.shape == (len(few.t_s), 2)
    assert set(few.t_s) <= set(whole.t_s)
    assert few.metrics is whole.metrics


def test_what_a_failure_met_and_the_highest_peaks_survive_thinning(make, room_of, started, scripted, failing):
    """The minute before the first second of a failure is how things were; the table's peaks are pictured."""
    site = generate_site(16, name="sixteen", shape=SiteShape(racks_per_row=2, rows_per_aisle=1))
    day = make([failing(15.5, for_s=60.0)], hours=(15.0, 16.0))
    whole = run_story(day, room_of(site, day.start_s), scripted(topology_of(site).servers), started)
    few = thinned(whole, 7_200.0)
    assert day.failures[0].at_s in few.t_s
    assert few.hottest_gpu_c.max() == whole.hottest_gpu_c.max() == whole.hottest_gpus_c.max()
    assert few.hottest_gpu_c[few.t_s == whole.hottest_s] == whole.hottest_gpus_c.max()
    assert (few.row_power_w / few.row_budget_w).max() == (whole.row_power_w / whole.row_budget_w).max()
