"""How much more than predicted or measured each domain may draw."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tapas_opt.budgets.numbers import Margins, budget_numbers
from tapas_opt.control.draws import NOBODY, Draws
from tapas_opt.control.telemetry import FRESH_S
from tapas_opt.domain.result import Constraint
from tapas_opt.domain.topology import Topology

__all__ = ["MEASURED_MARGIN_FRAC", "DomainMargins"]

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

MEASURED_MARGIN_FRAC = 0.02
"""The least that a domain may draw in the next minutes above what its servers are measured to draw now.

How much it may rise is learned from history, and from what the service sees of its own once that is enough
(:mod:`~tapas_opt.control.rises`); it is never taken as more than the domain's margin on predictions.

It holds where every server has a fresh reading. Where readings have aged or are missing, the part of the prediction's
variance that they leave open comes back: m = m_now + (m_learned − m_now)·√(Σ_s P_s·u_s / Σ_s P_s), with u_s from
:func:`~tapas_opt.control.telemetry.aged_frac`. Independent errors of servers add up as their variances do.
"""

MARGIN_KINDS: Mapping[Constraint, str] = {
    Constraint.RACK_POWER_BUDGET: "rack",
    Constraint.ROW_POWER_BUDGET: "row",
    Constraint.PDU_POWER_BUDGET: "pdu",
    Constraint.UPS_POWER_CAPACITY: "ups",
    Constraint.AISLE_AIRFLOW_CAPACITY: "aisle",
    Constraint.AISLE_HEAT_CAPACITY: "aisle",
}


class DomainMargins(Draws):
    """Margins of domains in a forecast."""

    @cached_property
    def margins(self) -> Margins:
        """Relative margin of every domain on predictions over its week, as learned."""
        return {
            constraint: np.array([self.models.domain_margin_frac(MARGIN_KINDS[constraint], name) for name in domains])
            for constraint, domains in _domains(self.fleet.topology).items()
        }

    @cached_property
    def present_margins(self) -> Margins:
        """Relative margin on :meth:`present_draw`: small where servers are measured, as learned where they are not."""
        margins = {}
        for constraint, learned in self.margins.items():
            known = np.minimum(learned, np.maximum(self._rise_frac(constraint), MEASURED_MARGIN_FRAC))
            margins[constraint] = known + (learned - known) * self._open_fracs.get(constraint, 0.0)
        return margins

    @cached_property
    def _open_fracs(self) -> Mapping[Constraint, FloatArray]:
        """``[domain]`` how much of its prediction's deviation readings leave open; nothing where all are fresh."""
        open_w = self._open_frac("server_power_w", self.tracked.power_disbelieved)
        open_cfm = self._open_frac("airflow_cfm", self.tracked.airflow_disbelieved)
        if not open_w.any() and not open_cfm.any():
            return {}
        power, airflow = (drawn[:, :1] for drawn in self._predicted(NOBODY))
        families = budget_numbers(self.fleet.topology, self.effect, ("now",), power, airflow, {}).families
        fracs = {}
        for family in families:
            predicted, left_open = family.counted(power, airflow), family.counted(open_w, open_cfm)[:, None]
            drawn = family.drawn_permille(np.ceil(predicted).astype(np.int64))
            opened = family.drawn_permille(np.ceil(predicted * left_open).astype(np.int64))
            fracs[family.constraint] = np.sqrt(np.clip(opened / np.maximum(drawn, 1), 0.0, 1.0))[:, 0]
        return fracs

    def _open_frac(self, quantity: str, stuck: BoolArray) -> FloatArray:
        """``[server]`` how much of its prediction's variance is left open by what was measured of it."""
        return np.where(stuck, 1.0, self.latest.aged_frac(quantity, self.fleet.topology.servers, self.now_s))

    def _rise_frac(self, constraint: Constraint) -> FloatArray:
        """``[domain]`` how much it rises within minutes: as seen by this service, or until then as in history."""
        kind, domains = MARGIN_KINDS[constraint], _domains(self.fleet.topology)[constraint]
        learned = np.array([self.models.domain_rise_frac(kind, name) for name in domains])
        seen = self.tracked.rise_frac.get(constraint)
        return learned if seen is None else np.where(np.isnan(seen), learned, seen)

    def aged(self) -> tuple[str, ...]:
        """Say how wide margins on what servers draw now have become because readings have aged, if they have.

        Where no server was ever read there is nothing that could have aged.
        """
        servers = self.fleet.topology.servers
        age_s = self.now_s - self.latest.read_at_s("server_power_w", servers)
        old = int((age_s > FRESH_S).sum())
        if not old:
            return ()
        widest = max(float(margin.max(initial=0.0)) for margin in self.present_margins.values())
        what = f"power of {old} of {len(servers)} servers was read {float(np.nanmax(age_s)):,.0f} s ago or less"
        return (f"AGED: {what}; margins on what is drawn now reach {100 * widest:.1f} %",)


def _domains(topology: Topology) -> Mapping[Constraint, tuple[str, ...]]:
    return {
        Constraint.RACK_POWER_BUDGET: topology.racks,
        Constraint.ROW_POWER_BUDGET: topology.rows,
        Constraint.PDU_POWER_BUDGET: topology.pdus,
        Constraint.UPS_POWER_CAPACITY: topology.upses,
        Constraint.AISLE_AIRFLOW_CAPACITY: topology.aisles,
        Constraint.AISLE_HEAT_CAPACITY: topology.aisles,
    }
