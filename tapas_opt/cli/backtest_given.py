"""What ``backtest`` was asked, judged whole before anything runs, and the days that follow from it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path

from tapas_opt.cli.judging import tried
from tapas_opt.cli.progress import bar
from tapas_opt.control.profiles import Profiles
from tapas_opt.domain.panel import DAY_S, SLOT_S, Panel
from tapas_opt.domain.site_file import read_site
from tapas_opt.domain.topology import Topology, topology_of
from tapas_opt.domain.vm_list import Lived, read_vm_list
from tapas_opt.errors import Fault, InvalidInput
from tapas_opt.learn.fit import fit
from tapas_opt.learn.models import LearnedModels
from tapas_opt.simulation.backtest.past import Past, borrowed, past_of
from tapas_opt.simulation.backtest.replay import Backtest
from tapas_opt.simulation.policies.table import judge_names
from tapas_opt.telemetry.history import read_panel, span_of
from tapas_opt.telemetry.pods import is_pods, read_pods
from tapas_opt.telemetry.profiles.read import read_profiles

__all__ = ["Asked", "Given", "given_of", "ready"]


@dataclass(frozen=True, slots=True)
class Asked:
    """The command's options."""

    site: Path
    history: Path
    vms: Path
    policies: tuple[str, ...]
    days: float
    models: Path | None
    profiles: Path
    anew: bool
    out: Path | None


@dataclass(frozen=True)
class _Span:
    """When a history begins and ends, and from when on it is replayed."""

    from_s: float
    split_s: float
    until_s: float


@dataclass(frozen=True)
class Given:
    """What options and files come to, before the readings of the history are looked at."""

    topology: Topology
    span: _Span
    lives: tuple[Lived, ...]
    profiles: Profiles
    models: LearnedModels | None


def given_of(asked: Asked) -> Given:
    """Everything is read and judged, so that one message tells all that is wrong.

    Raises
    ------
    InvalidInput
        Listing that.
    """
    faults = list(_faults(asked))
    topology = tried(faults, "--site", lambda: topology_of(read_site(asked.site)))
    span = tried(faults, "--history", lambda: _span(asked))
    lives = tried(faults, "--vms", lambda: _lives(asked, topology, span))
    profiles = tried(faults, "--profiles", lambda: Profiles(read_profiles(asked.profiles)))
    models = tried(faults, "--models", lambda: _models(asked, topology))
    if span is not None and asked.models is None and span.split_s <= span.from_s:
        what = (
            f"no day is left to learn from before the {asked.days:g} that are replayed; ask for fewer, or give --models"
        )
        faults.append(Fault("--days", what))
    if faults or topology is None or span is None or lives is None or profiles is None:
        raise InvalidInput("backtest", faults)
    return Given(topology, span, lives, profiles, models)


def _faults(asked: Asked) -> Iterator[Fault]:
    """What is wrong with the options by themselves."""
    yield from judge_names(asked.policies)
    if not _is_length(asked.days):
        yield Fault("--days", f"{asked.days:g}: must be above 0")
    if asked.out is not None:
        there = next(path for path in (asked.out, *asked.out.absolute().parents) if path.exists())
        if not there.is_dir():
            yield Fault("--out", f"{asked.out}: {there} is a file; name a folder, which need not be there yet")


def _is_length(days: float) -> bool:
    return isfinite(days) and days > 0.0


def _span(asked: Asked) -> _Span:
    """The last days are replayed, or all of a shorter history; the last slot where nobody can say how many."""
    from_s, until_s = span_of(asked.history)
    days_s = asked.days * DAY_S // SLOT_S * SLOT_S if _is_length(asked.days) else 0.0
    return _Span(from_s, max(from_s, until_s - max(days_s, SLOT_S)), until_s)


def _lives(asked: Asked, topology: Topology | None, span: _Span | None) -> tuple[Lived, ...]:
    """Who lived when, judged by as much as is known of the site and the history."""
    servers = None if topology is None else topology.servers
    if is_pods(asked.vms):
        return () if span is None else read_pods(asked.vms, span.split_s, span.until_s - SLOT_S, SLOT_S)
    if span is None:
        return read_vm_list(asked.vms, servers)
    return read_vm_list(asked.vms, servers, span.from_s, span.until_s)


def _models(asked: Asked, topology: Topology | None) -> LearnedModels | None:
    """Those that are given, if any are."""
    if asked.models is None:
        return None
    models = LearnedModels.load(asked.models)
    if topology is not None:
        models.check_covers(topology)
    return models


def ready(asked: Asked, given: Given, as_json: bool) -> Backtest:
    """Learn from the days before, and lay out those that are replayed; one message tells what both lack.

    Raises
    ------
    InvalidInput
        If there are too few readings to learn from, or those of the days that are replayed lack something.
    """
    faults: list[Fault] = []
    models = given.models
    with bar("learning", 2.0, as_json) as show:
        if models is None:
            models = tried(faults, "--history", lambda: _learned(asked, given))
        show(advance=1.0, description="reading history")
        since_s = given.span.split_s
        panel = tried(faults, "--history", lambda: read_panel(asked.history, given.topology, since_s=since_s).panel)
    profiles = given.profiles if models is None else given.profiles.measured(models)
    past = None if panel is None else tried(faults, None, lambda: _past(panel, given.lives, profiles))
    if faults or models is None or past is None:
        raise InvalidInput("backtest", list(dict.fromkeys(faults)))
    return Backtest(past, models, profiles, asked.anew)


def _learned(asked: Asked, given: Given) -> LearnedModels:
    return fit(read_panel(asked.history, given.topology, until_s=given.span.split_s).panel)


def _past(panel: Panel, lives: Sequence[Lived], profiles: Profiles) -> Past:
    """Lists of this site say of every VM where it ran."""
    laid_out = past_of if all(one.server is not None for one in lives) else borrowed
    return laid_out(panel, lives, profiles)
