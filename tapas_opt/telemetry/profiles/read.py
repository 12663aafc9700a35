"""The door to profiles: a table of ours, or a folder of a public set that is turned into one."""

from __future__ import annotations

from pathlib import Path

from tapas_opt.domain.configuration import Profile
from tapas_opt.domain.configuration import read_profiles as read_table
from tapas_opt.errors import InvalidInput
from tapas_opt.telemetry.profiles import mlenergy, splitwise

__all__ = ["read_profiles"]

_READERS = {
    mlenergy.V2: mlenergy.read_v2,
    mlenergy.V3: mlenergy.read_v3,
    splitwise.FILE: splitwise.read_splitwise,
}
"""A public set is known by the names of its files."""


def read_profiles(path: Path) -> tuple[Profile, ...]:
    """Read a table of profiles (CSV), or all that a folder has of ML.ENERGY's and Splitwise's measurements.

    Raises
    ------
    InvalidInput
        Listing every bad cell by line and column; or if the folder holds no file that is known, or nothing of use.
    """
    if not path.is_dir():
        return read_table(path)
    found = [name for name in _READERS if (path / name).exists()]
    if not found:
        raise InvalidInput.one(str(path), "folder", f"holds none of {', '.join(_READERS)}; give it, or a table (CSV)")
    profiles = tuple(profile for name in found for profile in _READERS[name](path / name))
    if not profiles:
        what = "holds nothing that fits into a server and keeps its default promise; give another folder"
        raise InvalidInput.one(str(path), ", ".join(found), what)
    return profiles
