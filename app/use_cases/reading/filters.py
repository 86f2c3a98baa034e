"""What a list may be narrowed to: values are given by code or by Chinese name, and are known ones."""

from collections.abc import Iterator

from sqlalchemy import Connection

from app.use_cases.reading.as_of import PolicyAsOf
from domain.regions import REGIONS, region_name
from domain.words import INDUSTRIES, parse_code
from projections.queries import policies, totals
from projections.queries.listing import has_industry
from projections.tables import FOREVER


def parse_region(connection: Connection, text: str | None, window: str | None) -> str | None:
    """The code of a region: a district, or one that some enterprise was ever registered in.

    Args:
        connection: In a transaction that reads.
        text: What was given; None for all regions.
        window: The window that is asked about; None for all.

    Raises:
        UnknownValueError: It is no such region.
    """
    if text is None or text in REGIONS:
        return text
    registered = {code for each in _windows(connection, window) for code in totals.regions(connection, each)}
    names = {**REGIONS, **{code: region_name(code) for code in sorted(registered - REGIONS.keys())}}
    return parse_code("region_code", text, names)


def _windows(connection: Connection, window: str | None) -> Iterator[str]:
    """The windows that are asked about, and those of every policy."""
    if window is not None:
        yield window
    for version in policies.published(connection, FOREVER):
        yield from map(str, version.windows)


def parse_measure(connection: Connection, text: str | None, at: PolicyAsOf) -> str | None:
    """The id of a measure: one that any version of the policy has.

    Raises:
        UnknownValueError: It is no such measure.
    """
    if text is None:
        return None
    names = {
        measure.id: measure.name
        for version in policies.published(connection, FOREVER)
        if at.policy_id in {None, version.ref.id}
        for measure in policies.policy_of(connection, version.ref).document.measures
    }
    return parse_code("measure", text, names)


def parse_industry(connection: Connection, text: str | None, window: str) -> str | None:
    """The beginning of industry codes: of those that report on the forms, or of one that was registered.

    Raises:
        UnknownValueError: It is no such beginning.
    """
    if text is None or any(text.startswith(code) or code.startswith(text) for code in INDUSTRIES if text):
        return text
    if text.isascii() and text.isdecimal() and has_industry(connection, window, text):
        return text
    return parse_code("industry", text, INDUSTRIES)
