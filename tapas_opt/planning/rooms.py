"""A site with more servers in it under the same budgets."""

from __future__ import annotations

import hashlib
from dataclasses import replace

from tapas_opt.domain.site import Rack, Room, Row, Site
from tapas_opt.domain.site_generator import generate_site
from tapas_opt.planning.study import SiteAsked

__all__ = ["built", "layout", "with_more_racks"]


def built(asked: SiteAsked, read: Site | None, added_frac: float) -> Site:
    """The site of a study with servers added.

    Parameters
    ----------
    read
        What its file says, for one that has a file.

    Notes
    -----
    A generated room is laid out anew for all its servers, by budgets for those without the added ones.
    """
    if read is not None:
        return with_more_racks(read, added_frac)
    assert asked.servers is not None
    shape = replace(asked.shape, oversubscription=added_frac)
    return generate_site(
        round(asked.servers * (1.0 + added_frac)), name=asked.name, hardware=asked.hardware, shape=shape
    )


def layout(site: Site) -> str:
    """A hash over a site; its name changes nothing."""
    return hashlib.sha256(repr(replace(site, name="site")).encode()).hexdigest()


def with_more_racks(site: Site, added_frac: float) -> Site:
    """A site whose rows have copies of their racks besides, evenly along the row, and nothing else more.

    Each row gets ``added_frac`` times its racks, rounded; copies hang on the feeds of the rack that they copy.
    """
    return replace(site, rooms=tuple(_fuller(room, added_frac) for room in site.rooms)) if added_frac else site


def _fuller(room: Room, added_frac: float) -> Room:
    aisles = (replace(aisle, rows=tuple(_with_copies(row, added_frac) for row in aisle.rows)) for aisle in room.aisles)
    return replace(room, aisles=tuple(aisles))


def _with_copies(row: Row, added_frac: float) -> Row:
    there, more = len(row.racks), round(added_frac * len(row.racks))
    copies = (_copy(row.racks[n * there // more % there], n) for n in range(more))
    return replace(row, racks=(*row.racks, *copies))


def _copy(rack: Rack, number: int) -> Rack:
    ending = f".more{number + 1}"
    servers = tuple(replace(server, name=server.name + ending) for server in rack.servers)
    return replace(rack, name=rack.name + ending, servers=servers)
