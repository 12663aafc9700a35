"""Site files in YAML: read and judged in full, so that a bad file lists every fault at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import TypeAdapter

from tapas_opt.domain.fields import field_faults
from tapas_opt.domain.site import Site, ToleranceCurve
from tapas_opt.domain.yaml_file import read_yaml
from tapas_opt.errors import Fault, InvalidInput

__all__ = ["read_site", "site_from", "site_text", "write_site"]

_READER: TypeAdapter[Site] = TypeAdapter(Site)
_SHARE_TOLERANCE = 1e-6
_DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


def read_site(path: Path) -> Site:
    """Read and validate a site file.

    Raises
    ------
    InvalidInput
        Listing every fault with its path, the value found and what is allowed.
    """
    raw = read_yaml(path, "a site", "`tapas-opt site generate` makes one")
    return site_from(raw, str(path))


def site_from(raw: object, subject: str) -> Site:
    """Validate a site given as plain mappings and lists; ``subject`` names it in errors (see :func:`read_site`)."""
    site, faults = field_faults(_READER, raw)
    if isinstance(raw, Mapping):
        faults += list(_reference_faults(raw))
    if faults or not isinstance(site, Site):
        raise InvalidInput(subject, faults)
    return site


def write_site(site: Site, path: Path) -> None:
    """Write a site as :func:`read_site` reads it; tolerance curves only where they are not the usual ones."""
    path.write_text(site_text(site), encoding="utf-8")


def site_text(site: Site) -> str:
    """Return the text of a site file."""
    text: str = yaml.dump(_plain(site), Dumper=_DUMPER, sort_keys=False, width=120, default_flow_style=None)
    return text


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        items = ((field, getattr(value, field.name)) for field in fields(value))
        return {f.name: _plain(v) for f, v in items if not (isinstance(v, ToleranceCurve) and v == f.default)}
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return value


# What follows walks the raw file, not the typed site: its faults are wanted also when some field is wrong.


def _reference_faults(raw: Mapping[str, Any]) -> Iterator[Fault]:
    seen: dict[str, dict[str, str]] = {}
    hardware = _mapping(raw.get("hardware"))
    yield from _hardware_faults(hardware)
    for place, room in _items(raw, "rooms", ""):
        yield from _repeated(seen, "room", place, room)
        yield from _room_faults(place, room, hardware, seen)


def _hardware_faults(hardware: Mapping[str, Any]) -> Iterator[Fault]:
    for name, item in hardware.items():
        fields, place = _mapping(item), f"hardware.{name}"
        if fields.get("cooling") == "liquid":
            yield Fault(
                f"{place}.cooling", "'liquid' is not supported yet; leave liquid-cooled servers out of the file"
            )
        for low, high in (
            ("idle_power_w", "max_power_w"),
            ("gpu_idle_power_w", "gpu_max_power_w"),
            ("psus_needed", "psus"),
        ):
            if _number(fields.get(low)) > _number(fields.get(high), float("inf")):
                yield Fault(f"{place}.{low}", f"{fields[low]}: must not exceed {high} ({fields[high]})")


def _room_faults(
    place: str, room: Mapping[str, Any], hardware: Mapping[str, Any], seen: dict[str, dict[str, str]]
) -> Iterator[Fault]:
    upses, pdus = _names(room, "upses"), _names(room, "pdus")
    aisles = _names(room, "aisles")
    for at, ups in _items(room, "upses", place):
        yield from _repeated(seen, "ups", at, ups)
        yield from _curve_faults(at, ups, ("on_mains", "on_battery"))
    for at, pdu in _items(room, "pdus", place):
        yield from _repeated(seen, "pdu", at, pdu)
        yield from _unknown(f"{at}.ups", pdu.get("ups"), upses, "UPS of this room")
        yield from _curve_faults(at, pdu, ("breaker",))
    for at, ahu in _items(room, "ahus", place):
        yield from _repeated(seen, "ahu", at, ahu)
        yield from _ahu_faults(at, ahu, aisles)
    yield from _uncooled(place, room, aisles)
    for at, aisle in _items(room, "aisles", place):
        yield from _repeated(seen, "aisle", at, aisle)
        for at_row, row in _items(aisle, "rows", at):
            yield from _repeated(seen, "row", at_row, row)
            yield from _curve_faults(at_row, row, ("breaker",))
            for at_rack, rack in _items(row, "racks", at_row):
                yield from _repeated(seen, "rack", at_rack, rack)
                yield from _rack_faults(at_rack, rack, pdus, hardware, seen)


def _rack_faults(
    place: str,
    rack: Mapping[str, Any],
    pdus: list[str],
    hardware: Mapping[str, Any],
    seen: dict[str, dict[str, str]],
) -> Iterator[Fault]:
    feeds = rack.get("feeds")
    names = feeds if isinstance(feeds, list) else []
    for i, feed in enumerate(names):
        yield from _unknown(f"{place}.feeds[{i}]", feed, pdus, "PDU of this room")
    if len({str(name) for name in names}) < len(names):
        yield Fault(f"{place}.feeds", f"{names!r}: a PDU may feed a rack once")
    for at, server in _items(rack, "servers", place):
        yield from _repeated(seen, "server", at, server)
        yield from _unknown(f"{at}.hardware", server.get("hardware"), list(hardware), "entry of the hardware table")


def _ahu_faults(place: str, ahu: Mapping[str, Any], aisles: list[str]) -> Iterator[Fault]:
    shares = _mapping(ahu.get("aisle_shares"))
    for name in shares:
        yield from _unknown(f"{place}.aisle_shares.{name}", name, aisles, "aisle of this room")
    total = sum(_number(share) for share in shares.values())
    if shares and abs(total - 1.0) > _SHARE_TOLERANCE:
        yield Fault(f"{place}.aisle_shares", f"add up to {total:g}: must add up to 1")


def _uncooled(place: str, room: Mapping[str, Any], aisles: list[str]) -> Iterator[Fault]:
    shares = [_mapping(ahu.get("aisle_shares")) for _, ahu in _items(room, "ahus", place)]
    served = {name for of_ahu in shares for name, share in of_ahu.items() if _number(share) > 0}
    for at, aisle in _items(room, "aisles", place):
        if aisle.get("name") in aisles and aisle.get("name") not in served:
            yield Fault(at, f"{aisle['name']!r}: no AHU of the room serves this aisle")


def _curve_faults(place: str, element: Mapping[str, Any], curves: tuple[str, ...]) -> Iterator[Fault]:
    for name in curves:
        points = _mapping(element.get(name)).get("points")
        if not isinstance(points, list) or not all(isinstance(point, list) and len(point) == 2 for point in points):
            continue
        loads, times = [_number(point[0]) for point in points], [_number(point[1]) for point in points]
        if any(load <= 1 for load in loads) or sorted(set(loads)) != loads or sorted(set(times), reverse=True) != times:
            yield Fault(f"{place}.{name}.points", f"{points}: loads must rise from above 1 and times must fall")


def _repeated(seen: dict[str, dict[str, str]], kind: str, place: str, element: Mapping[str, Any]) -> Iterator[Fault]:
    name = element.get("name")
    if not isinstance(name, str):
        return
    first = seen.setdefault(kind, {}).setdefault(name, place)
    if first != place:
        yield Fault(f"{place}.name", f"{name!r}: already used by {first}; {kind} names are unique in a site")


def _unknown(place: str, name: Any, known: list[str], what: str) -> Iterator[Fault]:
    if isinstance(name, str) and name not in known:
        yield Fault(place, f"{name!r}: is no {what}; known are {', '.join(known[:8]) or 'none'}")


def _items(parent: Mapping[str, Any], key: str, place: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    items = parent.get(key)
    for i, item in enumerate(items if isinstance(items, list) else []):
        if isinstance(item, Mapping):
            yield f"{place}.{key}[{i}]".lstrip("."), item


def _names(parent: Mapping[str, Any], key: str) -> list[str]:
    return [str(item.get("name")) for _, item in _items(parent, key, "")]


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _number(value: Any, otherwise: float = 0.0) -> float:
    """Read a number; YAML takes ``1e6`` for text, and the fields accept it."""
    try:
        return otherwise if value is None or isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        return otherwise
