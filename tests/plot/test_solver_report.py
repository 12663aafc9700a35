"""The page of a solver comparison: who is within 1 % how soon, and nothing that a name could do to it."""

from __future__ import annotations

import pytest

from tapas_opt.plot.solver_report import gap_figure, profile_figure, solver_headline, write_solver_report

NASTY = "<img src=x onerror=alert(1)>"


def row(instance, solver, within_s, gap_frac=0.01, **more):
    known = {
        "status": "FEASIBLE",
        "first_feasible_s": 0.1,
        "total_s": 1.0,
        "objective": 100.0,
        "bound": 99.0,
        "gap_frac": gap_frac,
        "gap_to_best_bound_frac": gap_frac,
        "gap_to_best_known_frac": None,
        "peak_rss_mb": 200.0,
        "checker": "ok",
    }
    return {"instance": instance, "solver": solver, "within_1pct_s": within_s} | known | more


ROWS = [row("a", "auto", 0.5), row("a", "highs", 2.0), row("b", "auto", 1.0), row("b", "highs", None, gap_frac=0.4)]


def curve(figure, solver):
    drawn = next(trace for trace in figure.data if trace.name == solver)
    return list(drawn.x), list(drawn.y)


def test_the_profile_counts_instances_by_how_much_longer_than_the_soonest_a_solver_took():
    x, y = curve(profile_figure(ROWS), "highs")
    assert x[:2] == [1.0, 4.0]
    assert y[-1] == 0.5  # what never came within 1 % keeps the line down
    assert curve(profile_figure(ROWS), "auto")[1][-1] == 1.0


def test_gaps_are_drawn_in_per_cent():
    x, _ = curve(gap_figure(ROWS), "highs")
    assert x[1:3] == pytest.approx([1.0, 40.0])


def test_the_headline_counts_and_names_refused_plans():
    assert solver_headline(ROWS) == (
        "Within 1 % of its bound: auto on 2 of 2 and highs on 1 of 2; the checker accepted every plan."
    )
    assert "refused 1 plan." in solver_headline([row("a", "auto", 0.5, checker="row 1: 3 W too much")])


def test_a_page_is_drawn_by_a_browser_and_names_cannot_act(tmp_path, drawn):
    page = tmp_path / "report" / "page.html"
    write_solver_report({"rows": [*ROWS, row(NASTY, "auto", 1.0)], "machine": {"cores": 2}}, page)
    assert NASTY not in page.read_text()
    seen = drawn(page)
    assert seen.stdout.count('class="main-svg"') >= 2
