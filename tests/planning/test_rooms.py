"""More servers in a room under the same budgets."""

from __future__ import annotations

import pytest
import yaml

from tapas_opt.domain.site_file import site_from, site_text
from tapas_opt.planning.rooms import built, with_more_racks
from tapas_opt.planning.study import SiteAsked


def test_a_generated_room_keeps_its_budgets():
    """48 servers are 12 racks, two on each pair of UPSs; half as many again are three: the UPSs stay as they were."""
    plain, fuller = (built(SiteAsked("a", servers=48), None, added) for added in (0.0, 0.5))
    assert [sum(1 for _ in site.servers()) for site in (plain, fuller)] == [48, 72]
    ratings = [sum(ups.rating_w for ups in site.rooms[0].upses) for site in (plain, fuller)]
    assert ratings[1] == pytest.approx(ratings[0], rel=1e-4)


def test_a_room_from_a_file_gets_copies_of_its_racks_and_stays_a_valid_site(two_rows):
    """Three racks a row; a third more is one each: K1 and K4 again, on their own feeds."""
    fuller = with_more_racks(two_rows, 1 / 3)
    rows = list(fuller.rows())
    assert [rack.name for rack in rows[0].racks] == ["K1", "K2", "K3", "K1.more1"]
    assert rows[0].racks[3].feeds == rows[0].racks[0].feeds
    assert rows[0].power_budget_w == next(two_rows.rows()).power_budget_w
    assert site_from(yaml.safe_load(site_text(fuller)), "fuller") == fuller
    assert with_more_racks(two_rows, 0.0) is two_rows
