"""From a fleet and a forecast to a reconfiguration over the coming hour, slot by slot."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tapas_opt.budgets.numbers import BudgetNumbers, budget_numbers, joined
from tapas_opt.control.actuation import Actuation
from tapas_opt.control.conditions import HOUR_S, HOURS
from tapas_opt.control.demand import MOST_GROWTH
from tapas_opt.control.forecast import Forecast
from tapas_opt.control.reconfiguring import FILL_FRAC, reconfiguration_problem
from tapas_opt.errors import InvalidInput
from tapas_opt.reconfiguration.horizon.problem import HorizonProblem
from tapas_opt.reconfiguration.problem import ReconfigurationProblem, Stage

__all__ = ["MOST_SLOTS", "SLOT_S", "first_slot", "horizon_problem"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

SLOT_S = 300.0
"""As long as a large model loads."""

MOST_SLOTS = 12
"""An hour: what is measured now says little of later ones, which templates say as well."""

MOST_SERVERS = 1_000
"""Sites beyond are planned for the worst of the coming hour, as without a horizon."""


def horizon_problem(forecast: Forecast, actuation: Actuation, slots: int) -> HorizonProblem:
    """State who changes to what, and when, in the coming slots of five minutes.

    Demand and draws follow the learned templates from what is measured now: between the middles of two hours they go
    straight. A VM without a template of its own has its tenant's or endpoint's.

    Raises
    ------
    InvalidInput
        Too many slots, or too many servers.
    """
    _require_size(forecast, slots)
    now = reconfiguration_problem(forecast, Stage.SETTLED, actuation)
    movable = frozenset(now.instances)
    profiles = forecast.profiles.all
    reload_s = max((profile.reload_s for profile in profiles), default=0.0) + actuation.drain_s
    demand = [_demand(forecast, name, slots) for name in now.endpoints]
    return HorizonProblem(
        now=replace(now, budgets=_budgets(forecast, movable, slots)),
        demand_tokens_per_s=np.array(demand, dtype=np.int64).reshape(len(now.endpoints), slots),
        reload_slots=max(1, int(np.ceil(reload_s / SLOT_S))),
    )


def first_slot(problem: HorizonProblem) -> ReconfigurationProblem:
    """The first slot alone: what is published is a plan for it."""
    budgets = problem.now.budgets
    families = tuple(replace(f, limit=f.limit[:, :1], base=f.base[:, :1]) for f in budgets.families)
    one = BudgetNumbers(budgets.slots[:1], families)
    return replace(problem.now, budgets=one, demand_tokens_per_s=problem.demand_tokens_per_s[:, 0])


def _require_size(forecast: Forecast, slots: int) -> None:
    servers = len(forecast.fleet.topology.servers)
    if not 1 <= slots <= MOST_SLOTS:
        raise InvalidInput.one("horizon", "slots", f"{slots}: must be 1 to {MOST_SLOTS}, of {SLOT_S:g} s each")
    if servers > MOST_SERVERS:
        what = f"the site has {servers} servers; more than {MOST_SERVERS} are planned without a horizon: leave it out"
        raise InvalidInput.one("horizon", "slots", what)


def _middles(forecast: Forecast, slots: int) -> FloatArray:
    """``[1 + slot]`` hours since the middle of the hour before: now, and the middle of each slot."""
    seconds = np.append(0.0, SLOT_S * (np.arange(slots) + 0.5))
    return (forecast.now_s % HOUR_S + seconds) / HOUR_S + 0.5


def _hours(forecast: Forecast) -> IntArray:
    """The hour before, this one and the two after it, of the week."""
    return (forecast.hour + np.arange(-1, 3)) % HOURS


def _along(values: FloatArray, middles: FloatArray) -> FloatArray:
    """``[…, 1 + slot]`` values of four hours, straight between their middles."""
    before = np.floor(middles).astype(np.int64)
    part = middles - before
    return values[..., before] * (1.0 - part) + values[..., before + 1] * part


def _demand(forecast: Forecast, endpoint: str, slots: int) -> IntArray:
    """``[slot]`` tokens/s: what is asked now, grown as the template from its centre now to its upper bound then."""
    if endpoint not in forecast.fleet.endpoints:
        return np.zeros(slots, dtype=np.int64)
    hours, middles = _hours(forecast), _middles(forecast, slots)
    central = _along(forecast.models.load_central_frac(endpoint)[hours], middles)[0]
    upper = _along(forecast.models.load_upper_frac(endpoint)[hours], middles)[1:]
    growth = np.minimum(MOST_GROWTH, upper / central) if central > 0 else np.ones(slots)
    growth[0] = max(1.0, growth[0])
    return np.ceil(forecast.demand_tokens_per_s(endpoint) * growth / FILL_FRAC).astype(np.int64)


def _budgets(forecast: Forecast, movable: frozenset[str], slots: int) -> BudgetNumbers:
    """What is drawn now and the predicted rise from now; the margin grows from that of now to that of predictions."""
    hours, middles = _hours(forecast)[:, None], _middles(forecast, slots)
    drawn = []
    for present, predicted in zip(forecast.present_draw(movable), forecast.server_draw(hours, movable), strict=True):
        along = _along(predicted, middles)
        drawn.append(np.maximum(0.0, present + along[:, 1:] - along[:, :1]))
    power, airflow = drawn
    topology, effect = forecast.fleet.topology, forecast.effect
    parts = []
    for t in range(slots):
        ahead = t * SLOT_S / HOUR_S
        margins = {
            constraint: near + ahead * (forecast.margins[constraint] - near)
            for constraint, near in forecast.present_margins.items()
        }
        at = slice(t, t + 1)
        parts.append(budget_numbers(topology, effect, (f"s{t:02d}",), power[:, at], airflow[:, at], margins))
    return joined(parts)
