"""Margins of domains, and how much they rise within minutes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tapas_opt.domain.panel import NO_VM
from tapas_opt.errors import NotFound
from tapas_opt.learn.artefact import Training
from tapas_opt.learn.domain import MarginEntry
from tapas_opt.learn.fitting.domain import fit_domain_margin, fit_row_overhead, margins_of_kind
from tapas_opt.learn.fitting.fitted import settled
from tapas_opt.learn.fitting.margin import conformal_upper
from tapas_opt.learn.fitting.split import split_days
from tapas_opt.learn.sums import ServerSums
from tapas_opt.telemetry.panel import panel_of

BASE_W, JUMP_W = 3_000.0, 900.0


def test_few_domains_share_what_their_kind_has_seen_and_how_days_differ():
    """Seven days, four UPSs that move together: the mean of days varies as each does, and 28 scores are 7 events."""
    rng = np.random.default_rng(0)
    scores = 0.05 + rng.normal(0, 0.02, (7, 1)) + rng.normal(0, 0.001, (7, 4))
    margins = margins_of_kind(scores)
    assert margins == pytest.approx([conformal_upper(scores.mean(axis=1), 0.99)] * 4, rel=1e-6)
    assert margins[0] > conformal_upper(scores.ravel(), 0.99)


def test_many_domains_keep_their_promise_on_the_worst_day():
    """150 racks; on the fourth day all are higher by 0.1."""
    rng = np.random.default_rng(1)
    scores = rng.normal(0.0, 0.03, (7, 150))
    scores[3] += 0.1
    margins = margins_of_kind(scores)
    assert min(margins) >= conformal_upper(scores[3], 0.99) > conformal_upper(scores.ravel(), 0.99)


def test_no_margin_lies_below_a_domains_own_highest_day():
    """One rack in 100 that is always 0.5 above its prediction."""
    scores = np.random.default_rng(2).normal(0.0, 0.03, (7, 100))
    scores[:, 5] += 0.5
    margins = margins_of_kind(scores)
    assert margins[5] >= scores[:, 5].max()
    assert max(np.delete(margins, 5)) < 0.6
    assert min(margins_of_kind(np.full((3, 2), -0.2))) == 0.0


def test_margins_cover_days_whose_scores_stay_with_their_domain():
    """VMs stay for a week, so a rack's scores of a week are alike, and its next week is another draw."""
    covered = []
    for seed in range(30):
        rng = np.random.default_rng(seed)
        weeks = np.repeat(rng.normal(0, 0.05, (2, 40)), 7, axis=0) + rng.normal(0, 0.02, (14, 40))
        covered.append((weeks[7:] <= np.array(margins_of_kind(weeks[:7]))).mean())
    assert np.mean(covered) >= 0.985


@pytest.fixture
def rising(make_history, topology):
    """Eight days of 3 kW a server; on the second day at noon S4 jumps by 900 W, and at midnight it is back."""
    panel = panel_of(make_history(topology), topology)
    power = np.full(panel.server_power_w.shape, BASE_W)
    noon = (panel.day == 1) & (panel.t_s % 86_400 >= 43_200)
    power[noon, 3] += JUMP_W
    idle = np.full(panel.vm.shape, NO_VM)
    meter = np.stack([power[:, topology.server_row == r].sum(axis=1) for r in range(len(topology.rows))], axis=1)
    return replace(panel, server_power_w=power, meter_w=meter, vm=idle.astype(panel.vm.dtype), vm_configuration=idle)


def margins(panel) -> dict[str, MarginEntry]:
    sums = ServerSums(panel.server_power_w, panel.airflow_cfm, panel.server_power_w, panel.airflow_cfm)
    split, training = split_days(panel.day), Training(0.0, 1.0, "test")
    overhead = settled(fit_row_overhead(panel, split, sums), training)
    return fit_domain_margin(panel, split, sums, overhead).entries


def test_a_jump_that_nobody_decided_upon_is_a_rise(rising, topology):
    """900 W on what S4's row draws. Of 6 days × 2 rows one jumps: the bound over so few lies above it."""
    row = topology.rows[topology.server_row[3]]
    servers = int((topology.server_row == topology.server_row[3]).sum())
    rise = JUMP_W / (servers * BASE_W)
    entry = margins(rising)[f"row:{row}"]
    assert rise <= entry.rise_5min_frac <= 2.0 * rise
    assert rise <= entry.rise_15min_frac <= 2.0 * rise


