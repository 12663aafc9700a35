"""The page of a reproduction: the paper's figures beside ours, and the pictures that go with them."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tapas_opt.plot.days import from_day_one
from tapas_opt.plot.figures import glance_figure, service_figure
from tapas_opt.plot.html_table import policy_heads
from tapas_opt.plot.page import Section, page
from tapas_opt.plot.report import close_ups, room
from tapas_opt.plot.studies import throttling_against
from tapas_opt.plot.words import over_seeds, reproduced_on
from tapas_opt.simulation.record import Run

__all__ = ["write_reproduction"]

_CLAIM_FRAC = 0.007
"""The paper: capping is active less than 0.7 % of the time with 40 % more servers."""

_MODELLED = (
    "<p class='note'><b>Modelled, not measured.</b> The policies' figures are from a simulated room, of which nothing "
    "was bent to a figure of the paper: the mean over seeds, in brackets their range. What no run can say is unknown. "
    "docs/reproduction.md says how each is worked out, and what differs and why.</p>"
)


def write_reproduction(answer: Mapping[str, Any], runs: Sequence[Run], path: Path) -> None:
    """Write a reproduction as one HTML file that opens without a network.

    Parameters
    ----------
    answer
        What ``tapas-opt reproduce --json`` prints.
    runs
        Of one seed, those to be shown: without failures as days, with failures second by second.
    """
    told = [from_day_one(run) for run in runs]
    sections = [_throttling(answer), *(section for run in told for section in _of_run(run))]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page("The paper's figures beside ours", _opening(answer), sections), encoding="utf-8")


def _opening(answer: Mapping[str, Any]) -> str:
    return (
        "<h1>tapas-opt reproduce</h1>\n<p class='headline'>The paper's headline figures beside ours</p>\n"
        f"<p>{html.escape(reproduced_on(answer))}</p>\n<div class='wide'>{_table(answer['figures'])}</div>\n{_MODELLED}"
    )


def _table(figures: Sequence[Mapping[str, Any]]) -> str:
    policies = list(figures[0]["policies"])
    rows = "".join(_row(one, policies) for one in figures)
    return (
        "<table class='summary'><thead><tr><th scope='col'></th><th scope='col'>the paper</th>"
        f"{policy_heads(policies)}</tr></thead><tbody>{rows}</tbody></table>"
    )


def _row(one: Mapping[str, Any], policies: Sequence[str]) -> str:
    cells = "".join(_cell(over_seeds(one["policies"][name])) for name in policies)
    return f"<tr><th scope='row'>{html.escape(one['figure'])}</th>{_cell(one['paper'])}{cells}</tr>"


def _cell(text: str) -> str:
    """What is in brackets goes below."""
    value, bracket, more = html.escape(text).partition(" (")
    return f"<td class='number'>{value}{f'<br><small>({more}</small>' if bracket else ''}</td>"


def _throttling(answer: Mapping[str, Any]) -> Section:
    words = (
        "<p>Rooms sized for nameplates, with more servers under the same budgets. Bars span the seeds; the dashed line "
        f"is {100 * _CLAIM_FRAC:.1f} %, below which the paper stays with 40 % more. "
        "Who turns VMs away has fewer to slow.</p>"
    )
    figure = throttling_against(answer["throttling"], claim_frac=_CLAIM_FRAC)
    return Section("Throttling against oversubscription", words, figure)


def _of_run(run: Run) -> list[Section]:
    if run.outages:
        return close_ups(run)
    return [
        Section(f"{run.name}: heat and power, policy by policy", "", glance_figure(run)),
        Section(f"{run.name}: what users felt", "", service_figure(run)),
        *room(run),
    ]
