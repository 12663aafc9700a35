"""The journal's fleet brought back, or begun with a site file."""

from __future__ import annotations

from collections.abc import Callable

from tapas_opt.control.controller import Controller
from tapas_opt.control.profiles import Profiles
from tapas_opt.control.recorder import Met, unrecorded
from tapas_opt.domain.site_file import read_site
from tapas_opt.errors import Conflict, JournalFailed, TapasError
from tapas_opt.learn.models import LearnedModels
from tapas_opt.mip.worker import Workers
from tapas_opt.service.clock import Clock, SystemClock, TelemetryClock
from tapas_opt.service.core import Core
from tapas_opt.service.ledger import Ledger, batches, first_site
from tapas_opt.service.options import Options
from tapas_opt.service.tracking_file import TrackingFile, tracking_path
from tapas_opt.state.journal import Journal
from tapas_opt.telemetry.profiles.read import read_profiles

__all__ = ["load"]


def load(
    options: Options,
    journal: Journal,
    changed: Callable[[], None],
    workers: Workers | None = None,
    urgent_workers: Workers | None = None,
    met: Met = unrecorded,
) -> Core:
    """Bring the journal's fleet back, or begin one with the site file.

    Raises
    ------
    InvalidInput
        A file is wrong, or the models do not cover the site.
    Conflict
        The journal is about another site than the one asked for.
    JournalFailed
        The journal is damaged.
    """
    site = first_site(journal)
    file_site = read_site(options.site) if site is None or options.site_given else None
    begun_with = site or file_site
    assert begun_with is not None
    controller = Controller(
        begun_with,
        LearnedModels.load(options.models),
        Profiles(read_profiles(options.profiles)),
        workers=workers,
        urgent_workers=urgent_workers,
        settings=options.settings,
        met=met,
    )
    newest_s = _replay(journal, controller)
    if file_site is not None and site is not None and controller.fleet.topology.site != file_site:
        raise Conflict(
            f"the journal {journal.name} is about another site than {options.site}; change a running site with "
            "ApplySite, or begin a new journal with --state"
        )
    clock: Clock = TelemetryClock(newest_s) if options.telemetry_clock else SystemClock()
    ledger = Ledger(journal, controller, clock)
    if site is None:
        ledger.start(begun_with)
    tracking = TrackingFile(tracking_path(options.state))
    tracking.read(controller)
    return Core(controller, ledger, clock, options.deadline_s, changed, tracking)


def _replay(journal: Journal, controller: Controller) -> float:
    """Apply what is remembered; the time of the newest of it."""
    newest_s = 0.0
    for entry, events in batches(journal):
        try:
            controller.apply(events)
        except (TapasError, KeyError) as error:
            what = f"entry {entry.sequence} ({entry.method}) does not fit what came before it: {error}"
            raise JournalFailed(f"the journal {journal.name} contradicts itself: {what}") from error
        newest_s = max(newest_s, entry.recorded_at_s)
    return newest_s
