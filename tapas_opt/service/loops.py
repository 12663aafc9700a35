"""What happens without being asked, in threads of its own."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tapas_opt.errors import TapasError
from tapas_opt.service.core import Core

__all__ = ["Loop", "Loops", "keep_up", "plan_ahead"]

_LOG = logging.getLogger(__name__)

PLANNING_REST = 4.0
"""Planning ahead takes a fifth of a core at most."""

END_S = 10.0
"""How long a look that is under way may take to end."""


class Loop(threading.Thread):
    """Looks every so often, and whenever it is woken; what goes wrong is logged, and it goes on.

    Parameters
    ----------
    look
        What to do each time.
    every_s
        Longest pause between two looks.
    rest
        Shortest pause as a multiple of how long the look before took: a loop with much to do leaves time for others.
    """

    def __init__(self, name: str, look: Callable[[], None], *, every_s: float = 1.0, rest: float = 0.0) -> None:
        super().__init__(name=f"tapas-opt-{name}", daemon=True)
        self._look = look
        self._every_s = every_s
        self._rest = rest
        self._wake = threading.Event()
        self._stopping = False
        self._complaint = ""

    def wake(self) -> None:
        """Look now, not in a second."""
        self._wake.set()

    def run(self) -> None:
        """Look until told to stop."""
        while not self._stopping:
            self._wake.clear()
            began = time.monotonic()
            try:
                self._look()
                self._complaint = ""
            except TapasError as error:
                self._complain(str(error))
            except Exception:
                _LOG.exception("the %s loop failed, and goes on", self.name)
            self._wake.wait(max(self._every_s, self._rest * (time.monotonic() - began)))

    def stop(self) -> None:
        """End after the present look."""
        self._stopping = True
        self._wake.set()
        self.join(END_S)

    def _complain(self, text: str) -> None:
        """Say the same thing once, not every second."""
        if text != self._complaint:
            _LOG.error(text)
        self._complaint = text


class Loops:
    """The two loops of a server; what wakes one of them may be known before there is anything to look at."""

    def __init__(self) -> None:
        self._control: Loop | None = None

    def wake(self) -> None:
        """Let the control loop look now."""
        if self._control is not None:
            self._control.wake()

    @contextmanager
    def of(self, core: Core) -> Iterator[None]:
        """Look once, and then on and on until this is left."""
        keep_up(core)
        self._control = Loop("control", lambda: keep_up(core))
        planning = Loop("planning", lambda: plan_ahead(core), rest=PLANNING_REST)
        self._control.start()
        planning.start()
        yield
        planning.stop()
        self._control.stop()


def keep_up(core: Core) -> None:
    """Reservations expire, waves start, the routing plan is made anew, tracking is kept."""
    now_s = core.clock.now_s()
    with core.controller.lock:
        events = core.controller.tick(now_s)
        if events:
            core.ledger.note("Tick", events)
    core.controller.refresh_routes(now_s=now_s)
    core.tracking.keep(core.controller)


def plan_ahead(core: Core, budget_s: float = 0.25) -> None:
    """What takes solves and can wait for a second: what follows a failure, then plans for failures that may come.

    Parameters
    ----------
    budget_s
        No further failure is looked at once this is over.
    """
    now_s = core.clock.now_s()
    proposal = core.controller.follow_up(now_s)
    if proposal is not None:
        with core.controller.lock:
            events = core.controller.settled_follow_up(proposal, now_s)
            if events:
                core.ledger.note("FollowUp", events)
        core.changed()
    until = time.monotonic() + budget_s
    while core.controller.arm(now_s) and time.monotonic() < until:
        pass
