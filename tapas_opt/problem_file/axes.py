"""What the arrays of a problem run over, so that a file in which they do not fit together is refused with reasons.

:data:`AXES` says it for each field: ``"vm -> type"`` is an array over VMs that holds numbers of types, and ``or none``
allows -1. A tuple of names, or of parts, gives its axis the length; where there is none, the first array does. An axis
that only a part of a list (a group, a family of budgets) names is that part's own. ``"server is kind"`` says that what
a part calls servers are kinds here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, is_dataclass
from typing import Any

import numpy as np

from tapas_opt.budgets.numbers import BudgetFamily, BudgetNumbers
from tapas_opt.domain.topology import NONE
from tapas_opt.errors import Fault
from tapas_opt.placement.hosts import Hosts
from tapas_opt.placement.problem import PlacementProblem, SpreadGroup
from tapas_opt.placement.promises.numbers import KeptBack, Promises, Reservation, TogetherIn
from tapas_opt.placement.scenarios.problem import DayLoads, Scenarios
from tapas_opt.placement.survival.problem import Secured, Survival
from tapas_opt.problem_file.codec import FAULTS_NAMED, hints_of
from tapas_opt.reconfiguration.horizon.problem import HorizonProblem
from tapas_opt.reconfiguration.problem import Choices, ReconfigurationProblem
from tapas_opt.routing.problem import RoutingProblem

__all__ = ["AXES", "axis_faults"]

AXES: Mapping[type, Mapping[str, str]] = {
    BudgetNumbers: {"slots": "slot"},
    BudgetFamily: {
        "domains": "domain",
        "member": "server place -> domain or none",
        "share_permille": "server place",
        "limit": "domain slot",
        "base": "domain slot",
        "can_bind": "domain slot",
    },
    PlacementProblem: {
        "vms": "vm",
        "servers": "server",
        "groups": "group",
        "vm_type": "vm -> type",
        "vm_priority": "vm",
        "vm_group": "vm -> group or none",
        "vm_spot": "vm",
        "type_power_w": "type hardware slot",
        "type_airflow_cfm": "type hardware slot",
        "type_gpu_power_w": "type hardware",
        "type_most_gpu_power_w": "type hardware",
        "type_fits": "type hardware",
        "server_hardware": "server -> hardware",
        "server_available": "server",
        "server_ceiling_w": "server",
    },
    TogetherIn: {"places": "home", "place_of": "server -> home", "present": "home"},
    Promises: {"vm_tenant": "vm", "levels": "level", "reservations": "reservation"},
    KeptBack: {"places": "kept", "place_of": "server -> kept or none", "evictable": "kept", "buffer": "kept"},
    Hosts: {"server": "server", "first_gpu": "server", "gpus": "server", "type_gpus": "type hardware"},
    Secured: {
        "family": "server is kind, domain is pair",
        "kind": "server -> kind",
        "scenarios": "scenario",
        "scenario_room": "scenario -> room",
        "scenario": "pair -> scenario",
        "groups": "relief_group",
        "group_scenario": "relief_group -> scenario",
        "group_of_kind": "kind place_of_kind -> relief_group or none",
        "group_pair": "relief_group place_of_group -> pair or none",
        "group_share_permille": "relief_group place_of_group",
        "tiers": "tier",
        "relief_price": "tier",
        "available": "relief_group tier slot",
        "type_relief": "type hardware tier slot",
    },
    Scenarios: {
        "days": "day",
        "families": "judged_by_days",
        "type_power_w": "type hardware day slot",
        "type_airflow_cfm": "type hardware day slot",
    },
    DayLoads: {"domains": "domain", "base": "domain day slot"},
    Survival: {"rooms": "room", "present_cost": "room"},
    Reservation: {"level": "-> level", "within": "level"},
    SpreadGroup: {"places": "place", "place_of": "server -> place", "present": "place"},
    RoutingProblem: {
        "instances": "instance",
        "servers": "server",
        "endpoints": "endpoint",
        "classes": "class",
        "instance_server": "instance -> server",
        "instance_endpoint": "instance -> endpoint",
        "class_endpoint": "class -> endpoint",
        "class_tokens_per_s": "class",
        "class_work_permille": "class",
        "instance_goodput": "instance",
        "breakpoints_permille": "breakpoint",
        "latency_cost": "instance segment",
        "power_w": "instance segment",
        "airflow_cfm": "instance segment",
        "gpu_power_w": "instance segment",
        "gpu_headroom_w": "instance",
    },
    Choices: {
        "names": "choice",
        "configuration": "choice",
        "level": "choice",
        "runs_on": "hardware choice",
        "goodput_tokens_per_s": "hardware choice",
        "power_w": "hardware choice",
        "airflow_cfm": "hardware choice",
        "gpu_power_w": "hardware choice",
        "quality_loss_permille": "choice",
        "performance_loss_permille": "choice",
    },
    ReconfigurationProblem: {
        "instances": "instance",
        "servers": "server",
        "endpoints": "endpoint",
        "instance_server": "instance -> server",
        "instance_endpoint": "instance -> endpoint",
        "instance_hardware": "instance -> hardware",
        "current": "instance -> choice",
        "allowed": "endpoint choice",
        "delay_s": "choice choice",
        "reload": "choice choice",
        "instance_tolerance_s": "instance",
        "server_ceiling_w": "server",
        "demand_tokens_per_s": "endpoint",
        "preferred_loss_permille": "endpoint",
    },
    HorizonProblem: {
        "demand_tokens_per_s": "endpoint slot",
    },
}
"""One line for each array, and for each tuple that gives an axis its names."""


@dataclass(frozen=True, slots=True)
class _Entry:
    """A field that runs over axes, where it stands in the file; ``names_axis`` if it is the first tuple of its axis."""

    where: str
    value: Any
    names_axis: bool
    axes: tuple[str, ...]
    into: str
    or_none: bool
    sizes: dict[str, int]


def axis_faults(problem: Any, where: str) -> list[Fault]:
    """Say which arrays have not the length that others give their axes, or hold numbers of what is not there."""
    entries = list(_entries(problem, where, {}))
    faults = [fault for entry in entries for fault in _length_faults(entry)]
    return faults or [fault for entry in entries for fault in _range_faults(entry)]


def _entries(item: Any, where: str, sizes: dict[str, int]) -> Iterator[_Entry]:
    """All fields that run over axes, those that name them first; ``sizes`` fills on the way."""
    stated = AXES.get(type(item), {})
    fields = {name: getattr(item, name) for name in hints_of(type(item))}
    parts = {name: value for name, value in fields.items() if is_dataclass(value)}
    own = [_entry(f"{where}.{name}", fields[name], text, sizes) for name, text in stated.items() if name not in parts]
    for name, part in parts.items():
        yield from _renamed(part, f"{where}.{name}", stated.get(name, ""), sizes)
    for entry in own:
        if isinstance(entry.value, np.ndarray) and entry.value.ndim == len(entry.axes):
            for axis, size in zip(entry.axes, entry.value.shape, strict=True):
                sizes.setdefault(axis, size)
    yield from (entry for entry in own if entry.value is not None)
    for name, value in fields.items():
        if isinstance(value, tuple):
            for n, part in enumerate(value):
                if is_dataclass(part):
                    yield from _entries(part, f"{where}.{name}[{n}]", dict(sizes))


def _renamed(part: Any, where: str, text: str, sizes: dict[str, int]) -> list[_Entry]:
    """The fields of a part, some of whose axes have other names outside."""
    names = dict(one.split(" is ") for one in text.split(", ") if one)
    within = {axis: size for axis, size in sizes.items() if axis not in names} if names else sizes
    found = list(_entries(part, where, within))
    sizes.update({outside: within[inside] for inside, outside in names.items() if inside in within})
    return found


def _entry(where: str, value: Any, text: str, sizes: dict[str, int]) -> _Entry:
    over, _, into = text.partition("-> ")
    axes = tuple(over.split())
    names_axis = isinstance(value, tuple) and axes[0] not in sizes
    if names_axis:
        sizes[axes[0]] = len(value)
    return _Entry(where, value, names_axis, axes, into.removesuffix(" or none"), into.endswith(" or none"), sizes)


def _length_faults(entry: _Entry) -> Iterator[Fault]:
    expected = tuple(entry.sizes[axis] for axis in entry.axes if axis in entry.sizes)
    if isinstance(entry.value, int):
        return
    if isinstance(entry.value, tuple):
        if (len(entry.value),) != expected:
            yield Fault(entry.where, f"has {len(entry.value)} members; must have {expected[0]}, one a {entry.axes[0]}")
        yield from _repeated(entry)
    elif entry.value.shape != expected:
        wanted = " × ".join(f"{entry.sizes.get(axis, '?')} ({axis})" for axis in entry.axes)
        yield Fault(entry.where, f"has shape {list(entry.value.shape)}; must have {wanted}")


def _repeated(entry: _Entry) -> Iterator[Fault]:
    seen: set[str] = set()
    for n, part in enumerate(entry.value if entry.names_axis else ()):
        name = part if isinstance(part, str) else getattr(part, "name", str(n))
        if name in seen:
            yield Fault(f"{entry.where}[{n}]", f"{name!r} is there twice; names must differ")
        seen.add(name)


def _range_faults(entry: _Entry) -> Iterator[Fault]:
    if not entry.into:
        return
    least, count = NONE if entry.or_none else 0, entry.sizes.get(entry.into, 0)
    values = np.asarray(entry.value)
    wrong = np.argwhere((values < least) | (values >= count))
    for at in wrong[:FAULTS_NAMED]:
        place = "".join(f"[{i}]" for i in at)
        yield Fault(
            f"{entry.where}{place}",
            f"{values[tuple(at)]}: there is no such {entry.into}; {_allowed(entry, count)}",
        )
    if len(wrong) > FAULTS_NAMED:
        yield Fault(entry.where, f"{len(wrong) - FAULTS_NAMED} more numbers likewise")


def _allowed(entry: _Entry, count: int) -> str:
    none = ", or -1 for none" if entry.or_none else ""
    return f"must be 0 to {count - 1}{none}" if count else f"there is none at all{none}"
