"""Cursors: the end of a page as an opaque text, which belongs to one query."""

import base64
import binascii
import hashlib
from collections.abc import Iterable
from typing import Annotated, Final, TypeVar

import msgspec
from fastapi import Request
from pydantic import Field

from app.api.http.paths import DIGITS
from app.api.http.problems import ApiProblem
from app.api.http.query import QueryModel
from app.runtime.storable import is_storable

CursorT = TypeVar("CursorT", bound=msgspec.Struct)

Count = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
"""A position, an amount or a count in a cursor."""

PAGE_MOST: Final = 500

_DIGEST_BYTES: Final = 9
"""Enough to detect mistakes; a forged cursor does no harm, since it shows no more than a query."""


class _Envelope(msgspec.Struct, frozen=True, array_like=True):
    query: str
    cursor: msgspec.Raw


class Cursors:
    """The cursor of a request, and the cursors for its answer.

    Args:
        query: The digest of the path and of every other parameter.
        text: The cursor in the request; None for the first page.
    """

    def __init__(self, query: str, text: str | None) -> None:
        self._query = query
        self._text = text

    def sent(self, kind: type[CursorT]) -> CursorT | None:
        """Decode the cursor of the request; the route must check the texts in it.

        Raises:
            ApiProblem: 400, the text is not a cursor of this service, or it belongs to another query.
        """
        if self._text is None:
            return None
        try:
            envelope = msgspec.json.decode(_unpadded(self._text), type=_Envelope)
            if envelope.query != self._query:
                raise _other_query()
            cursor = msgspec.json.decode(envelope.cursor, type=kind)
        except (ValueError, binascii.Error, msgspec.MsgspecError) as error:
            raise not_ours() from error
        if not is_storable(cursor):
            raise not_ours()
        return cursor

    def encode(self, cursor: object) -> str:
        """Encode a cursor for the next page of this query, as a text for a URL."""
        envelope = _Envelope(self._query, msgspec.Raw(msgspec.json.encode(cursor)))
        return base64.urlsafe_b64encode(msgspec.json.encode(envelope)).decode().rstrip("=")


class PageQuery(QueryModel):
    """The query of a route that answers in pages."""

    limit: Annotated[int, Field(ge=1, le=PAGE_MOST), DIGITS] = 100
    cursor: Annotated[
        str | None,
        Field(
            max_length=1_000,
            description="The next_cursor of the previous page. Every other parameter must be the same as for "
            "that page, otherwise 400. The answer is as of the moment of the first page.",
        ),
    ] = None

    def cursors(self, request: Request) -> Cursors:
        """The cursors for a request with this query."""
        return Cursors(query_digest(request.url.path, request.query_params.multi_items()), self.cursor)


def query_digest(path: str, query: Iterable[tuple[str, str]]) -> str:
    """Compute the digest of a query without its cursor; the order of parameters does not matter."""
    others = sorted(pair for pair in query if pair[0] != "cursor")
    digest = hashlib.sha256(msgspec.json.encode([path, others])).digest()
    return base64.urlsafe_b64encode(digest[:_DIGEST_BYTES]).decode()


def _unpadded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _other_query() -> ApiProblem:
    detail = "cursor须与取得它时的其他参数一并使用：参数已改变，请去掉cursor从第一页查起。"
    return ApiProblem(400, "cursor-mismatch", detail)


def not_ours() -> ApiProblem:
    """The answer to a text that is not a cursor of this service."""
    return ApiProblem(400, "invalid-request", "cursor不是本服务给出的：请原样使用next_cursor。")
