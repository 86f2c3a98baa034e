"""Cursors: where a page ended, as an opaque text."""

import base64
import binascii
from typing import TypeVar

import msgspec

from app.api.problems import ApiProblem
from app.storable import is_storable

CursorT = TypeVar("CursorT", bound=msgspec.Struct)


def encoded(cursor: msgspec.Struct) -> str:
    """The cursor as a text for a URL."""
    return base64.urlsafe_b64encode(msgspec.json.encode(cursor)).decode().rstrip("=")


def decoded(text: str, kind: type[CursorT]) -> CursorT:
    """The cursor of a text; of values that no cursor of ours has, the route says so itself."""
    try:
        cursor = msgspec.json.decode(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)), type=kind)
    except (ValueError, binascii.Error, msgspec.MsgspecError) as error:
        raise not_ours() from error
    if not is_storable(cursor):
        raise not_ours()
    return cursor


def not_ours() -> ApiProblem:
    """The answer to a cursor that was not given out."""
    return ApiProblem(400, "invalid-request", "This cursor is not one of ours: take next_cursor as it is.")
