"""How a server is set up."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from tapas_opt.control.settings import Settings
from tapas_opt.service.admission import Limits

__all__ = ["Options"]


@dataclass(frozen=True, slots=True)
class Options:
    """How a server is set up.

    Attributes
    ----------
    host, port
        Where to listen; port 0 takes any that is free.
    any_address
        Listen without encryption on an address that other machines reach; has to be asked for in so many words.
    site, site_given
        Site file, and whether it was asked for: then a journal about another site is refused.
    state
        File or URL of the journal.
    telemetry_clock
        Time is that of the newest telemetry.
    deadline_s
        Of a call that brings none.
    settings
        Of decisions.
    record_problems, record_most
        Folder in which the newest problems are kept, and how many of each kind; None keeps none.
    """

    site: Path
    models: Path
    profiles: Path
    state: str
    host: str = "127.0.0.1"
    port: int = 50051
    any_address: bool = False
    site_given: bool = False
    telemetry_clock: bool = False
    deadline_s: float = 10.0
    settings: Settings = field(default_factory=Settings)
    limits: Limits = field(default_factory=Limits)
    record_problems: Path | None = None
    record_most: int = 50
