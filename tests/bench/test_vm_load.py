"""The vm-load suite on clients whose rhythm is known, and on the real ones where they are at hand."""

from __future__ import annotations

import os
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tapas_opt.bench.client_templates import fit_clients, headroom
from tapas_opt.bench.rates import read_rates
from tapas_opt.bench.vm_load import run
from tapas_opt.errors import InvalidInput

WINDOW_S, WINDOWS_A_DAY = 1800.0, 48


def rates(days, clients, seed=1):
    """Rate of each client (row) in each window: a quiet night and a busy noon, of very different sizes."""
    rng = np.random.default_rng(seed)
    t_s = WINDOW_S * np.arange(days * WINDOWS_A_DAY)
    size = 10.0 ** rng.uniform(-1, 2, clients)
    shape = 1.0 - 0.8 * np.cos(2 * np.pi * t_s / 86_400)
    return t_s, size[:, None] * shape * rng.lognormal(0, 0.15, (clients, t_s.size))


def table(t_s, rate, model="m", first_client=0):
    """As the service writes it: windows without traffic are left out."""
    client, at = np.nonzero(rate > 0)
    columns = {"model": model, "client": client + first_client, "t_s": t_s[at], "rate_rps": rate[client, at]}
    return pd.DataFrame(columns)


@pytest.fixture
def folder(tmp_path):
    def write(*tables):
        pd.concat(tables).to_parquet(tmp_path / "rates.parquet")
        return tmp_path

    return write


def test_a_daily_rhythm_is_covered_as_promised_with_far_less_than_the_highest_rate(folder):
    """The highest rate of each client stands for all hours; nights need a tenth of it."""
    result = run(folder(table(*rates(9, 20))), None)
    assert result.coverage >= 0.99
    assert result.extras["over_forecast_of_flat"] < 0.8
    assert result.extras["over_forecast_of_flat_each_client_alike"] < 0.8
    assert result.mae < result.persistence_mae
    assert len(result.rows) == 20


def test_the_judged_windows_teach_nothing(folder, tmp_path):
    """Other rates after the split change errors, and no prediction: what is over-forecast of nothing is the bound."""
    t_s, rate = rates(9, 5)
    split = 6 * WINDOWS_A_DAY
    quiet = rate.copy()
    quiet[:, split:] = 1e-9
    busy = rate.copy()
    busy[:, split:] = 1e-6
    first, second = (run(folder(table(t_s, each)), None) for each in (quiet, busy))
    for one, other in zip(first.rows, second.rows, strict=True):
        assert one.extras["over_forecast"] == pytest.approx(other.extras["over_forecast"], rel=1e-4)


