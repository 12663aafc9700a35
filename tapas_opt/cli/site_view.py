"""What ``tapas-opt site`` shows of a site: counts, nameplate against budgets, one-line diagram, floor plan."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from string import ascii_lowercase
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from tapas_opt.domain.failure import effect_of
from tapas_opt.domain.site import Hardware, Site
from tapas_opt.domain.topology import NONE, Topology, topology_of
from tapas_opt.errors import NotFound

__all__ = ["figures", "headline", "notes", "render_site"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

_NAMED = 5


def headline(site: Site) -> dict[str, Any]:
    """Name, counts and one sentence."""
    topology = topology_of(site)
    counts = {
        "rooms": len(topology.rooms),
        "aisles": len(topology.aisles),
        "rows": len(topology.rows),
        "racks": len(topology.racks),
        "servers": len(topology.servers),
        "gpus": int(_of_server(topology, "gpus").sum()),
        "upses": len(topology.upses),
        "pdus": len(topology.pdus),
        "ahus": len(topology.ahus),
    }
    numbers = np.bincount(topology.server_hardware, minlength=len(topology.hardware))
    hardware = {name: int(number) for name, number in zip(topology.hardware, numbers, strict=True)}
    summary = f"{site.name}: " + ", ".join(
        f"{counts[kind]:,} {kind if counts[kind] != 1 else kind[:-1]}" for kind in ("rooms", "aisles", "rows", "racks")
    )
    summary += ", " + " and ".join(f"{number:,} × {name}" for name, number in hardware.items())
    return {"site": site.name, "summary": summary, "counts": counts, "hardware": hardware}


def figures(site: Site, room: str | None = None) -> dict[str, Any]:
    """Return all that ``site show`` prints; ``plan`` draws one room.

    Raises
    ------
    NotFound
        If the site has no such room.
    """
    topology = topology_of(site)
    drawn = room or topology.rooms[0]
    if drawn not in topology.rooms:
        raise NotFound("room", drawn, f"the site has {', '.join(topology.rooms[:12])}")
    levels = _levels(topology)
    return headline(site) | {
        "altitude_m": site.altitude_m,
        "budgets": [level.summed() for level in levels],
        "elements": {f"{level.kind} {level.quantity}": level.listed() for level in levels if level.kind != "rack"},
        "ups_pairs": _racks_by_pair(topology),
        "plan": _plan(site, topology, topology.rooms.index(drawn)),
        "notes": notes(topology),
    }


def _of_server(topology: Topology, field: str) -> FloatArray:
    values = [getattr(topology.site.hardware[name], field) for name in topology.hardware]
    return np.array(values, dtype=np.float64)[topology.server_hardware]


def _sums(of: IntArray, load: FloatArray, number: int) -> FloatArray:
    """Sum of ``load`` over the members of each of ``number`` elements."""
    return np.bincount(of, weights=load, minlength=number).astype(np.float64)


@dataclass(frozen=True, slots=True)
class _Level:
    """All elements of a kind: what hangs on each at nameplate, and what each may carry."""

    kind: str
    quantity: str
    names: tuple[str, ...]
    nameplate: FloatArray
    budget: FloatArray

    def summed(self) -> dict[str, Any]:
        frac = self.budget / np.maximum(self.nameplate, 1e-9)
        worst = int(frac.argmin())
        return {
            "kind": self.kind,
            "quantity": self.quantity,
            "number": len(self.names),
            "nameplate": round(float(self.nameplate.sum()), 1),
            "budget": round(float(self.budget.sum()), 1),
            "budget_over_nameplate": round(float(self.budget.sum() / self.nameplate.sum()), 4),
            "tightest": self.names[worst],
            "tightest_budget_over_nameplate": round(float(frac[worst]), 4),
        }

    def listed(self) -> dict[str, dict[str, float]]:
        return {
            name: {"nameplate": round(float(n), 1), "budget": round(float(b), 1)}
            for name, n, b in zip(self.names, self.nameplate, self.budget, strict=True)
        }


def _levels(topology: Topology) -> list[_Level]:
    """From racks up."""
    t, normal = topology, effect_of(topology)
    power, air = _of_server(t, "max_power_w"), _of_server(t, "max_airflow_cfm")
    rack = _sums(t.server_rack, power, len(t.racks))
    row = _sums(t.rack_row, rack, len(t.rows))
    flow, heat = (_sums(t.server_aisle, load, len(t.aisles)) for load in (air, power))
    return [
        _Level("rack", "power_w", t.racks, rack, normal.rack_budget_w),
        _Level("row", "power_w", t.rows, row, normal.row_budget_w),
        _Level("pdu", "power_w", t.pdus, t.on_pdus(rack), normal.pdu_capacity_w),
        _Level("ups", "power_w", t.upses, t.on_upses(rack), normal.ups_capacity_w),
        _Level("aisle", "airflow_cfm", t.aisles, flow, normal.aisle_airflow_capacity_cfm),
        _Level("aisle", "heat_w", t.aisles, heat, normal.aisle_heat_capacity_w),
    ]


def _rack_pairs(topology: Topology) -> list[str]:
    """Name the UPSs that feed each rack, such as ``U1+U2``."""
    servers = np.unique(topology.server_rack, return_index=True)[1]
    pairs, names = topology.server_ups_pair()
    return [names[i] for i in pairs[servers]]


def _racks_by_pair(topology: Topology) -> dict[str, int]:
    return _counted(_rack_pairs(topology))


def _counted(names: Iterable[str]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for name in names:
        counts[name] = counts.get(name, 0) + 1
    return dict(sorted(counts.items()))


def _plan(site: Site, topology: Topology, number: int) -> dict[str, Any]:
    """One room: what feeds which racks, and what stands where."""
    room = site.rooms[number]
    pair = dict(zip(topology.racks, _rack_pairs(topology), strict=True))
    racks = [rack for aisle in room.aisles for row in aisle.rows for rack in row.racks]
    on_pdu: dict[str, list[str]] = {pdu.name: [] for pdu in room.pdus}
    for rack in racks:
        for feed in rack.feeds:
            on_pdu[feed].append(pair[rack.name])
    return {
        "room": room.name,
        "upses": [
            {
                "name": ups.name,
                "rating_w": ups.rating_w,
                "budget_frac": ups.budget_frac,
                "pdus": [
                    {"name": pdu.name, "rating_w": pdu.rating_w, "racks_by_ups_pair": _counted(on_pdu[pdu.name])}
                    for pdu in room.pdus
                    if pdu.ups == ups.name
                ],
            }
            for ups in room.upses
        ],
        "aisles": [
            {
                "name": aisle.name,
                "ahu_shares": {
                    ahu.name: ahu.aisle_shares[aisle.name] for ahu in room.ahus if aisle.name in ahu.aisle_shares
                },
                "rows": [
                    {
                        "name": row.name,
                        "power_budget_w": row.power_budget_w,
                        "racks": {rack.name: pair[rack.name] for rack in row.racks},
                    }
                    for row in aisle.rows
                ],
            }
            for aisle in room.aisles
        ],
    }


def notes(topology: Topology) -> list[str]:
    """What is allowed in a site file but may surprise its owner."""
    return [*_single_points(topology), *_thin_supplies(topology), *_idle_excess(topology), *_unused(topology)]


def _single_points(topology: Topology) -> Iterator[str]:
    alone = [rack for rack, pair in zip(topology.racks, _rack_pairs(topology), strict=True) if "+" not in pair]
    if alone:
        yield f"{_these('rack', alone)}: fed by one UPS only, and dark when it is lost"


def _thin_supplies(topology: Topology) -> Iterator[str]:
    feeds = (topology.rack_feeds != NONE).sum(axis=1)[topology.server_rack]
    for number, name in enumerate(topology.hardware):
        hardware: Hardware = topology.site.hardware[name]
        of_it = feeds[topology.server_hardware == number]
        dark = int(((of_it > 1) & (hardware.psus * (of_it - 1) // of_it < hardware.psus_needed)).sum())
        if dark:
            yield (
                f"{dark:,} {name} servers go dark when one of their feeds is lost: "
                f"they need {hardware.psus_needed} of {hardware.psus} supplies"
            )


def _idle_excess(topology: Topology) -> Iterator[str]:
    """Budgets that not even idle servers keep."""
    idle = _sums(topology.server_rack, _of_server(topology, "idle_power_w"), len(topology.racks))
    row = _sums(topology.rack_row, idle, len(topology.rows))
    for kind, names, load, budget in (
        ("rack", topology.racks, idle, topology.rack_budget_w),
        ("row", topology.rows, row, topology.row_budget_w),
    ):
        over = [names[i] for i in np.flatnonzero(load > budget)]
        if over:
            yield f"{_these(kind, over)}: idle servers alone draw more than the power budget"


def _unused(topology: Topology) -> Iterator[str]:
    used = set(topology.rack_feeds.ravel().tolist())
    spare = [name for i, name in enumerate(topology.pdus) if i not in used]
    if spare:
        yield f"{_these('PDU', spare)}: feeds no rack"
    feeding = set(topology.pdu_ups.tolist())
    lone = [name for i, name in enumerate(topology.upses) if i not in feeding]
    if lone:
        yield f"{_these('UPS', lone)}: has no PDU"


def _these(kind: str, names: list[str]) -> str:
    more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
    return f"{kind} {', '.join(names[:_NAMED])}{more}"


def render_site(data: Mapping[str, Any], console: Console) -> None:
    """Print what :func:`figures` found."""
    console.print(data["summary"])
    console.print(_budget_table(data["budgets"]))
    plan = data["plan"]
    letters = _letters(plan)
    console.print(f"\nOne-line diagram of {plan['room']}: UPS ─ PDU ─ racks by the UPSs that feed them")
    for line in _diagram(plan):
        console.print(line)
    console.print(f"\nFloor plan of {plan['room']}: each letter a rack; " + _legend(letters))
    for line in _floor(plan, letters):
        console.print(line)
    others = data["counts"]["rooms"] - 1
    if others:
        console.print(f"\n… and {others} more room{'s' * (others > 1)}; --room NAME draws another")
    for note in data["notes"]:
        console.print(f"note: {note}")


def _budget_table(budgets: list[dict[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False)
    for title in ("", "number", "nameplate", "budget", "ratio", "tightest"):
        table.add_column(title, justify="left" if title in ("", "tightest") else "right")
    for line in budgets:
        scale, unit = (1.0, "CFM") if line["quantity"] == "airflow_cfm" else (1000.0, "kW")
        table.add_row(
            f"{line['kind']} {line['quantity'].rsplit('_', 1)[0]}",
            f"{line['number']:,}",
            f"{line['nameplate'] / scale:,.0f} {unit}",
            f"{line['budget'] / scale:,.0f} {unit}",
            f"{line['budget_over_nameplate']:.0%}",
            f"{line['tightest']} ({line['tightest_budget_over_nameplate']:.0%})",
        )
    return table


def _letters(plan: Mapping[str, Any]) -> dict[str, str]:
    """A letter for each set of UPSs, in the order in which they stand on the floor."""
    found = dict.fromkeys(pair for aisle in plan["aisles"] for row in aisle["rows"] for pair in row["racks"].values())
    return {pair: ascii_lowercase[i] if i < len(ascii_lowercase) else "?" for i, pair in enumerate(found)}


def _legend(letters: Mapping[str, str]) -> str:
    return ", ".join(f"{letter} = {pair}" for pair, letter in letters.items())


def _diagram(plan: Mapping[str, Any]) -> Iterator[str]:
    for ups in plan["upses"]:
        yield f"  {ups['name']}  {ups['rating_w'] / 1000:,.0f} kW, budget {ups['budget_frac']:.0%}"
        for pdu in ups["pdus"]:
            racks = ", ".join(f"{pair}: {number}" for pair, number in pdu["racks_by_ups_pair"].items())
            yield f"    └─ {pdu['name']}  {pdu['rating_w'] / 1000:,.0f} kW ─ {racks or 'no rack'}"


def _floor(plan: Mapping[str, Any], letters: Mapping[str, str]) -> Iterator[str]:
    for aisle in plan["aisles"]:
        shares = ", ".join(f"{share:.1%} of {name}" for name, share in aisle["ahu_shares"].items())
        yield f"  aisle {aisle['name']}  ← {shares}"
        for row in aisle["rows"]:
            racks = " ".join(letters[pair] for pair in row["racks"].values())
            yield f"    row {row['name']}  {row['power_budget_w'] / 1000:,.0f} kW  {racks}"
