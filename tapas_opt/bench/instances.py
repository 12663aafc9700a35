"""Problems of any size at fixed seeds, on which solvers are compared.

All come from generated sites with the demo's mix of VMs and models, stated by the same code as the service's own. The
reconfiguration is then made harder than a generated site is: twelve endpoints, six thermal classes, and many racks,
rows, PDUs and aisles that are allowed less than they draw, so that limits bind everywhere and not in one room only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tapas_opt.budgets.numbers import BudgetNumbers
from tapas_opt.control.controller import Controller, Settings
from tapas_opt.control.events import VmOnServer, VmsAdopted
from tapas_opt.control.profiles import Profiles
from tapas_opt.domain.failure import PERMILLE, Failure, FailureKind
from tapas_opt.domain.result import Constraint
from tapas_opt.domain.site_generator import generate_site
from tapas_opt.domain.topology import Topology
from tapas_opt.domain.workload import Endpoint, Group, Reservation, Slo, SpreadOver, Vm, VmKind
from tapas_opt.errors import Fault, InvalidInput
from tapas_opt.learn.models import LearnedModels
from tapas_opt.mip.worker import Workers
from tapas_opt.placement.problem import PlacementProblem
from tapas_opt.plant.workload import ENDPOINTS, Workload
from tapas_opt.reconfiguration.problem import ReconfigurationProblem, Stage
from tapas_opt.routing.problem import RoutingProblem
from tapas_opt.telemetry.profiles.read import read_profiles

__all__ = ["INSTANCES", "PEAK_S", "PROBLEMS", "Making", "filled_site", "instance", "instances_of"]

IntArray = NDArray[np.int64]

FILLED_FRAC = 0.7
BATCH = 32
SITE_FILLED_FRAC = 0.8
GROUPS_COUNT = 4
COOLER_W = (-20, 0, 20, 40)
"""By how much the ceilings of an aisle differ from what the demo's models say of the warmest weather."""

PEAK_S = 15 * 3600.0
"""Monday at three in the afternoon, when endpoints are asked for most."""

ENDPOINTS_COUNT = 12
CEILINGS_W = (250, 280, 300, 330, 360, 400)
SERVED_FRAC = (0.58, 0.92)
ALLOWED_FRAC = (0.8, 0.97)
TIGHT_SHARE: Mapping[Constraint, float] = {
    Constraint.RACK_POWER_BUDGET: 0.02,
    Constraint.ROW_POWER_BUDGET: 0.2,
    Constraint.PDU_POWER_BUDGET: 0.2,
    Constraint.AISLE_AIRFLOW_CAPACITY: 0.1,
    Constraint.AISLE_HEAT_CAPACITY: 0.05,
}
"""Share of the domains of a family that are made tight."""

ASKED_FRAC = (0.75, 1.05)
HEADROOMS_W = (100, 150, 200, 260, 300)
LOAD_ALLOWED_FRAC = (0.5, 0.9)
"""Of a tight routing plan: demand of an endpoint by its goodput, watts below GPUs' ceilings, and what tight domains are
allowed of what full load would draw."""


@dataclass(frozen=True, slots=True)
class Making:
    """What an instance is made from.

    Attributes
    ----------
    models, profiles
        Folder of learned models, and file of profiles.
    """

    servers: int
    seed: int
    models: Path
    profiles: Path


def instance(name: str, making: Making) -> Any:
    """State the instance called ``name``; the same again for the same ``making``.

    Raises
    ------
    InvalidInput
        There is no such instance.
    """
    if name not in INSTANCES:
        raise InvalidInput.one("bench", "instance", f"{name!r} does not exist; there are {', '.join(INSTANCES)}")
    return INSTANCES[name](making)


def instances_of(problems: list[str]) -> list[str]:
    """Names of the instances of some problems; an instance may also be named itself.

    Raises
    ------
    InvalidInput
        Listing every name that is neither.
    """
    known = {**PROBLEMS, **{name: (name,) for name in INSTANCES}}
    wrong = [name for name in problems if name not in known]
    if wrong:
        may_be = f"must be one of {', '.join(known)}"
        raise InvalidInput("bench", [Fault("problem", f"{name!r}: {may_be}") for name in wrong])
    return list(dict.fromkeys(made for name in problems for made in known[name]))


