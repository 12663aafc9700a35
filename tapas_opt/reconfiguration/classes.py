"""What each kind of instance may become, and which instances are interchangeable."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tapas_opt.budgets.classes import Classes, alike, classes_of
from tapas_opt.budgets.numbers import BudgetFamily, BudgetNumbers
from tapas_opt.domain.failure import PERMILLE
from tapas_opt.reconfiguration.dominance import undominated
from tapas_opt.reconfiguration.problem import Aim, ReconfigurationProblem

__all__ = ["Options", "ReconfigurationClasses", "looks_of", "of_instances", "options_of", "reconfiguration_classes"]

IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Options:
    """What each kind of instance may become; a kind is alike in all but the domains it stands in. Index letter k.

    Attributes
    ----------
    kinds
        The instances by kind.
    kept
        ``[kind, choice]`` eligible and not dominated; the present choice is kept where it is eligible.
    goodput_tokens_per_s, power_w, airflow_cfm
        ``[kind, choice]`` goodput, and the draw that counts.
    quality, energy, changes, iaas_performance
        ``[kind, choice]`` terms of its cost.
    counts_as_change
        ``[kind, choice]`` whether it counts against ``change_budget``.
    """

    kinds: Classes
    kept: BoolArray
    goodput_tokens_per_s: IntArray
    power_w: IntArray
    airflow_cfm: IntArray
    quality: IntArray
    energy: IntArray
    changes: IntArray
    iaas_performance: IntArray
    counts_as_change: BoolArray

    @property
    def cost(self) -> IntArray:
        """``[kind, choice]`` what an instance of the kind costs, demand apart."""
        return self.quality + self.energy + self.changes + self.iaas_performance

    def most(self, draw: IntArray) -> IntArray:
        """``[kind]`` the most that a kept choice draws."""
        return np.asarray(draw.max(axis=1, where=self.kept, initial=0))


def options_of(problem: ReconfigurationProblem) -> Options:
    """Tabulate the choices of each kind of instance, without those that are dominated."""
    kinds, eligible, late = _kinds(problem)
    options = _costed(problem, kinds, eligible, late)
    reload = problem.reload[problem.current[kinds.first]]
    for k in range(kinds.count):
        possible = np.flatnonzero(options.kept[k])
        kept = undominated(
            np.stack(
                [
                    -options.goodput_tokens_per_s[k, possible],
                    options.power_w[k, possible],
                    options.airflow_cfm[k, possible],
                    options.cost[k, possible],
                    options.counts_as_change[k, possible],
                    reload[k, possible],
                ],
                axis=1,
            )
        )
        options.kept[k, possible] = kept | (possible == problem.current[kinds.first[k]])
    return options


def _kinds(problem: ReconfigurationProblem) -> tuple[Classes, BoolArray, BoolArray]:
    """Kinds of instances, and ``[kind, choice]`` what each may become and what would come too late to relieve.

    Of those that look alike only the first is asked what it may become: sites have many instances, and few looks.
    """
    looks = looks_of(problem)
    asked = of_instances(problem, looks.first)
    eligible, late = asked.eligible(), asked.late()
    bits = [np.packbits(what, axis=1) for what in (eligible, late & eligible)]
    kinds = alike(asked.instance_endpoint, asked.current, asked.instance_hardware, *bits)
    of = kinds.of[looks.of]
    whole = Classes(of, looks.first[kinds.first], np.bincount(of, minlength=kinds.count))
    return whole, eligible[kinds.first], late[kinds.first]


def looks_of(problem: ReconfigurationProblem) -> Classes:
    """Instances of which whatever one may become the others may as well."""
    return alike(
        problem.instance_endpoint,
        problem.current,
        problem.instance_hardware,
        problem.instance_tolerance_s,
        problem.server_ceiling_w[problem.instance_server],
    )


def of_instances(problem: ReconfigurationProblem, some: IntArray) -> ReconfigurationProblem:
    """The problem of some of the instances."""
    return replace(
        problem,
        instances=tuple(problem.instances[i] for i in some),
        instance_server=problem.instance_server[some],
        instance_endpoint=problem.instance_endpoint[some],
        instance_hardware=problem.instance_hardware[some],
        current=problem.current[some],
        instance_tolerance_s=problem.instance_tolerance_s[some],
    )


def _costed(problem: ReconfigurationProblem, kinds: Classes, eligible: BoolArray, late: BoolArray) -> Options:
    choices, prices = problem.choices, problem.prices
    hardware, current = problem.instance_hardware[kinds.first], problem.current[kinds.first]
    each = np.arange(kinds.count)
    changed = np.arange(len(choices.names)) != current[:, None]
    loads = problem.reload[current].copy()
    loads[:, choices.parked] = True  # what parks has to load them once it comes back
    counts = changed & eligible[each, current, None]
    goodput = choices.goodput_tokens_per_s[hardware]
    lost = problem.quality_loss_permille()[problem.instance_endpoint[kinds.first]]
    power, airflow = choices.power_w[hardware], choices.airflow_cfm[hardware]
    power = np.where(late, np.maximum(power, power[each, current, None]), power)
    airflow = np.where(late, np.maximum(airflow, airflow[each, current, None]), airflow)
    slower = np.zeros_like(choices.quality_loss_permille)
    if choices.performance_loss_permille is not None:
        slower = choices.performance_loss_permille
    least = power.min(axis=1, where=eligible, initial=np.iinfo(np.int64).max)
    return Options(
        kinds=kinds,
        kept=eligible.copy(),
        goodput_tokens_per_s=goodput,
        power_w=power,
        airflow_cfm=airflow,
        quality=prices.quality_permille_token_per_s * lost * goodput,
        energy=prices.energy_w * np.where(eligible, power - least[:, None], 0),
        changes=prices.change * counts + prices.reload * (changed & loads),
        iaas_performance=np.broadcast_to(prices.iaas_permille * slower, counts.shape),
        counts_as_change=counts,
    )


@dataclass(frozen=True, slots=True)
class ReconfigurationClasses:
    """Interchangeable instances: of one kind, and drawing on the same domains.

    Attributes
    ----------
    kind
        ``[class]`` index into the options.
    budgets
        Without the domains that these instances cannot fill, so that more of them are alike.
    excess_limit
        For each budget family, ``[domain]`` the most that may be declared there.
    """

    instances: Classes
    kind: IntArray
    options: Options
    budgets: BudgetNumbers
    excess_limit: tuple[IntArray, ...]


def reconfiguration_classes(problem: ReconfigurationProblem) -> ReconfigurationClasses:
    """Group instances that are interchangeable."""
    options = options_of(problem)
    most_power = _most_of_servers(problem, options, options.power_w)
    most_airflow = _most_of_servers(problem, options, options.airflow_cfm)
    budgets = problem.budgets.without_slack_domains(most_power, most_airflow)
    instances = classes_of(budgets, problem.instance_server, options.kinds.of)
    limits = tuple(
        _excess_limit(problem, family, family.counted(most_power, most_airflow)) for family in problem.budgets.families
    )
    return ReconfigurationClasses(instances, options.kinds.of[instances.first], options, budgets, limits)


def _most_of_servers(problem: ReconfigurationProblem, options: Options, draw: IntArray) -> IntArray:
    """``[server, slot]`` the most that its instances can draw together."""
    most = np.zeros((len(problem.servers), len(problem.budgets.slots)), dtype=np.int64)
    np.add.at(most, problem.instance_server, options.most(draw)[options.kinds.of, None])
    return most


def _excess_limit(problem: ReconfigurationProblem, family: BudgetFamily, most: IntArray) -> IntArray:
    """``[domain]`` the most that could be over; under aim COST no more than allowed."""
    worst = np.maximum(0, -((PERMILLE * family.room - family.drawn_permille(most)) // PERMILLE).min(axis=1))
    if problem.aim is Aim.EXCESS:
        return np.asarray(worst)
    allowed = [problem.allowed_excess.get((family.constraint, domain), 0) for domain in family.domains]
    return np.asarray(np.minimum(worst, np.array(allowed, dtype=np.int64)))