def test_windows_without_a_row_are_windows_without_traffic(folder):
    """A client that is on every second hour only: its rows are half, its windows are not."""
    t_s, rate = rates(9, 4)
    rate[:, (t_s // 3600) % 2 == 1] = 0.0
    (model,), _ = read_rates(folder(table(t_s, rate)), None)
    assert model.rate_rps.shape == (9 * WINDOWS_A_DAY - 2, 4)
    assert (model.rate_rps == 0).mean() == pytest.approx(0.5, abs=0.01)


def test_a_client_is_unknown_before_its_first_traffic_and_silent_after_its_last(folder):
    t_s, rate = rates(9, 3)
    rate[1, : 2 * WINDOWS_A_DAY] = 0.0
    rate[2, 4 * WINDOWS_A_DAY :] = 0.0
    (model,), _ = read_rates(folder(table(t_s, rate)), None)
    history = model.history(model.split)
    assert np.isnan(history[: 2 * WINDOWS_A_DAY, 1]).all()
    assert np.isfinite(history[2 * WINDOWS_A_DAY :, 1]).all()
    assert (history[4 * WINDOWS_A_DAY :, 2] == 0).all()


def test_a_client_that_comes_after_the_split_is_counted_and_not_judged(folder):
    t_s, rate = rates(9, 3)
    rate[2, : 7 * WINDOWS_A_DAY] = 0.0
    result = run(folder(table(t_s, rate)), None)
    assert [row.server for row in result.rows] == ["m/0", "m/1"]
    assert result.extras["unseen_clients"] == 1


def test_a_client_of_an_hour_leans_on_its_models_day(folder):
    """It was seen at noon only; at night the others of its model are quiet, and so it is expected to be."""
    t_s, rate = rates(9, 30)
    rate[0, : int(5.5 * WINDOWS_A_DAY)] = 0.0
    rate[0, int(5.5 * WINDOWS_A_DAY) + 2 : 6 * WINDOWS_A_DAY] = np.nan
    models, _ = read_rates(folder(table(t_s, np.nan_to_num(rate))), None)
    models[0].rate_rps[int(5.5 * WINDOWS_A_DAY) + 2 : 6 * WINDOWS_A_DAY, 0] = np.nan
    fitted = fit_clients([models[0]], [int(5.5 * WINDOWS_A_DAY) + 2])
    night, noon = fitted.load(0, 30, np.array([0.0, 43_200.0]) + 9 * 86_400)[0][:, 0]
    assert night < noon - 0.2
    assert fitted.scale_of(0, 30)[0] == pytest.approx(3.0 * np.nanmax(rate[0, : 6 * WINDOWS_A_DAY]))


def test_the_longer_a_client_is_known_the_more_its_highest_rate_says():
    """1.3 · (1 + 0.5 / days), at most 3: an hour says little, ten hours 2.86, a week nearly 1.3."""
    assert headroom(np.array([1 / 24, 10 / 24, 1.0, 7.0])) == pytest.approx([3.0, 2.86, 1.95, 1.393], abs=1e-3)


def test_following_the_last_hours_pays_where_clients_wander(folder):
    """Each client asks for more or less than usual for half a day or so; an hour ago tells most of it."""
    t_s, rate = rates(9, 10)
    rng = np.random.default_rng(4)
    wandering = np.zeros(rate.shape)
    for i in range(1, t_s.size):
        wandering[:, i] = 0.96 * wandering[:, i - 1] + rng.normal(0, 0.08, 10)
    result = run(folder(table(t_s, rate * np.exp(wandering))), None)
    assert result.extras["tracked_mae"] < 0.8 * result.mae
    assert result.extras["tracked_over_forecast_of_flat"] < result.extras["over_forecast_of_flat"]
    assert result.extras["tracked_coverage"] >= 0.98


def test_the_split_may_be_given_as_a_day_counted_from_1970(folder):
    path = folder(table(*rates(9, 4)))
    (model,), _ = read_rates(path, date(1970, 1, 5))
    assert model.t_s[model.split] == 4 * 86_400
    with pytest.raises(InvalidInput, match="no model has 24 windows before and after the split"):
        run(path, date(1971, 1, 1))


def test_models_whose_record_ends_before_the_split_are_named(folder):
    t_s, rate = rates(9, 4)
    short = table(t_s[:WINDOWS_A_DAY], rate[:, :WINDOWS_A_DAY], model="short")
    result = run(folder(table(t_s, rate), short), date(1970, 1, 7))
    assert result.extras["models_left_out"] == "short"


def test_bad_rows_are_left_out_and_a_missing_column_is_named(folder):
    t_s, rate = rates(9, 4)
    good = table(t_s, rate)
    bad = good.head(3).assign(rate_rps=[-1.0, np.nan, np.inf])
    again = good.head(5).assign(rate_rps=1e9)
    (model,), _ = read_rates(folder(good, bad, again), None)
    assert np.allclose(model.rate_rps.T, rate)
    with pytest.raises(InvalidInput, match=r"rate_rps: the column \(number\) is missing"):
        run(folder(good.drop(columns="rate_rps")), None)


@pytest.fixture
def real_clients(repository):
    folder = Path(os.environ.get("TAPAS_DATA_DIR", repository.parent / "shared" / "datasets")) / "servegen-alibaba"
    if not (folder / "rates.parquet").exists():
        pytest.skip(f"servegen-alibaba is not in {folder.parent}; set TAPAS_DATA_DIR")
    return folder


def test_real_clients_are_covered_with_less_over_forecast_than_their_highest_rate(real_clients):
    result = run(real_clients, None)
    assert result.coverage >= 0.98
    assert result.extras["over_forecast_of_flat"] < 1.0
    assert result.extras["over_forecast_of_flat_each_client_alike"] < 1.0
    assert result.coverage > result.extras["flat_coverage"]
