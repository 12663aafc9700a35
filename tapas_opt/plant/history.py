"""History of a site as its sensors would have recorded it, written as the parquet tables of the schema."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tapas_opt.domain.configuration import Configuration
from tapas_opt.domain.history import TABLES, Column
from tapas_opt.domain.site import Site
from tapas_opt.domain.topology import Topology, topology_of
from tapas_opt.domain.vm_list import write_vm_list
from tapas_opt.errors import Fault, InvalidInput
from tapas_opt.plant.lives import Lives
from tapas_opt.plant.parameters import Parameters
from tapas_opt.plant.plant import Demand, Plant
from tapas_opt.plant.population import Population, demand_of
from tapas_opt.plant.profiling import measure_profiles
from tapas_opt.plant.sensors import Readings, exact_readings
from tapas_opt.plant.truth import Truth
from tapas_opt.plant.weather import DAY_S
from tapas_opt.plant.weather_file import HourlyWeather
from tapas_opt.plant.workload import ENDPOINTS, Workload

__all__ = ["VM_LIST", "HistorySummary", "generate_history"]

VM_LIST = "vm_list.csv"
"""Beside the tables: which VM ran where, from when until when, as :mod:`tapas_opt.domain.vm_list` has it."""

CAP_ABOVE_FRAC, CAP_STEP, CAP_RELEASE, CAP_FLOOR = 0.97, 0.05, 0.01, 0.2
DROPOUT_FRAC = 0.001
LONGEST_DAYS = 3_660.0
"""Ten years: a typing error should not fill a disk."""

PART = ".part"
_KINDS = {"str": pa.dictionary(pa.int32(), pa.string()), "int64": pa.int64(), "float64": pa.float32()}
_MEASURED = ("rooms", "servers", "gpus", "rows")


@dataclass(frozen=True, slots=True)
class HistorySummary:
    """What was written, and the extremes of the truth behind it.

    Attributes
    ----------
    rows
        Number of rows by table.
    peak_row_power_frac
        Highest power of any row over its budget.
    throttled_frac, capped_frac
        Mean share of GPUs that throttled, and of rows that the operator capped.
    trips
        UPSs, PDUs, rows and racks that opened; in a site worth learning from, none.
    """

    rows: Mapping[str, int]
    max_gpu_temperature_c: float
    max_inlet_c: float
    peak_row_power_frac: float
    throttled_frac: float
    capped_frac: float
    trips: tuple[str, ...]


def generate_history(
    site: Site,
    *,
    out: Path,
    days: float = 28,
    step_s: float = 300.0,
    seed: int = 1,
    with_truth: bool = False,
    bad_sensor_frac: float = 0.0,
    weather: HourlyWeather | None = None,
    hold_s: float = 60.0,
    progress: Callable[[float], None] | None = None,
) -> HistorySummary:
    """Let VMs live on a site for some days, and record what its sensors say.

    What VMs ask for changes each minute or sooner; samples are momentary. About half of the VMs are IaaS; their
    ``load_frac`` is the used part of the GPUs' power range, that of SaaS the fraction of the instance's goodput. One
    reading in a thousand is missing. A row near its budget, or in a room with a UPS near its rating, is capped as an
    operator would until it has room again, so that a site with more servers than power has a history at all. A day is
    written at a time: memory does not grow with the number of days. The list of the VMs is written beside the tables.

    Parameters
    ----------
    out
        Folder of ``<table>.parquet``; made if it does not exist, and must be empty.
    step_s
        Time between samples.
    with_truth
        Also write ``truth_<table>.parquet``: the same columns without noise and without gaps; and, where there are any,
        ``truth_bad_sensors.parquet``, which :meth:`BadSensors.table` describes.
    bad_sensor_frac
        Share of sensors that misbehave for a part of the time, as :mod:`tapas_opt.plant.bad_sensors` has it. With them,
        as large a share of the sensors' rows is sent a second time at the end of the day, and another only then. All
        other sensors read exactly what they do without bad ones.
    weather
        Real outdoor temperature, from its first hour on; the seed's own if None.
    hold_s
        For how long VMs ask for the same, at most, and an operator leaves caps as they are: longer is sooner done, and
        tells nothing of what changes faster.
    progress
        Told the share that is done, after every simulated hour.

    Raises
    ------
    InvalidInput
        If days or step are not positive, the share is none, the weather is shorter than the days, or the folder
        already holds something.
    """
    if weather is not None and days > 0:
        weather.check_covers(0.0, days * DAY_S)
    _judge(days, step_s, hold_s, bad_sensor_frac, out)
    changed = {"bad_sensor_frac": bad_sensor_frac, "bad_sensor_horizon_s": days * DAY_S}
    parameters = replace(Parameters(), sensor_dropout_frac=DROPOUT_FRAC, **changed)
    run = _Run(topology_of(site), seed, step_s, hold_s, parameters, weather)
    told = progress or (lambda share: None)
    rows = _write_days(_days(run, days, step_s, with_truth, told), out, _Sender(seed, bad_sensor_frac), with_truth)
    write_vm_list(out / VM_LIST, run.lives.all())
    if with_truth and run.plant.bad_sensors is not None:
        pq.write_table(pa.table(dict(run.plant.bad_sensors.table())), out / "truth_bad_sensors.parquet")
    told(1.0)
    return run.summary(rows)


def _judge(days: float, step_s: float, hold_s: float, bad_sensor_frac: float, out: Path) -> None:
    faults = [
        Fault(name, f"{value}: must be a number above 0")
        for name, value in (("days", days), ("step_s", step_s), ("hold_s", hold_s))
        if not (isfinite(value) and value > 0)
    ]
    if isfinite(days) and days > LONGEST_DAYS:
        faults.append(Fault("days", f"{days:g}: must be at most {LONGEST_DAYS:g}"))
    if not 0 <= bad_sensor_frac <= 1:
        faults.append(Fault("bad_sensor_frac", f"{bad_sensor_frac}: must be a share, from 0 to 1"))
    try:
        if out.exists() and any(not path.name.endswith(PART) for path in out.iterdir()):
            faults.append(Fault("out", f"{out}: already holds files; name a new or empty folder"))
        elif not faults:
            out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        faults.append(Fault("out", f"{out}: cannot be written: {error.strerror}"))
    if faults:
        raise InvalidInput("history", faults)


def _days(run: _Run, days: float, step_s: float, with_truth: bool, progress: Callable[[float], None]) -> Iterator[_Day]:
    """Days as they pass; the last may be a part of one."""
    samples, per_day = (max(int(span_s // step_s), 1) for span_s in (days * DAY_S, DAY_S))
    for first in range(0, samples, per_day):
        day = _Day(run, with_truth)
        for sample in range(first, min(first + per_day, samples)):
            day.add_sample()
            if sample % 12 == 0:
                progress(sample / samples)
        yield day


def _write_days(days: Iterator[_Day], out: Path, sender: _Sender, with_truth: bool) -> dict[str, int]:
    """Number of rows by table; tables get their names once all of them are whole."""
    names = (*TABLES, *(f"truth_{name}" for name in _MEASURED if with_truth))
    rows = dict.fromkeys(names, 0)
    with ExitStack() as stack:
        writers = {name: stack.enter_context(_writer(out, name)) for name in names}
        for day in days:
            for name, table in day.tables():
                sent = sender.send(table) if name in _MEASURED else table
                writers[name].write_table(sent)
                rows[name] += sent.num_rows
    for name in names:
        _being_written(out, name).rename(out / f"{name}.parquet")
    return rows


class _Run:
    """The simulation behind a history: plant, VMs and what has been seen so far."""

    def __init__(
        self,
        topology: Topology,
        seed: int,
        step_s: float,
        hold_s: float,
        parameters: Parameters,
        weather: HourlyWeather | None,
    ) -> None:
        outdoor = None if weather is None else weather.outdoor_c
        self.plant = Plant(topology, seed=seed, parameters=parameters, outdoor=outdoor)
        self.topology = topology
        self.lives = Lives(topology.servers)
        serving = _serving(topology)
        endpoints = {name: item.name for name, item in serving.items()}
        self._workload = Workload(seed=seed, endpoints=endpoints)
        self._population = Population(topology, self._workload, seed=seed)
        self._configurations = {item.name: item for item in serving.values()}
        self._inner = -int(-step_s // hold_s)
        self._inner_step_s = step_s / self._inner
        self._peaks = {"gpu": -np.inf, "inlet": -np.inf, "row": 0.0}
        self._throttled: list[float] = []
        self._cap = np.ones(len(topology.rows))
        self._capped: list[float] = []

    def sample(self) -> tuple[Readings, Truth, dict[str, Any]]:
        """Let one sampling step pass; what sensors say, what is so, and the VMs' table at its end."""
        for _ in range(self._inner):
            t_s = self.plant.t_s + self._inner_step_s
            vms, servers = self._population.at(t_s)
            self.lives.look(t_s, vms, servers)
            load = self._workload.vm_load_frac(vms, t_s)
            idle = self.plant.idle_demand()
            demand = demand_of(self.topology, idle, vms, servers, load, self._configurations)
            truth = self.plant.step(self._inner_step_s, self._capped_demand(demand, idle))
            self._adjust_caps(truth)
        self._watch(truth)
        names = [self.topology.servers[s] for s in servers]
        running = {"vm": [vm.name for vm in vms], "server": names, "template": [vm.template for vm in vms]}
        configurations = [vm.configuration for vm in vms]
        return self.plant.read(), truth, running | {"load_frac": load, "configuration": configurations}

    def _capped_demand(self, demand: Demand, idle: Demand) -> Demand:
        cap = self._cap[self.topology.server_row][:, None]
        return Demand(idle.gpu_power_w + cap * (demand.gpu_power_w - idle.gpu_power_w))

    def _adjust_caps(self, truth: Truth) -> None:
        """Tighten the dynamic power of rows that are near a limit, and release the others slowly."""
        t = self.topology
        room = np.zeros(len(t.rooms))
        np.maximum.at(room, t.ups_room, truth.ups_power_w / t.ups_rating_w)
        used = np.maximum(truth.row_power_w / t.row_budget_w, room[t.aisle_room[t.row_aisle]])
        change = np.where(used > CAP_ABOVE_FRAC, -CAP_STEP, CAP_RELEASE)
        self._cap = np.clip(self._cap + change, CAP_FLOOR, 1.0)

    def summary(self, rows: Mapping[str, int]) -> HistorySummary:
        """Extremes seen at the samples, beside what was written."""
        truth = self.plant.truth
        return HistorySummary(
            rows=rows,
            max_gpu_temperature_c=self._peaks["gpu"],
            max_inlet_c=self._peaks["inlet"],
            peak_row_power_frac=self._peaks["row"],
            throttled_frac=float(np.mean(self._throttled)),
            capped_frac=float(np.mean(self._capped)),
            trips=truth.tripped_upses + truth.tripped_pdus + truth.tripped_rows + truth.tripped_racks,
        )

    def _watch(self, truth: Truth) -> None:
        now = {
            "gpu": np.nanmax(truth.gpu_temperature_c),
            "inlet": truth.inlet_c.max(),
            "row": (truth.row_power_w / self.topology.row_budget_w).max(),
        }
        self._peaks = {name: max(self._peaks[name], float(value)) for name, value in now.items()}
        self._throttled.append(float(truth.throttled_frac.mean()))
        self._capped.append(float((self._cap < 1.0).mean()))


