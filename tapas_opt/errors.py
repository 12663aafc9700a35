"""Everything that tapas-opt raises on purpose.

::

    TapasError
    ├── InvalidInput           a file, a field or an argument is wrong; carries every fault found
    ├── NotFound               the thing named does not exist
    ├── Conflict               the request contradicts what is already so
    │   └── RequestIdReused    the same request id came with another body
    ├── NoInstance             no instance of an endpoint may take a request now
    ├── PlanRefused            the checker refused a plan; a defect here, never the caller's fault
    ├── DeadlinePassed         not even the greedy path finished in the time given
    ├── WorkerFailed           a solver's process crashed, lied, or ran out of memory
    ├── JournalFailed          what was decided could not be made durable
    └── ServerUnreachable      no server answers at the address: tapas-opt's own, or one of telemetry

Infeasible and out of time are results, not errors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = [
    "Conflict",
    "DeadlinePassed",
    "Fault",
    "InvalidInput",
    "JournalFailed",
    "NoInstance",
    "NotFound",
    "PlanRefused",
    "RequestIdReused",
    "ServerUnreachable",
    "TapasError",
    "WorkerFailed",
]


class TapasError(Exception):
    """Root of the tree; its text is one clear sentence for a person."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with an input.

    Attributes
    ----------
    where
        Path of the field, such as ``rooms[0].upses[2].rating_w``.
    what
        The value found and what is allowed instead.
    """

    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


class InvalidInput(TapasError):
    """An input is wrong; ``faults`` lists everything that is wrong with it, not only the first thing."""

    def __init__(self, subject: str, faults: Sequence[Fault]) -> None:
        self.subject = subject
        self.faults = tuple(faults)
        if len(self.faults) == 1:
            text = f"{subject}: {self.faults[0]}"
        else:
            text = f"{subject}: {len(self.faults)} faults" + "".join(f"\n  {fault}" for fault in self.faults)
        super().__init__(text)

    def __reduce__(self) -> tuple[type[InvalidInput], tuple[str, tuple[Fault, ...]]]:
        return type(self), (self.subject, self.faults)

    @classmethod
    def one(cls, subject: str, where: str, what: str) -> InvalidInput:
        """An input with a single fault."""
        return cls(subject, [Fault(where, what)])


class NotFound(TapasError):
    """The thing named does not exist."""

    def __init__(self, kind: str, name: str, hint: str = "") -> None:
        self.kind = kind
        self.name = name
        self.hint = hint
        super().__init__(f"{kind} {name!r} does not exist" + (f"; {hint}" if hint else ""))

    def __reduce__(self) -> tuple[type[NotFound], tuple[str, str, str]]:
        return type(self), (self.kind, self.name, self.hint)


class Conflict(TapasError):
    """The request contradicts what is already so; repeating it will not help."""


class RequestIdReused(Conflict):
    """The same request id came before with another body."""


class NoInstance(TapasError):
    """No instance of an endpoint may take a request now."""


class PlanRefused(TapasError):
    """The independent checker refused a plan, so that it was not published."""


class DeadlinePassed(TapasError):
    """Not even the greedy path finished in the time given."""


class WorkerFailed(TapasError):
    """A solver's process crashed, answered nonsense, or ran out of memory."""


class JournalFailed(TapasError):
    """What was decided could not be made durable, so it was not done."""


class ServerUnreachable(TapasError):
    """No server answers at the address: tapas-opt's own, or one of telemetry."""
