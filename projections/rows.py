"""The values of the read models' rows, in the order of their tables, and values that follow from them."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from domain.forms import FORMS


class Enterprise(NamedTuple):
    """Name, region and industry of an enterprise, as in one of its returns."""

    name: str
    region_code: str
    industry_code: str


class ReturnRow(NamedTuple):
    """The values of `tables.returns`."""

    type: str
    name: str
    region_code: str
    industry_code: str
    version: int
    current_fen: int | None
    actor: str
    recorded_at_us: int
    position: int
    state: bytes


class EntitlementRow(NamedTuple):
    """The values of `tables.entitlements`; `state` is None if it was not loaded."""

    stage: str
    status: str
    measure: str | None
    form: str | None
    assessed_fen: int
    open_fen: int
    selected_fen: int
    capped_by: str
    region_code: str | None
    industry: str | None
    state: bytes | None
    position: int


class EnterpriseRow(NamedTuple):
    """The values of `tables.enterprises`."""

    name: str
    region_code: str
    industry_code: str
    assessed_by: str


class AccountRow(NamedTuple):
    """The values of `tables.accounts`."""

    name: str
    region_code: str
    industry_code: str
    assessed_fen: int
    open_fen: int
    preliminary_fen: int
    periods: int


class DisputeKey(NamedTuple):
    """The key of a disagreement within a window: the policy ("" for all) and the position."""

    policy: str
    position: int


class DisputeRow(NamedTuple):
    """The values of `tables.disagreements`."""

    stream: str
    type: str
    period: str
    reason: str


Registered = dict[tuple[str, str], Enterprise]
"""An enterprise as in each of its standing returns, by period and form."""

Periods = dict[str, EntitlementRow]
"""The assessed periods of an account."""


def latest(registered: Registered, periods: Sequence[str]) -> Enterprise | None:
    """The enterprise as in its return of the latest of these periods, `E204-1` first; None without a return.

    Args:
        registered: The standing returns of the enterprise.
        periods: The periods, the latest first.
    """
    for period in periods:
        for form in FORMS:
            found = registered.get((period, form))
            if found is not None:
                return found
    return None


def account_row(enterprise: Enterprise | None, periods: Mapping[str, EntitlementRow]) -> AccountRow | None:
    """The sums of an account; None without a period."""
    if enterprise is None or not periods:
        return None
    assessed_fen = open_fen = preliminary_fen = 0
    for row in periods.values():
        assessed_fen += row.assessed_fen
        open_fen += row.open_fen
        if row.stage == "preliminary":
            preliminary_fen += row.assessed_fen
    name, region_code, industry_code = enterprise
    return AccountRow(name, region_code, industry_code, assessed_fen, open_fen, preliminary_fen, len(periods))
