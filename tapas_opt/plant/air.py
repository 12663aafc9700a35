"""The air of a site: supply, handlers that follow the servers, aisles that run short, coils at their limit.

Flow is CFM of standard air throughout, hence a flow of mass: ``W/K = 0.569 × CFM`` at any altitude.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tapas_opt.domain.failure import Effect
from tapas_opt.domain.topology import Topology
from tapas_opt.plant import physics
from tapas_opt.plant.machines import Machines
from tapas_opt.plant.parameters import AIR_HEAT_W_PER_K_CFM, Parameters

__all__ = ["Air"]

FloatArray = NDArray[np.float64]


class Air:
    """Supply air of every room, and every aisle's rise ``z`` over it.

    An aisle stores heat in its air (``C``) and in what the air washes over: racks, floor and walls (``M``, which is
    ``m`` warmer than the supply)::

        C·dz/dt = H − q − G·(z − m)        M·dm/dt = G·(z − m)

    ``H`` is what the aisle's rows draw, all of which ends as heat, and ``q`` what the handlers carry off: the less of
    what their air takes along, ``(1 − r)·H + c·V·z`` with ``r = max(0, 1 − V/F)``, and what their coils cool,
    ``Q·(1 + z/D)``. At rest ``q = H``: an aisle whose fans want ``F`` but get ``V`` settles where its inlets are the
    mix of supply and exhaust air, ``z = r/(1 − r)·H/(c·F)``; an overloaded coil settles at ``D·(H/Q − 1)``; without
    cooling heat has nowhere to go but into ``C`` and ``M``.

    Attributes
    ----------
    supply_c
        ``[room]`` what handlers supply while their coils suffice: after weather and load, with the room's lag.
    rise_k, recirculated_k, mass_rise_k
        ``[aisle]`` ``z``, the part of it that recirculation explains, and ``m``.
    supplied_cfm, wanted_cfm
        ``[aisle]`` ``V`` and ``F``.
    heat_w, removed_w
        ``[aisle]`` ``H``, and what was carried off in the last step: the heat that has not been stored.
    """

    def __init__(self, topology: Topology, machines: Machines, outdoor_c: float, parameters: Parameters) -> None:
        self._topology, self._machines, self._p = topology, machines, parameters
        self._server_room, self._server_aisle = topology.server_room, topology.server_aisle
        rooms, aisles = len(topology.rooms), len(topology.aisles)
        self._room_budget_w = physics.summed(topology.row_budget_w, topology.aisle_room[topology.row_aisle], rooms)
        racks = np.bincount(topology.row_aisle[topology.rack_row], minlength=aisles)
        self._air_j_per_k, self._mass_j_per_k = (
            racks * parameters.rack_air_j_per_k,
            racks * parameters.rack_mass_j_per_k,
        )
        self._exchange_w_per_k = racks * parameters.rack_exchange_w_per_k
        self._handler_speed = np.ones(aisles)
        self.supply_c: FloatArray = np.full(rooms, float(physics.supply_air_c(outdoor_c, parameters)))
        self.rise_k, self.recirculated_k, self.mass_rise_k = np.zeros(aisles), np.zeros(aisles), np.zeros(aisles)
        self.wanted_cfm, self.supplied_cfm = np.zeros(aisles), np.zeros(aisles)
        self.heat_w, self.removed_w = np.zeros(aisles), np.zeros(aisles)

    def inlet_c(self) -> FloatArray:
        """``[S]`` inlet temperatures: recirculated air rises to the tops of racks, a warm coil warms all alike."""
        aisle, above = self._server_aisle, self._machines.recirculation_weight - 1.0
        mixed = self.rise_k[aisle] + above * self.recirculated_k[aisle]
        return np.asarray(self.supply_c[self._server_room] + self._machines.inlet_offset_c + mixed)

    def step(self, dt_s: float, airflow_cfm: FloatArray, row_w: FloatArray, outdoor_c: float, effect: Effect) -> None:
        """Let ``dt_s`` pass while servers blow ``airflow_cfm`` and rows draw ``row_w``."""
        t, p = self._topology, self._p
        self.wanted_cfm = physics.summed(airflow_cfm, self._server_aisle, len(t.aisles))
        self.heat_w = physics.summed(row_w, t.row_aisle, len(t.aisles))
        self._move(dt_s, effect.aisle_airflow_capacity_cfm)
        self._mix(dt_s, effect.aisle_heat_capacity_w)
        room_load = physics.summed(self.heat_w, t.aisle_room, len(t.rooms)) / self._room_budget_w
        held = physics.supply_air_c(outdoor_c, p) + physics.room_rise_k(room_load, p)
        self.supply_c = physics.approached(self.supply_c, held, dt_s, p.room_time_constant_s)

    def _move(self, dt_s: float, capacity_cfm: FloatArray) -> None:
        """Handlers follow what servers want, a little above it and with a lag; a lost one's air is gone at once."""
        p = self._p
        wanted = p.handler_margin * self.wanted_cfm / np.maximum(capacity_cfm, 1.0)
        target = np.clip(wanted, p.handler_floor, 1.0)
        self._handler_speed = physics.approached(self._handler_speed, target, dt_s, p.handler_time_constant_s)
        self.supplied_cfm = self._handler_speed * capacity_cfm

    def _mix(self, dt_s: float, coil_w: FloatArray) -> None:
        """One step of ``z`` and ``m`` together, exact: what ``q`` has not carried off is what both have stored.

        With q the less of two, dz/dt is the greater of two linear equations, and z the greater of their solutions.
        """
        returned = physics.recirculated_frac(self.wanted_cfm, self.supplied_cfm)
        supplied_w_per_k = AIR_HEAT_W_PER_K_CFM * self.supplied_cfm
        by_air, mass_by_air = self._risen(dt_s, returned * self.heat_w, supplied_w_per_k)
        by_coil, mass_by_coil = self._risen(dt_s, self.heat_w - coil_w, coil_w / self._p.coil_drive_k)
        rise, mass = np.maximum(by_air, by_coil), np.where(by_air >= by_coil, mass_by_air, mass_by_coil)
        stored_j = self._air_j_per_k * (rise - self.rise_k) + self._mass_j_per_k * (mass - self.mass_rise_k)
        self.removed_w = self.heat_w - stored_j / dt_s if dt_s > 0 else self.heat_w
        self.recirculated_k = np.minimum(
            rise, returned * self.heat_w / np.maximum(supplied_w_per_k, AIR_HEAT_W_PER_K_CFM)
        )
        self.rise_k, self.mass_rise_k = rise, mass

    def _risen(self, dt_s: float, gain_w: FloatArray, carried_w_per_k: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Solve ``C·dz/dt = gain − carried·z − G·(z − m)`` with ``M·dm/dt = G·(z − m)``: both after ``dt_s``.

        With the system's matrix A and rate of change v at the start, x moves by ``Φ·v``, where ``Φ = ∫exp(A·s)ds`` is
        ``φ(λ)·1 + (φ(λ') − φ(λ))/(λ' − λ)·(A − λ·1)`` with both eigenvalues and ``φ(λ) = (exp(λ·dt) − 1)/λ``.
        """
        air_w_per_k, air_j, mass_j = self._exchange_w_per_k, self._air_j_per_k, self._mass_j_per_k
        own, taken, given = (carried_w_per_k + air_w_per_k) / air_j, air_w_per_k / air_j, air_w_per_k / mass_j
        between = self.rise_k - self.mass_rise_k
        air_k_per_s = (gain_w - carried_w_per_k * self.rise_k - air_w_per_k * between) / air_j
        mass_k_per_s = given * between
        fast = -0.5 * (own + given) - np.sqrt(0.25 * (own - given) ** 2 + taken * given)
        slow = carried_w_per_k / air_j * given / fast  # their product is the determinant; 0 where nothing is carried
        even_s, uneven_s = _passed_s(fast, dt_s), _passed_s(slow, dt_s)
        coupling = (uneven_s - even_s) / (slow - fast)
        air = even_s * air_k_per_s + coupling * ((-own - fast) * air_k_per_s + taken * mass_k_per_s)
        mass = even_s * mass_k_per_s + coupling * (given * air_k_per_s + (-given - fast) * mass_k_per_s)
        return self.rise_k + air, self.mass_rise_k + mass


def _passed_s(rate_per_s: FloatArray, dt_s: float) -> FloatArray:
    """``(exp(λ·dt) − 1)/λ``: the time that a mode which fades at ``λ`` makes of ``dt``; all of it where none fades."""
    fades = np.where(rate_per_s < 0.0, rate_per_s, -1.0)
    return np.where(rate_per_s < 0.0, np.expm1(fades * dt_s) / fades, dt_s)