def filled_site(
    making: Making, filled_frac: float, settings: Settings | None = None, workers: Workers | None = None
) -> Controller:
    """A generated site with its endpoints, filled evenly with VMs."""
    profiles = Profiles(read_profiles(making.profiles))
    controller = Controller(
        generate_site(making.servers), LearnedModels.load(making.models), profiles, settings=settings, workers=workers
    )
    for name, configuration in ENDPOINTS.items():
        controller.apply(controller.put_endpoint(Endpoint(name, Slo(5.0, 0.5), configuration)))
    names = controller.fleet.topology.servers
    vms = Workload(seed=making.seed).initial_vms(int(filled_frac * len(names)))
    if vms:
        every = len(names) / len(vms)
        controller.apply([VmsAdopted(tuple(VmOnServer(vm, names[int(i * every)]) for i, vm in enumerate(vms)))])
    return controller


def _placement_batch(making: Making) -> PlacementProblem:
    """A batch of 32 VMs onto a site filled to seven tenths, all hours of the week."""
    return _placement(filled_site(making, FILLED_FRAC, Settings(week=True)), making, BATCH)


def _placement_site(making: Making) -> PlacementProblem:
    """VMs for eight tenths of an empty site, the hours of the day."""
    return _placement(filled_site(making, 0.0), making, int(SITE_FILLED_FRAC * making.servers))


def _placement(controller: Controller, making: Making, count: int) -> PlacementProblem:
    """New VMs of many kinds onto the site, some of whose aisles are cooler than others; two reservations hold."""
    for reservation in _reservations(controller.fleet.topology):
        controller.apply(controller.put_reservation(reservation))
    random = np.random.default_rng([making.seed, 2])
    workload = Workload(seed=making.seed)
    vms = [_varied(workload.vm(f"new-{i:06d}"), i, random) for i in range(count)]
    groups = [group for group in _groups() if any(vm.group == group.name for vm in vms)]
    problem = controller.placement_problem(vms, groups, now_s=PEAK_S)
    topology = controller.fleet.topology
    cooler_w = random.choice(COOLER_W, len(topology.aisles))[topology.server_aisle]
    noise_w = 10 * random.integers(-1, 2, len(topology.servers))
    number = {name: s for s, name in enumerate(topology.servers)}
    named = problem.servers if problem.hosts is None else problem.hosts.server
    on = np.array([number[name] for name in named])
    return replace(problem, server_ceiling_w=problem.server_ceiling_w + (cooler_w + noise_w)[on])


def _varied(vm: Vm, i: int, random: np.random.Generator) -> Vm:
    """Some in groups, one in ten evictable, one tenant's VM in eight on half a server, three priorities."""
    grouped = f"group{i % GROUPS_COUNT}" if i < 8 * GROUPS_COUNT and i % 8 < 4 else None
    gpus: Literal[4] | None = 4 if vm.kind is VmKind.IAAS and i % 8 == 7 else None
    return replace(vm, group=grouped, spot=i % 10 == 9, priority=int(random.choice((3, 5, 8))), gpus=gpus)


def _groups() -> list[Group]:
    """Replicas that must not share a rack, and jobs that are of use only as a whole."""
    return [Group(f"group{g}", spread_over=SpreadOver.RACK, all_or_nothing=g % 2 == 0) for g in range(GROUPS_COUNT)]


