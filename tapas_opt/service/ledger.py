"""Commands that change something: each is carried out once, made durable, then applied, then answered.

A decision may take seconds (a solve) and is made outside the controller's lock. It is settled against the fleet as it
then is, journaled and applied inside it.
"""

from __future__ import annotations

import hashlib
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from google.protobuf.message import Message
from pydantic import ValidationError

from tapas_opt.control.controller import Controller
from tapas_opt.control.events import Event, SiteApplied, events_from_json, events_to_json
from tapas_opt.domain.site import Site
from tapas_opt.errors import DeadlinePassed, JournalFailed, RequestIdReused
from tapas_opt.service.clock import Clock
from tapas_opt.state.journal import Entry, Journal

__all__ = ["Decided", "Ledger", "Settle", "batches", "first_site"]

M = TypeVar("M", bound=Message)


@dataclass(frozen=True, slots=True)
class Decided:
    """What a command comes to: events that make it so, and the answer to send once they are durable."""

    events: Sequence[Event]
    response: Message


Settle = Callable[[], Decided]
"""The last step of a command, run with the controller's lock held."""


class Ledger:
    """Carries commands out, at most once each."""

    def __init__(self, journal: Journal, controller: Controller, clock: Clock) -> None:
        self._journal = journal
        self._controller = controller
        self._clock = clock
        self._turn = threading.Condition()
        self._under_way: set[str] = set()

    def carry_out(
        self,
        request: Any,
        answer: type[M],
        decide: Callable[[], Settle],
        wanted: Callable[[], bool] = lambda: True,
    ) -> M:
        """Answer a command from the journal if it came before; otherwise decide, settle, and make it so.

        Parameters
        ----------
        request
            A message with ``request_id`` and ``validate_only``; the latter decides, but changes and records nothing.
        wanted
            Whether the caller still waits; what nobody waits for any more is not done.

        Raises
        ------
        RequestIdReused
            The id came before, with another method or body.
        JournalFailed
            It could not be made durable, and was not done.
        """
        if request.validate_only:
            settle = decide()
            with self._controller.lock:
                return _as(answer, settle().response)
        with self._alone(request.request_id):
            known = self._known(request)
            if known is not None:
                return answer.FromString(known.response)
            settle = decide()
            with self._controller.lock:
                if not wanted():
                    raise DeadlinePassed("the caller did not wait for the answer; nothing was changed")
                decided = settle()
                self._record(request.request_id, _method(request), _digest(request), decided)
            return _as(answer, decided.response)

    def start(self, site: Site) -> None:
        """Begin an empty journal with the site that it is about."""
        with self._controller.lock:
            self.note("Start", (SiteApplied(site),))

    def note(self, method: str, events: Sequence[Event]) -> None:
        """Record what nobody asked for, such as reservations that expired; call it with the lock held."""
        entry = Entry(0, str(uuid.uuid4()), method, "", events_to_json(events), b"", self._clock.now_s())
        self._journal.append(entry)
        self._controller.apply(events)

    def _record(self, request_id: str, method: str, digest: str, decided: Decided) -> None:
        response = decided.response.SerializeToString(deterministic=True)
        now_s = self._clock.now_s()
        self._journal.append(Entry(0, request_id, method, digest, events_to_json(decided.events), response, now_s))
        self._controller.apply(decided.events)

    def _known(self, request: Any) -> Entry | None:
        entry = self._journal.find(request.request_id)
        if entry is not None and (entry.method, entry.body_sha256) != (_method(request), _digest(request)):
            raise RequestIdReused(
                f"request_id {request.request_id} came before, as {entry.method} with another body or of another kind; "
                "take a new id for a new request"
            )
        return entry

    @contextmanager
    def _alone(self, request_id: str) -> Iterator[None]:
        """A repetition that comes while the first is under way waits, and then finds its answer."""
        with self._turn:
            while request_id in self._under_way:
                self._turn.wait()
            self._under_way.add(request_id)
        try:
            yield
        finally:
            with self._turn:
                self._under_way.remove(request_id)
                self._turn.notify_all()


def batches(journal: Journal) -> Iterator[tuple[Entry, tuple[Event, ...]]]:
    """Every entry with its events, verified; JournalFailed says which cannot be read."""
    for entry in journal.entries():
        try:
            yield entry, events_from_json(entry.events_json)
        except ValidationError as error:
            raise JournalFailed(
                f"the journal {journal.name} has events at entry {entry.sequence} that this version cannot read "
                f"({error.error_count()} faults); start it with the version that wrote it"
            ) from error


def first_site(journal: Journal) -> Site | None:
    """The site that a journal begins with; None for an empty one."""
    for _, events in batches(journal):
        if not events or not isinstance(events[0], SiteApplied):
            break
        return events[0].site
    else:
        return None
    raise JournalFailed(f"the journal {journal.name} does not begin with a site; it was not made by `tapas-opt serve`")


def _method(request: Message) -> str:
    return str(request.DESCRIPTOR.name).removesuffix("Request")


def _digest(request: Message) -> str:
    return hashlib.sha256(request.SerializeToString(deterministic=True)).hexdigest()


def _as(answer: type[M], response: Message) -> M:
    assert isinstance(response, answer)
    return response
