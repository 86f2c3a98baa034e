"""Parses the filters of a list: known values, given by code or by Chinese name."""

from collections.abc import Iterator

from sqlalchemy import Connection

from app.use_cases.reading.as_of import PolicyAsOf
from domain.regions import REGIONS, region_name
from domain.words import INDUSTRIES, parse_code
from projections.queries import policies, totals
from projections.queries.listing import has_industry
from projections.tables import FOREVER


def parse_region(connection: Connection, text: str | None, window: str | None) -> str | None:
    """Parse a region: a district, or a region in which some enterprise was ever registered.

    Args:
        connection: A connection in a read transaction.
        text: The code or the name; None for all regions.
        window: The window of the list; None for all.

    Returns:
        The code.

    Raises:
        UnknownValueError: The text names no such region.
    """
    if text is None or text in REGIONS:
        return text
    windows = _windows(connection, window)
    registered = {code for name in windows for code in totals.regions(connection, name)}
    names = {**REGIONS, **{code: region_name(code) for code in sorted(registered - REGIONS.keys())}}
    return parse_code("region_code", text, names)


def _windows(connection: Connection, window: str | None) -> Iterator[str]:
    """Yield the window of the list, and the windows of every policy."""
    if window is not None:
        yield window
    for version in policies.published(connection, FOREVER):
        yield from map(str, version.windows)


def parse_measure(connection: Connection, text: str | None, at: PolicyAsOf) -> str | None:
    """Parse a measure of any version of the policy; return its id.

    Raises:
        UnknownValueError: The text names no such measure.
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
    """Parse a prefix of industry codes: of industries that use the forms, or of a registered code.

    Raises:
        UnknownValueError: The text is no such prefix.
    """
    if text is None or any(text.startswith(code) or code.startswith(text) for code in INDUSTRIES if text):
        return text
    if text.isascii() and text.isdecimal() and has_industry(connection, window, text):
        return text
    return parse_code("industry", text, INDUSTRIES)
