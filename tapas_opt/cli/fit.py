"""``tapas-opt fit``: learn the models of a site from its history, or judge those in use; say how good they are."""

# ruff: noqa: PLC0415  --help stays fast: what needs scikit-learn is imported by the command that needs it

from __future__ import annotations

from datetime import UTC, datetime
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tapas_opt.cli.fit_view import show
from tapas_opt.cli.output import AsJson, print_result, writing
from tapas_opt.cli.paths import demo_data
from tapas_opt.cli.progress import bar
from tapas_opt.errors import InvalidInput

if TYPE_CHECKING:
    from tapas_opt.learn.models import LearnedModels

__all__ = ["fit"]

DAY_S = 86_400.0


def fit(
    history: Annotated[Path, typer.Option(metavar="DIR", help="Folder of parquet or CSV tables.")],
    models: Annotated[Path, typer.Option(metavar="DIR", help="The models in use, or to be: one JSON file each.")],
    site: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A site file (YAML); the demo site if not given.")
    ] = None,
    profiles: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Profiles to compare with (CSV, or a folder of measurements); the demo's if not given."
        ),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(
            metavar="WHEN", help="Take later history only: a date (UTC), a day (40d), or a number of seconds."
        ),
    ] = None,
    compare: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Models in use to compare with; those in --models if not given.")
    ] = None,
    judge_only: Annotated[
        bool, typer.Option("--judge-only", help="Fit nothing: judge the models in use on the latest seven days.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Put the new models in use even if they are worse.")] = False,
    report: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a page (HTML) about the models, and its JSON beside it.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Learn temperature, power, airflow and load from history, and say how well they did on held-out days.

    Where models are in use already, both are judged on the same latest days. The new ones take over as a whole, and
    only if none is worse: else they stay in the folder candidate of --models, and the exit code is 1. Those in use
    before are kept in its folder previous. With --judge-only the exit code is 1 if a model has drifted.
    """
    from tapas_opt.cli.fit_answer import History, judged_in_use, refitted
    from tapas_opt.domain.history import TABLES
    from tapas_opt.domain.site_file import read_site
    from tapas_opt.domain.topology import topology_of
    from tapas_opt.learn.models import KINDS

    since_s = None if since is None else _seconds(since)
    _check_report(report)
    topology = topology_of(read_site(demo_data() / "site.yaml" if site is None else site))
    needed = judge_only or compare is not None
    in_use = _in_use(compare or models, needed=needed, force=force and not needed)
    steps = len(TABLES) + len(KINDS) + 1
    with bar("reading history", steps, as_json) as move:

        def tell(step: str) -> None:
            move(advance=1, description=step)

        readings = History.read(history, topology, profiles or demo_data() / "profiles.csv", since_s, tell)
        if judge_only and in_use is not None:
            answer = judged_in_use(readings, in_use, models, tell)
        else:
            answer = refitted(readings, in_use, models, force, tell)
    if report is not None:
        from tapas_opt.plot.fit_report import write_fit_report

        with writing("fit", "--report", report):
            write_fit_report(answer.data, answer.judged, report)
        answer.data["report"] = str(report)
    print_result(answer.data, as_json, show)
    if answer.failed:
        raise typer.Exit(1)


def _seconds(when: str) -> float:
    """Seconds on the history's clock: ``40d`` is the beginning of day 40, a date counts from 1970."""
    try:
        seconds = float(when.removesuffix("d")) * (DAY_S if when.endswith("d") else 1.0)
    except ValueError:
        try:
            moment = datetime.fromisoformat(when)
        except ValueError:
            what = f"{when!r}: must be a date such as 2026-01-31, a day such as 40d, or a number of seconds"
            raise InvalidInput.one("fit", "--since", what) from None
        seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    if not isfinite(seconds):
        raise InvalidInput.one("fit", "--since", f"{when!r}: must be finite")
    return seconds


def _check_report(report: Path | None) -> None:
    """Refuse a page that cannot be one before anything is fitted; its JSON goes beside it."""
    if report is not None and (report.is_dir() or report.suffix == ".json"):
        raise InvalidInput.one("fit", "--report", f"{report}: must be a file such as fit.html; its JSON goes beside it")


def _in_use(folder: Path, *, needed: bool, force: bool) -> LearnedModels | None:
    """The models of a folder; None where it holds none yet, or none that can be read and ``force`` replaces them."""
    from tapas_opt.learn.folder import in_use
    from tapas_opt.learn.models import LearnedModels

    if not needed and not any(in_use(folder).glob("*.json")):
        return None
    try:
        return LearnedModels.load(folder)
    except InvalidInput as error:
        if force:
            return None
        way_out = "" if needed else "; --force replaces them unread"
        raise InvalidInput(f"{error.subject} (models in use{way_out})", error.faults) from None
