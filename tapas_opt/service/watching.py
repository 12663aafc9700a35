"""What somebody who watches configurations has been told, and what is new to him."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from tapas_opt.api.v1.reconfiguration_service_pb2 import WatchConfigurationsResponse
from tapas_opt.control.controller import Controller
from tapas_opt.control.events import OperatingMode
from tapas_opt.control.fleet import FleetVm
from tapas_opt.errors import NotFound
from tapas_opt.service import respond

__all__ = ["Watch"]

LOOK_S = 1.0
"""It is looked whether somebody still watches at least so often."""


class Watch:
    """One watcher.

    Parameters
    ----------
    endpoint, vms
        Only VMs of this endpoint, only these; all where empty.

    Raises
    ------
    NotFound
        There is no such endpoint.
    """

    def __init__(self, controller: Controller, endpoint: str = "", vms: Sequence[str] = ()) -> None:
        self._controller = controller
        self._endpoint = endpoint
        self._vms = frozenset(vms)
        self._told: dict[str, FleetVm] = {}
        self._armed: tuple[str, ...] | None = None
        self._plan_id: str | None = None
        with controller.lock:
            if endpoint and endpoint not in controller.fleet.endpoints:
                raise NotFound("endpoint", endpoint, "create it with PutEndpoint")

    def until(self, gone: Callable[[], bool]) -> Iterator[WatchConfigurationsResponse]:
        """What is new, as it comes, until the watcher is gone or the server stops."""
        news, number = self._controller.news, -1
        while not (news.closed or gone()):
            now = news.wait(number, LOOK_S)
            if now != number:
                number = now
                new = self.new()
                if new is not None:
                    yield new

    def new(self) -> WatchConfigurationsResponse | None:
        """What he does not know yet; None if there is nothing."""
        with self._controller.lock:
            fleet = self._controller.fleet
            present = {item.vm.name: item for item in fleet.changeable() if self._wanted(item)}
            changed = [item for name, item in present.items() if self._told.get(name) is not item]
            removed = sorted(self._told.keys() - present.keys())
            acting = fleet.mode is OperatingMode.ACT
            ready = self._controller.arming.all if acting else ()
            ids = tuple(one.proposal.plan_id for one in ready)
            if not changed and not removed and ids == self._armed and fleet.plan_id == self._plan_id:
                return None
            message = WatchConfigurationsResponse(
                etag=fleet.etag,
                plan_id=fleet.plan_id,
                configurations=respond.desired(self._controller, changed),
                removed_vms=removed,
                armed_changed=ids != self._armed,
            )
            if ids != self._armed:
                message.armed.extend(respond.armed(self._controller, one, self._wanted) for one in ready)
            self._told, self._armed, self._plan_id = present, ids, fleet.plan_id
            return message

    def _wanted(self, item: FleetVm) -> bool:
        return self._endpoint in ("", item.vm.endpoint) and (not self._vms or item.vm.name in self._vms)