def _serving(topology: Topology) -> dict[str, Configuration]:
    """What each endpoint runs: its configuration of the demo at the highest clock that every hardware has."""
    site = topology.site
    slowest = min(topology.hardware, key=lambda name: site.hardware[name].gpu_max_frequency_mhz)
    profiled = [profile.configuration for profile in measure_profiles(site.hardware[slowest], slowest)]
    chosen = {}
    for endpoint, name in ENDPOINTS.items():
        alike = [item for item in profiled if item.name.startswith(name.rpartition("-f")[0] + "-f")]
        if not alike:
            raise InvalidInput.one("history", f"hardware.{slowest}", f"cannot run {name}, which {endpoint} serves with")
        chosen[endpoint] = max(alike, key=lambda item: item.frequency_mhz)
    return chosen


class _Sender:
    """What sends a day's rows: some late, some twice."""

    def __init__(self, seed: int, bad_frac: float) -> None:
        self._bad_frac = bad_frac
        self._random = np.random.default_rng([seed, 25])

    def send(self, table: pa.Table) -> pa.Table:
        """The rows in the order in which they arrive."""
        if self._bad_frac <= 0:
            return table
        late, again = self._random.random((2, table.num_rows)) < self._bad_frac
        return table.take(np.concatenate([np.flatnonzero(~late), np.flatnonzero(late), np.flatnonzero(again)]))