def _reservations(topology: Topology) -> list[Reservation]:
    """A hundredth of the servers promised to a tenant, and as many free in the first room for failover."""
    hardware, count = topology.hardware[0], max(1, len(topology.servers) // 100)
    return [
        Reservation("promised", hardware, count, tenant="tenant01"),
        Reservation("failover", hardware, count, room=topology.rooms[0]),
    ]


def _routing(making: Making) -> RoutingProblem:
    """The routing plan of a site filled to seven tenths at its peak."""
    controller = filled_site(making, FILLED_FRAC)
    return controller.router.problem(controller.forecast_next_hour(now_s=PEAK_S))


def _routing_tight(making: Making) -> RoutingProblem:
    """The same with twelve endpoints, hot servers and domains that are allowed less than all their load would draw."""
    problem = _routing(making)
    random = np.random.default_rng([making.seed, 3])
    several = ENDPOINTS_COUNT // len(problem.endpoints)
    endpoint = problem.instance_endpoint * several + random.integers(0, several, len(problem.instances))
    goodput = np.bincount(endpoint, problem.instance_goodput, ENDPOINTS_COUNT)
    names = tuple(f"endpoint{e:02d}" for e in range(ENDPOINTS_COUNT))
    sizes = [name.rpartition("/")[2] for name in problem.classes[: len(problem.classes) // len(problem.endpoints)]]
    share = random.uniform(*ASKED_FRAC, ENDPOINTS_COUNT)[:, None] * random.dirichlet(np.ones(len(sizes)), len(names))
    return replace(
        problem,
        instance_endpoint=endpoint,
        endpoints=names,
        classes=tuple(f"{name}/{size}" for name in names for size in sizes),
        class_endpoint=np.repeat(np.arange(ENDPOINTS_COUNT), len(sizes)),
        class_tokens_per_s=np.ceil(share * goodput[:, None]).astype(np.int64).ravel(),
        class_work_permille=np.tile(problem.class_work_permille[: len(sizes)], ENDPOINTS_COUNT),
        gpu_headroom_w=random.choice(HEADROOMS_W, len(problem.instances)),
        budgets=_tight_budgets(problem.budgets, partial(_drawn_by_load, problem), random, LOAD_ALLOWED_FRAC),
    )


def _drawn_by_load(problem: RoutingProblem, unit: str) -> IntArray:
    """``[server]`` what all instances add at full load."""
    added = problem.power_w if unit == "W" else problem.airflow_cfm
    return np.bincount(problem.instance_server, added.sum(axis=1), len(problem.servers)).astype(np.int64)


def _reconfiguration(stage: Stage) -> Callable[[Making], ReconfigurationProblem]:
    def made(making: Making) -> ReconfigurationProblem:
        controller = filled_site(making, FILLED_FRAC)
        failed = [Failure(FailureKind.UPS, controller.fleet.topology.upses[1])]
        return _tightened(controller.reconfiguration_problem(stage, failed, now_s=PEAK_S), making.seed)

    made.__doc__ = f"Stage {stage.value} after the loss of a UPS, where many limits bind."
    return made


def _tightened(problem: ReconfigurationProblem, seed: int) -> ReconfigurationProblem:
    random = np.random.default_rng(seed)
    several = ENDPOINTS_COUNT // len(problem.endpoints)
    endpoint = problem.instance_endpoint * several + random.integers(0, several, len(problem.instances))
    served = problem.choices.goodput_tokens_per_s[problem.instance_hardware, problem.current]
    share = random.uniform(*SERVED_FRAC, ENDPOINTS_COUNT)
    preferred = problem.preferred_loss_permille
    return replace(
        problem,
        instance_endpoint=endpoint,
        endpoints=tuple(f"endpoint{e:02d}" for e in range(ENDPOINTS_COUNT)),
        allowed=np.repeat(problem.allowed, several, axis=0),
        preferred_loss_permille=None if preferred is None else np.repeat(preferred, several),
        server_ceiling_w=np.minimum(problem.server_ceiling_w, random.choice(CEILINGS_W, len(problem.servers))),
        demand_tokens_per_s=np.ceil(share * np.bincount(endpoint, served, ENDPOINTS_COUNT)).astype(np.int64),
        budgets=_tight_budgets(problem.budgets, partial(_drawn_now, problem), random, ALLOWED_FRAC),
    )


def _drawn_now(problem: ReconfigurationProblem, unit: str) -> IntArray:
    """``[server]`` what all instances draw as they are."""
    drawn = np.zeros(len(problem.servers), dtype=np.int64)
    np.add.at(drawn, problem.instance_server, problem.counted(problem.current, unit))
    return drawn


def _tight_budgets(
    budgets: BudgetNumbers,
    drawn: Callable[[str], IntArray],
    random: np.random.Generator,
    allowed_frac: tuple[float, float],
) -> BudgetNumbers:
    """Some domains of each family are allowed less than servers draw on them; ``drawn(unit)`` is ``[server]``."""
    families = []
    for family in budgets.families:
        by_slot = np.repeat(drawn(family.unit)[:, None], len(budgets.slots), axis=1)
        on_domain = family.drawn_permille(by_slot) // PERMILLE
        tight = random.random(len(family.domains))[:, None] < TIGHT_SHARE.get(family.constraint, 0.0)
        part = random.uniform(*allowed_frac, (len(family.domains), 1))
        allowed = family.base + np.ceil(on_domain * part).astype(np.int64)
        families.append(replace(family, limit=np.where(tight & (on_domain > 0), allowed, family.limit)))
    return replace(budgets, families=tuple(families))


INSTANCES: Mapping[str, Callable[[Making], Any]] = {
    "reconfiguration-now": _reconfiguration(Stage.NOW),
    "reconfiguration-settled": _reconfiguration(Stage.SETTLED),
    "placement-batch": _placement_batch,
    "placement-site": _placement_site,
    "routing-calm": _routing,
    "routing-tight": _routing_tight,
}
"""Every instance by its name."""

PROBLEMS: Mapping[str, tuple[str, ...]] = {
    "reconfiguration": ("reconfiguration-now", "reconfiguration-settled"),
    "placement": ("placement-batch", "placement-site"),
    "routing": ("routing-calm", "routing-tight"),
}
"""The instances of each problem."""
