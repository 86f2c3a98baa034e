"""Cursors that nobody gave out."""

from app.api.http.cursors import Cursors, query_digest


def made_up_cursor(path: str, cursor: object, **query: str) -> str:
    """A cursor that goes with a query, of values that ours may not have."""
    return Cursors(query_digest(path, list(query.items())), None).encode(cursor)
