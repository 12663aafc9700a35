"""The documents of one BMC or PDU that hold readings, found by following its links."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tapas_opt.errors import InvalidInput
from tapas_opt.telemetry.http import JsonClient

__all__ = ["fetch_documents"]

ROOT = "/redfish/v1"
_FOLLOW: Mapping[str, tuple[str, ...]] = {
    "ServiceRoot": ("Chassis", "PowerEquipment"),
    "PowerEquipment": ("RackPDUs", "FloorPDUs"),
    "PowerDistribution": ("Metrics",),
    "Chassis": ("Thermal", "Power", "ThermalSubsystem", "EnvironmentMetrics"),
    "ThermalSubsystem": ("ThermalMetrics", "Fans"),
}
"""Links of each type that lead to readings; those of a collection are its members."""

_WITHOUT_THERMAL = ("Sensors",)
"""Of a chassis that has neither Thermal nor ThermalSubsystem: these may be hundreds of documents."""


def fetch_documents(client: JsonClient) -> Iterator[dict[str, Any]]:
    """Every document that can hold readings, starting at the service root.

    Links that answer with an error are passed over: firmware offers more than it has.

    Raises
    ------
    InvalidInput
        If there is no Redfish service at the address, or it refuses the credentials.
    ServerUnreachable
        If nothing answers there.
    """
    status, root = client.get(f"{ROOT}/")
    if status != 200 or not isinstance(root, dict):
        raise InvalidInput.one(client.url, ROOT, f"status {status}: there is no Redfish service")
    waiting, seen = [root], {ROOT, f"{ROOT}/"}
    while waiting:
        document = waiting.pop(0)
        yield document
        for link in _links(document):
            if link in seen or not link.startswith("/"):
                continue
            seen.add(link)
            status, found = client.get(link)
            if status == 200 and isinstance(found, dict):
                waiting.append(found)


def _links(document: Mapping[str, Any]) -> list[str]:
    kind = str(document.get("@odata.type", "")).lstrip("#").partition(".")[0]
    names = _FOLLOW.get(kind, ())
    if kind == "Chassis" and not {"Thermal", "ThermalSubsystem"} & set(document):
        names += _WITHOUT_THERMAL
    targets = [document.get(name) for name in names]
    members = document.get("Members")
    targets += members if isinstance(members, list) else []
    return [str(target["@odata.id"]) for target in targets if isinstance(target, Mapping) and "@odata.id" in target]