class _Day:
    """The samples of one day, and their tables."""

    def __init__(self, run: _Run, with_truth: bool) -> None:
        self._run = run
        self._topology = run.topology
        self._machines = run.plant.machines
        self._with_truth = with_truth
        self._readings: list[Readings] = []
        self._exact: list[Readings] = []
        self._vms: dict[str, list[Any]] = {column.name: [] for column in TABLES["vms"].columns}

    def add_sample(self) -> None:
        """Let the next sampling step pass."""
        readings, truth, vms = self._run.sample()
        self._readings.append(readings)
        if self._with_truth:
            self._exact.append(exact_readings(truth, self._machines))
        self._vms["t_s"] += [readings.t_s] * len(vms["vm"])
        for name, values in vms.items():
            self._vms[name] += list(values)

    def tables(self) -> Iterator[tuple[str, pa.Table]]:
        """Every table of the day by name."""
        yield from self._sensor_tables("", self._readings)
        yield "vms", _table("vms", self._vms)
        if self._with_truth:
            yield from self._sensor_tables("truth_", self._exact)

    def _sensor_tables(self, prefix: str, readings: Sequence[Readings]) -> Iterator[tuple[str, pa.Table]]:
        t = self._topology
        t_s = np.array([sample.t_s for sample in readings])
        for table, key, names in (
            ("rooms", "room", t.rooms),
            ("servers", "server", t.servers),
            ("rows", "row", t.rows),
        ):
            keys = {"t_s": np.repeat(t_s, len(names)), key: _repeated(names, 1, len(t_s))}
            yield prefix + table, _table(table, keys | _stacked(table, readings))
        yield prefix + "gpus", self._gpu_table(t_s, readings)

    def _gpu_table(self, t_s: np.ndarray, readings: Sequence[Readings]) -> pa.Table:
        servers, gpus = self._machines.has_gpu.shape
        keys = {
            "t_s": np.repeat(t_s, servers * gpus),
            "server": _repeated(self._topology.servers, gpus, len(t_s)),
            "gpu": np.tile(np.arange(gpus), servers * len(t_s)),
        }
        table = _table("gpus", keys | _stacked("gpus", readings))
        if self._machines.has_gpu.all():
            return table
        return table.filter(pa.array(np.tile(self._machines.has_gpu.ravel(), len(t_s))))


