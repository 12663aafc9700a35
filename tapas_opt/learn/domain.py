"""What a row draws beside its servers, and how far a domain's sums may lie above their prediction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pydantic import ConfigDict

from tapas_opt.domain.fields import STRICT, NonNegative
from tapas_opt.learn.artefact import Finite

__all__ = ["DOMAIN_KINDS", "MarginEntry", "OverheadEntry", "domain_key"]

DOMAIN_KINDS = ("rack", "row", "aisle", "pdu", "ups")


@dataclass(frozen=True, slots=True)
class OverheadEntry:
    """A row's meter less the sum of its servers, in W: switches and losses. An upper value, and what is usual."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    overhead_w: NonNegative
    usual_w: Finite | None = None


@dataclass(frozen=True, slots=True)
class MarginEntry:
    """One domain: (1 + margin) × the highest Σ of central predictions of a day covers the day's maximum.

    Attributes
    ----------
    rise_5min_frac, rise_15min_frac
        How much of what the domain draws may be added within minutes, on 99 % of days, by what nobody decides upon:
        VMs that were there before and run no configuration of ours. None in models that were fitted without it.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    margin_frac: NonNegative
    rise_5min_frac: NonNegative | None = None
    rise_15min_frac: NonNegative | None = None


def domain_key(kind: str, name: str) -> str:
    """``row:R1``: how a domain is called in the file."""
    return f"{kind}:{name}"