def test_a_rise_within_fifteen_minutes_may_take_three_steps(rising):
    """300 W in each of three slots: 5 minutes see a third of it."""
    power = rising.server_power_w.copy()
    noon = np.flatnonzero((rising.day == 1) & (rising.t_s % 86_400 == 43_200))[0]
    power[noon, 3], power[noon + 1, 3] = BASE_W + JUMP_W / 3, BASE_W + 2 * JUMP_W / 3
    slow, fast = margins(replace(rising, server_power_w=power)), margins(rising)
    for name, entry in slow.items():
        assert entry.rise_15min_frac == pytest.approx(fast[name].rise_15min_frac)
        assert entry.rise_5min_frac == pytest.approx(fast[name].rise_5min_frac / 3, rel=1e-6)


def test_what_we_decide_upon_is_no_rise(rising):
    """An instance of ours, a VM that comes, and a server that was not read before: none of them is a surprise."""
    noon = np.flatnonzero((rising.day == 1) & (rising.t_s % 86_400 == 43_200))[0]
    ours = np.zeros_like(rising.vm_configuration)
    comes = rising.vm.copy()
    comes[noon:, 3] = 7
    unread = rising.server_power_w.copy()
    unread[noon - 3 : noon, 3] = np.nan
    sums_are_known = np.where(np.isfinite(unread), unread, BASE_W)
    assert all(entry.rise_15min_frac == 0.0 for entry in margins(replace(rising, vm_configuration=ours)).values())
    assert all(entry.rise_15min_frac == 0.0 for entry in margins(replace(rising, vm=comes)).values())
    sums = ServerSums(sums_are_known, rising.airflow_cfm, sums_are_known, rising.airflow_cfm)
    split, training = split_days(rising.day), Training(0.0, 1.0, "test")
    panel = replace(rising, server_power_w=unread)
    overhead = settled(fit_row_overhead(panel, split, sums), training)
    entries = fit_domain_margin(panel, split, sums, overhead).entries
    assert all(entry.rise_5min_frac == 0.0 for entry in entries.values())


def test_of_a_rise_from_a_quiet_hour_only_what_goes_beyond_the_usual_counts(rising):
    """Servers at a third by night, for a third of the time, and back to 3 kW in one slot at 8: no budget is near."""
    night = rising.t_s % 86_400 < 8 * 3_600
    power = np.where(night[:, None], BASE_W / 3, BASE_W) + np.zeros_like(rising.server_power_w)
    quiet = replace(rising, server_power_w=power)
    assert all(entry.rise_15min_frac == 0.0 for entry in margins(quiet).values())


def test_models_say_how_much_a_domain_rises(learned, topology):
    row = topology.rows[0]
    five, fifteen = (learned.domain_rise_frac("row", row, minutes) for minutes in (5, 15))
    assert 0.0 < five < 1.0
    assert fifteen >= 0.0
    assert learned.domain_rise_frac("row", "unknown") == learned.domain_margin.pooled["row"].rise_5min_frac
    with pytest.raises(NotFound, match="5, 15"):
        learned.domain_rise_frac("row", row, 7)


def test_models_without_learned_rises_hold_the_margin_back(learned):
    """Missing is never zero."""
    old = replace(
        learned,
        domain_margin=replace(
            learned.domain_margin,
            entries={},
            pooled={kind: MarginEntry(0.2) for kind in learned.domain_margin.pooled},
        ),
    )
    assert old.domain_rise_frac("row", "R1") == 0.2


def test_the_overhead_is_that_of_busy_hours(rising):
    """Losses of a tenth: by night 1 kW of servers loses 100 W, by day 3 kW loses 300."""
    night = rising.t_s % 86_400 < 8 * 3_600
    power = np.where(night[:, None], BASE_W / 3, BASE_W) + np.zeros_like(rising.server_power_w)
    row = rising.topology.server_row
    meter = 1.1 * np.stack([power[:, row == r].sum(axis=1) for r in range(rising.meter_w.shape[1])], axis=1)
    panel = replace(rising, server_power_w=power, meter_w=meter)
    sums = ServerSums(power, panel.airflow_cfm, power, panel.airflow_cfm)
    overhead = fit_row_overhead(panel, split_days(panel.day), sums)
    for r, name in enumerate(rising.topology.rows):
        assert overhead.entries[name].overhead_w == pytest.approx(0.1 * BASE_W * (row == r).sum())
