"""Placement in Pyomo: the textbook witness of :mod:`tapas_opt.placement.formulation`, over the same classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tapas_opt.budgets.reference import Term, add_budgets, drawn
from tapas_opt.placement.problem import Peak, PlacementClasses, PlacementProblem, SpreadGroup
from tapas_opt.placement.promises.reference import Taking, add_promises, may_join
from tapas_opt.placement.scenarios.reference import Share, add_tails
from tapas_opt.placement.spare import WHOLE_HOSTS
from tapas_opt.placement.survival.reference import Candidate, add_survival

if TYPE_CHECKING:
    import pyomo.environ as pyo

__all__ = ["reference"]


def reference(problem: PlacementProblem, classes: PlacementClasses) -> pyo.ConcreteModel:
    """Placement as algebra; every name is that of the arrays."""
    import pyomo.environ as pyo  # noqa: PLC0415

    m = pyo.ConcreteModel("placement")
    i = _Sets.of(problem, classes)
    _columns(m, i)
    terms = _terms(m, i, problem)
    _vm_placed_once(m, i)
    _server_gpu_capacity(m, i)
    add_budgets(m, classes.budgets, terms)
    add_tails(m, problem.scenarios, classes.tails, classes.budgets.slots, _shares(m, i, problem))
    _group_spread(m, i)
    _group_all_or_nothing(m, i)
    add_promises(m, problem, classes, _takings(m, i), i.vms_alike)
    _peak_utilisation(m, i, classes, terms)
    failures = add_survival(m, problem, _candidates(m, i, problem), terms)
    _objective(m, i, problem, failures)
    return m


@dataclass(frozen=True, slots=True)
class _Sets:
    """What the letters range over: ``vms[w]`` and ``servers[k]`` give the first member, ``…_alike`` how many there are.

    ``members[g]`` are the VM classes of a group, ``peaks`` the priced families.
    """

    vms: dict[str, int]
    servers: dict[str, int]
    vms_alike: dict[str, int]
    servers_alike: dict[str, int]
    pairs: list[tuple[str, str]]
    gpus: dict[str, int]
    taken: dict[tuple[str, str], int]
    groups: dict[str, SpreadGroup]
    members: dict[str, list[str]]
    peaks: dict[str, Peak]

    @classmethod
    def of(cls, problem: PlacementProblem, classes: PlacementClasses) -> _Sets:
        vms = dict(zip(classes.vm_names, classes.vms.first.tolist(), strict=True))
        servers = dict(zip(classes.server_names, classes.servers.first.tolist(), strict=True))
        return cls(
            vms=vms,
            servers=servers,
            vms_alike=dict(zip(vms, classes.vms.size.tolist(), strict=True)),
            servers_alike=dict(zip(servers, classes.servers.size.tolist(), strict=True)),
            pairs=[(w, k) for w, v in vms.items() for k, s in servers.items() if _eligible(problem, v, s)],
            gpus={k: int(problem.gpus[s]) for k, s in servers.items()},
            taken={(w, k): _taken(problem, v, s) for w, v in vms.items() for k, s in servers.items()},
            groups={group.name: group for group in problem.groups},
            members={
                group.name: [w for w, v in vms.items() if problem.vm_group[v] == g]
                for g, group in enumerate(problem.groups)
            },
            peaks={peak.family.constraint.value: peak for peak in classes.peaks},
        )

    def size(self, group: str) -> int:
        """VMs of the batch in a group."""
        return sum(self.vms_alike[w] for w in self.members[group])


def _eligible(problem: PlacementProblem, v: int, s: int) -> bool:
    """Free, large enough, the right hardware, and ``gpu_temperature_limit``: gpu_power_w[v,s] ≤ ceiling_w[s]."""
    kind, hardware = problem.vm_type[v], problem.server_hardware[s]
    return bool(
        problem.server_available[s]
        and problem.type_fits[kind, hardware]
        and problem.gpus[s] % _taken(problem, v, s) == 0
        and may_join(problem, v, s)
        and problem.type_gpu_power_w[kind, hardware] <= problem.server_ceiling_w[s]
    )


def _taken(problem: PlacementProblem, v: int, s: int) -> int:
    """GPUs that a VM takes of a server."""
    return int(problem.type_gpus[problem.vm_type[v], problem.server_hardware[s]])


def _columns(m: Any, i: _Sets) -> None:
    import pyomo.environ as pyo  # noqa: PLC0415

    whole = [g for g, group in i.groups.items() if group.all_or_nothing and i.members[g]]
    most = {(w, k): min(i.vms_alike[w], i.servers_alike[k] * i.gpus[k] // i.taken[w, k]) for w, k in i.pairs}
    m.assign = pyo.Var(i.pairs, domain=pyo.Integers, bounds=lambda _, w, k: (0, most[w, k]))
    parted = [k for k in i.servers if any(i.taken[w, k] < i.gpus[k] for w, at in i.pairs if at == k)]
    m.begun = pyo.Var(parted, domain=pyo.Integers, bounds=lambda _, k: (0, i.servers_alike[k]))
    m.left_over = pyo.Var(parted, domain=pyo.Integers, bounds=lambda _, k: (0, i.gpus[k] * i.servers_alike[k]))
    m.unplaced = pyo.Var(list(i.vms), domain=pyo.Integers, bounds=lambda _, w: (0, i.vms_alike[w]))
    m.peak_increase = pyo.Var(list(i.peaks), domain=pyo.Integers, bounds=lambda _, f: (0, i.peaks[f].most_increase))
    m.group_placed = pyo.Var(whole, domain=pyo.Binary)


def _takings(m: Any, i: _Sets) -> list[Taking]:
    """Which VMs may go where."""
    return [Taking(m.assign[w, k], w, i.vms[w], k, i.servers[k], i.taken[w, k]) for w, k in i.pairs]


def _terms(m: Any, i: _Sets, problem: PlacementProblem) -> list[Term]:
    """What one VM of class w draws on a server of class k."""
    terms = []
    for w, k in i.pairs:
        kind, hardware = problem.vm_type[i.vms[w]], problem.server_hardware[i.servers[k]]
        power, airflow = problem.type_power_w[kind, hardware], problem.type_airflow_cfm[kind, hardware]
        terms.append(Term(m.assign[w, k], i.servers[k], power.tolist(), airflow.tolist()))
    return terms


def _shares(m: Any, i: _Sets, problem: PlacementProblem) -> list[Share]:
    """Whose draw is known day by day."""
    return [
        Share(m.assign[w, k], i.servers[k], int(problem.vm_type[i.vms[w]]), int(problem.server_hardware[i.servers[k]]))
        for w, k in i.pairs
    ]


def _candidates(m: Any, i: _Sets, problem: PlacementProblem) -> list[Candidate]:
    """What may give relief: VMs of class w on servers of class k."""
    found = []
    for w, k in i.pairs:
        kind, server = int(problem.vm_type[i.vms[w]]), i.servers[k]
        hardware = int(problem.server_hardware[server])
        found.append(Candidate(m.assign[w, k], w, i.vms_alike[w], kind, server, hardware))
    return found


def _vm_placed_once(m: Any, i: _Sets) -> None:
    """Σ_k assign[w,k] + unplaced[w] = size[w]   ∀ w."""
    import pyomo.environ as pyo  # noqa: PLC0415

    def rule(m: Any, w: str) -> Any:
        return sum(m.assign[w, k] for k in i.servers if (w, k) in m.assign) + m.unplaced[w] == i.vms_alike[w]

    m.vm_placed_once = pyo.Constraint(list(i.vms), rule=rule)


def _server_gpu_capacity(m: Any, i: _Sets) -> None:
    """Σ_w gpus[w] · assign[w,k] ≤ gpus[k] · size[k]   ∀ k; where VMs take parts, what they leave over is counted."""
    import pyomo.environ as pyo  # noqa: PLC0415

    def rule(m: Any, k: str) -> Any:
        asking = [i.taken[w, k] * m.assign[w, k] for w in i.vms if (w, k) in m.assign]
        if k in m.begun:
            return sum(asking) + m.left_over[k] - i.gpus[k] * m.begun[k] == 0
        return sum(asking) <= i.gpus[k] * i.servers_alike[k] if asking else pyo.Constraint.Skip

    sizes = {f"{WHOLE_HOSTS}{size}": size for size in sorted({i.gpus[k] for k in m.begun})}
    m.server_gpu_capacity = pyo.Constraint(
        [*i.servers, *sizes],
        rule=lambda m, name: _whole_hosts(m, i, sizes[name]) if name in sizes else rule(m, name),
    )


def _whole_hosts(m: Any, i: _Sets, size: int) -> Any:
    """Hosts of a multiple of ``size`` GPUs are begun as a whole: r of what all parts ask for is lacking to such hosts.

    (size − r) · Σ left_over + r · (all that parts ask for − what they take there) ≥ r · (size − r).
    """
    import pyomo.environ as pyo  # noqa: PLC0415

    hosts = [k for k in m.begun if i.gpus[k] % size == 0]
    part = {(w, k): i.taken[w, k] % size for w, k in i.pairs if k in hosts}
    asked = sum(max(part.get((w, k), 0) for k in hosts) * alike for w, alike in i.vms_alike.items())
    lacking = -asked % size
    if not lacking:
        return pyo.Constraint.Skip
    elsewhere = asked - sum(gpus * m.assign[w, k] for (w, k), gpus in part.items())
    return (size - lacking) * sum(m.left_over[k] for k in hosts) + lacking * elsewhere >= lacking * (size - lacking)


def _group_spread(m: Any, i: _Sets) -> None:
    """Σ_{w∈g, k∈place} assign[w,k] ≤ max(0, max_per_place − present[place])   ∀ g, place that could be overfilled."""
    import pyomo.environ as pyo  # noqa: PLC0415

    def rule(m: Any, g: str, place: str) -> Any:
        group, p = i.groups[g], i.groups[g].places.index(place)
        there = [m.assign[w, k] for w, k in i.pairs if w in i.members[g] and group.place_of[i.servers[k]] == p]
        room = max(0, group.max_per_place - int(group.present[p]))
        return sum(there) <= room if there and i.size(g) > room else pyo.Constraint.Skip

    m.group_spread = pyo.Constraint([(g, place) for g, group in i.groups.items() for place in group.places], rule=rule)


def _group_all_or_nothing(m: Any, i: _Sets) -> None:
    """Σ_{w∈g} unplaced[w] + size[g] · group_placed[g] = size[g]   ∀ g that is all or nothing."""
    import pyomo.environ as pyo  # noqa: PLC0415

    def rule(m: Any, g: str) -> Any:
        return sum(m.unplaced[w] for w in i.members[g]) + i.size(g) * m.group_placed[g] == i.size(g)

    m.group_all_or_nothing = pyo.Constraint(list(m.group_placed), rule=rule)


def _peak_utilisation(m: Any, i: _Sets, classes: PlacementClasses, terms: list[Term]) -> None:
    """Σ share · draw · assign − step · peak_increase ≤ step · present − base   ∀ priced family, domain, slot."""
    import pyomo.environ as pyo  # noqa: PLC0415

    slots = list(classes.budgets.slots)
    index = [(f, domain, slot) for f, peak in i.peaks.items() for domain in peak.family.domains for slot in slots]

    def rule(m: Any, f: str, domain: str, slot: str) -> Any:
        peak = i.peaks[f]
        d, t = peak.family.domains.index(domain), slots.index(slot)
        if not peak.can_rise[d, t]:
            return pyo.Constraint.Skip
        step, base = int(peak.step[d, t]), int(peak.family.base[d, t])
        return drawn(peak.family, terms, d, t) - step * m.peak_increase[f] <= step * peak.present - base

    m.peak_utilisation = pyo.Constraint(index, rule=rule)


def _unplaced_price(problem: PlacementProblem, v: int) -> int:
    """By priority; less for a VM that can be evicted."""
    permille = problem.prices.spot_permille if problem.is_spot[v] else 1000
    return problem.prices.unplaced_vm * permille // 1000 * int(problem.vm_priority[v])


def _objective(m: Any, i: _Sets, problem: PlacementProblem, failures: Any) -> None:
    """Unplaced VMs by priority, rise of the peaks, lost temperature slack, spare ceilings and GPUs, and failures."""
    import pyomo.environ as pyo  # noqa: PLC0415

    prices, temperature = problem.prices, problem.temperature_cost()
    unplaced = sum(_unplaced_price(problem, v) * m.unplaced[w] for w, v in i.vms.items())
    peaks = sum(peak.price * m.peak_increase[f] for f, peak in i.peaks.items())
    warm = sum(int(temperature[problem.vm_type[i.vms[w]], i.servers[k]]) * m.assign[w, k] for w, k in i.pairs)
    spare = sum(prices.spare_gpu * m.left_over[k] for k in m.left_over)
    m.cost = pyo.Objective(expr=unplaced + peaks + warm + spare + failures, sense=pyo.minimize)
