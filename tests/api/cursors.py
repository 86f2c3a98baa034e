"""Cursors that nobody gave out."""

from app.api.http.cursors import Cursors, digest_of


def made_up_cursor(path: str, cursor: object, **query: str) -> str:
    """A cursor that goes with a query, of values that ours may not have."""
    return Cursors(digest_of(path, list(query.items())), None).text_of(cursor)
