"""A day with a story: at 14:00 U2 fails; the baseline trips U3, tapas-opt slows its instances and keeps all."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tapas_opt.simulation.record import Incident, Outage, Record, Run

CHROMIUM = Path("/usr/bin/chromium")

UPS_FAILS_S, UPS_BACK_S = 14 * 3600.0, 14 * 3600.0 + 300.0
AHU_FAILS_S, AHU_BACK_S = 17 * 3600.0, 17 * 3600.0 + 1_800.0
CAPACITY_W = 130_000.0
BASELINE_TRIPS_AFTER_S = 11.0
RELIEVED_AFTER_S = 5.0


def moments() -> np.ndarray:
    """Minutes of a day, and seconds in the two emergencies."""
    day = np.arange(0.0, 86_400.0, 60.0)
    seconds = [np.arange(at - 60, at + 600) for at in (UPS_FAILS_S, AHU_FAILS_S)]
    return np.unique(np.concatenate([day, *seconds]))


def record_of(policy: str, seed: int, relieved: bool) -> Record:
    t_s = moments()
    rng = np.random.default_rng(seed)
    n = len(t_s)
    load = 0.72 + 0.2 * np.sin((t_s / 3600 - 9) / 24 * 2 * np.pi) + rng.normal(0, 0.01, n)
    failed = (t_s >= UPS_FAILS_S) & (t_s < UPS_BACK_S)
    since = t_s - UPS_FAILS_S
    if relieved:
        load = np.where(failed, load * np.clip(1 - 0.09 * since, 0.72, 1), load)
    ups = np.outer(load * CAPACITY_W, [1.0, 0.98, 1.01, 0.97])
    capacity = np.full((n, 4), CAPACITY_W)
    moved = ups[:, 1].copy()
    ups[failed] += moved[failed, None] / 3
    ups[failed, 1] = 0
    capacity[failed, 1] = 0
    tripped = failed & (since > BASELINE_TRIPS_AFTER_S) & (not relieved)
    ups[tripped, 2] = 0
    capacity[tripped, 2] = 0
    no_air = (t_s >= AHU_FAILS_S) & (t_s < AHU_BACK_S)
    air = np.outer(load * 30_000, [1.0, 0.93])
    air_limit = np.where(no_air[:, None], [27_000.0, 33_000.0], 33_000.0)
    hottest = 62 + 22 * load + np.where(no_air & (not relieved), 9, 0)
    served = np.where(tripped, 0.74, np.where(failed & relieved, 0.97, 1.0))
    quality = np.where(failed & relieved, 0.94, 1.0)
    quality[5] = np.nan
    incidents = [Incident(UPS_FAILS_S + 2, "the failure is noticed")]
    if relieved:
        incidents.append(Incident(UPS_FAILS_S + 2.2, "plan now-8c1f published: 31 instances to a lower clock"))
    else:
        incidents.append(Incident(UPS_FAILS_S + 11, "UPS U3 tripped after 11 s at 131 %"))
    return Record(
        policy=policy,
        rows=("R1", "R2"),
        upses=("U1", "U2", "U3", "U4"),
        aisles=("A1", "A2"),
        gpu_limit_c=85.0,
        t_s=t_s,
        row_power_w=np.outer(load * 240_000, [1.0, 0.95]),
        row_budget_w=np.full((n, 2), 236_000.0),
        ups_power_w=ups,
        ups_capacity_w=capacity,
        aisle_airflow_cfm=air,
        aisle_capacity_cfm=air_limit,
        hottest_gpu_c=hottest,
        throttled_servers=np.where(hottest > 85, 6.0, 0.0),
        quality_frac=quality,
        served_frac=served,
        iaas_performance_frac=np.where(failed & (not relieved), 0.65, 1.0),
        slo_attainment_frac=np.where(tripped, 0.7, 0.995),
        p99_ttft_s=np.where(failed, 2.5, 1.2),
        incidents=tuple(incidents),
        answered=(
            {
                "placement": {"SOLVER": 20, "GREEDY": 4},
                "routing": {"SOLVER": 270, "GREEDY": 18, "STALE_SAFE": 2},
                "reconfiguration": {"SOLVER": 90, "GREEDY": 5, "BEST_EFFORT": 3},
            }
            if relieved
            else {"placement": {"RULE": 24}, "routing": {"RULE": 290}, "reconfiguration": {"RULE": 2}}
        ),
        metrics={
            "ups_trips": float(not relieved),
            "breaker_trips": 0.0,
            "worst_overload_frac_of_tolerance": 0.41 if relieved else 1.0,
            "max_gpu_temperature_c": float(hottest.max()),
            "peak_row_power_frac": 0.944 if relieved else 0.987,
            "slo_attainment_frac": 0.9991 if relieved else 0.962,
            "quality_loss_frac": 0.0012 if relieved else 0.0,
            "energy_kwh": 8_120.0 if relieved else 8_460.0,
            "decision_p99_s": 0.214 if relieved else 0.002,
            "wall_s": 71.3,
        },
        relief_s=(RELIEVED_AFTER_S if relieved else np.inf, 0.0),
        servers=("R1-S1", "R1-S2", "R2-S1", "R1-S3", "R2-S2"),
        server_row=np.array([0, 0, 1, 0, 1]),
        hottest_s=float(t_s[hottest.argmax()]),
        hottest_gpus_c=np.array([61.0, 72.0, 84.0, 45.0, 66.0]),
    )


def run_of(*records: Record, outages: tuple[Outage, ...] | None = None, **other: object) -> Run:
    if outages is None:
        outages = (Outage("ups:U2", UPS_FAILS_S, UPS_BACK_S), Outage("ahu:AHU1", AHU_FAILS_S, AHU_BACK_S))
    named = {"name": "demo", "site": "demo-room", "servers": 80, "summary": {"seed": 1}} | other
    return Run(outages=outages, records=tuple(records), **named)  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def baseline() -> Record:
    return record_of("baseline", 1, relieved=False)


@pytest.fixture(scope="session")
def ours() -> Record:
    return record_of("tapas-opt", 2, relieved=True)


@pytest.fixture(scope="session")
def tripped(baseline: Record, ours: Record) -> Run:
    return run_of(baseline, ours)


@pytest.fixture(scope="session")
def make_run() -> Callable[..., Run]:
    return run_of


@pytest.fixture
def drawn(tmp_path) -> Callable[[Path], subprocess.CompletedProcess[str]]:
    """Have a real browser draw a page; its document is on stdout, its complaints are on stderr."""
    if not CHROMIUM.exists():
        pytest.skip("Chromium is missing: apt-get install chromium to see the page drawn")

    def draw(page: Path) -> subprocess.CompletedProcess[str]:
        command = [
            str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync",
            "--disable-background-networking", "--disable-component-update", f"--user-data-dir={tmp_path}",
            "--enable-logging=stderr", "--virtual-time-budget=10000", "--window-size=1300,6000",
            "--dump-dom", page.as_uri(),
        ]  # fmt: skip
        return subprocess.run(command, capture_output=True, text=True, timeout=180, check=True)

    return draw