def _stacked(table: str, readings: Sequence[Readings]) -> dict[str, np.ndarray]:
    """The measured columns of a table, flattened over samples; their fields carry the table's name in the singular."""
    singular = table.removesuffix("s")
    columns = [column.name for column in TABLES[table].columns if column.name not in TABLES[table].key]
    return {
        name: np.concatenate([getattr(sample, f"{singular}_{name}").ravel() for sample in readings]) for name in columns
    }


def _repeated(names: Sequence[str], each: int, times: int) -> pa.DictionaryArray:
    codes = np.tile(np.repeat(np.arange(len(names), dtype=np.int32), each), times)
    return pa.DictionaryArray.from_arrays(pa.array(codes), pa.array(list(names)))


def _table(name: str, values: Mapping[str, Any]) -> pa.Table:
    schema = _schema(name)
    return pa.table([_array(values[field.name], field.type) for field in schema], schema=schema)


def _array(values: Any, kind: pa.DataType) -> pa.Array:
    if isinstance(values, pa.Array):
        return values
    if pa.types.is_dictionary(kind):
        return pa.array(values, pa.string()).dictionary_encode()
    return pa.array(np.asarray(values).astype(kind.to_pandas_dtype(), copy=False), kind)


def _schema(name: str) -> pa.Schema:
    return pa.schema([(column.name, _kind(column)) for column in TABLES[name].columns])


def _kind(column: Column) -> pa.DataType:
    """Times keep all their digits; seven of them are more than any sensor has."""
    return pa.float64() if column.name == "t_s" else _KINDS[column.kind]


def _writer(out: Path, name: str) -> pq.ParquetWriter:
    return pq.ParquetWriter(_being_written(out, name), _schema(name.removeprefix("truth_")))


def _being_written(out: Path, name: str) -> Path:
    """Where a table is until it is whole: what was interrupted is neither read nor in the way."""
    return out / f"{name}.parquet{PART}"
