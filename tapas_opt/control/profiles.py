"""What instances may run: profiles by configuration and hardware, and the choices that are made of them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

from tapas_opt.control.actuation import Option
from tapas_opt.domain.configuration import LOAD_LEVELS, Profile
from tapas_opt.domain.workload import Endpoint
from tapas_opt.errors import InvalidInput
from tapas_opt.learn.models import LearnedModels

__all__ = ["PARKED", "Profiles", "choice_name"]

PARKED = "parked"


def choice_name(configuration: str, level: float) -> str:
    """``<configuration>@<level>``, the name of an instance's choice."""
    return f"{configuration}@{level:g}"


class Profiles:
    """Profiles by configuration and hardware; they do not change, so what hangs on them alone is worked out once."""

    def __init__(self, profiles: Sequence[Profile]) -> None:
        self.all = tuple(profiles)
        self._by_key = {(p.configuration.name, p.hardware): p for p in profiles}

    def measured(self, models: LearnedModels) -> Profiles:
        """These, with the powers that history has measured often enough; see :mod:`tapas_opt.learn.instance`."""
        return Profiles([models.measured_profile(profile) for profile in self.all])

    def get(self, configuration: str, hardware: str) -> Profile | None:
        """The profile, or None when it was never measured there."""
        return self._by_key.get((configuration, hardware))

    @cached_property
    def names(self) -> frozenset[str]:
        """Every configuration that has a profile somewhere."""
        return frozenset(name for name, _ in self._by_key)

    @cached_property
    def options(self) -> tuple[Option, ...]:
        """Every profiled configuration at every level, and parked at the end."""
        by_name: dict[str, Profile] = {p.configuration.name: p for p in self.all}
        levelled = [
            Option(choice_name(name, level), profile, level)
            for name, profile in by_name.items()
            for level in LOAD_LEVELS
        ]
        return (*levelled, Option(PARKED, None, 0.0))

    def of_endpoint(self, endpoint: Endpoint, hardware: str) -> Profile:
        """The profile of an endpoint's preferred configuration; raises InvalidInput when there is none."""
        profile = self.get(endpoint.configuration, hardware)
        if profile is None:
            what = f"{endpoint.configuration!r} has no profile on {hardware}; name one of the profile table"
            raise InvalidInput.one(f"endpoint {endpoint.name}", "configuration", what)
        return profile
