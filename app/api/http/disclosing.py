"""Which routes may show figures of single units: each is marked, and who sees some is recorded before.

Amounts, verdicts and sums over many are no figures: every reader of entitlements sees them.
"""

from collections.abc import Callable
from functools import wraps
from typing import Annotated, Any, Final, ParamSpec, TypeVar
from urllib.parse import unquote

import msgspec
from fastapi import Depends, Request

from app.api.http.context import AnyKey, disclosures_of, route_of
from app.security.disclosures import DisclosureLog, Entry
from app.use_cases.filing.row_warnings import OF_THE_ROW_ALONE

P = ParamSpec("P")
Answer = TypeVar("Answer")

MAY_SHOW_FIGURES: Final[dict[Callable[..., Any], bool]] = {}
"""Whether the answers of a handler may hold figures of single units; a test looks for every handler here."""


class Shown:
    """What an answer shows of single units. A handler that is marked so says it in every case.

    Args:
        log: Where it is recorded.
        asked: Who asks for what.
    """

    def __init__(self, log: DisclosureLog, asked: Entry) -> None:
        self._log = log
        self._asked = asked
        self._entry: Entry | None = None
        self._is_said = False

    def nothing(self) -> None:
        """No figure."""
        self._is_said = True

    def records(self, count: int, *, uscc: str | None = None) -> None:
        """So many records with figures, of one enterprise or of several; 0 is nothing."""
        self._is_said = True
        if count:
            self._entry = msgspec.structs.replace(self._asked, count=count, uscc=uscc)

    def trial(self, changes: int) -> None:
        """What a document would change: even that it is nothing tells of figures."""
        self._is_said = True
        self._entry = msgspec.structs.replace(self._asked, count=changes)

    def warnings(self, answer: bytes | memoryview) -> None:
        """The warnings in the answer of a filing, as far as they may quote what the ledger holds."""
        told = msgspec.json.decode(answer, type=_Warned).warnings
        self.records(sum(each.code not in OF_THE_ROW_ALONE for each in told))

    def record(self) -> None:
        """Record what was said.

        Raises:
            DisclosureError: It could not be recorded.
        """
        if not self._is_said:
            raise RuntimeError(f"{self._asked.route} does not say what figures its answer shows")
        if self._entry is not None:
            self._log.record(self._entry)


class _Warning(msgspec.Struct):
    code: str


class _Warned(msgspec.Struct):
    warnings: list[_Warning]


async def shown_in(request: Request, key: AnyKey) -> Shown:
    """What the answer of a request will show."""
    query = request.url.query
    asked = Entry(
        kind="figures",
        actor=key.name,
        key=key.name,
        route=route_of(request),
        query=unquote(request.url.path) + (f"?{unquote(query)}" if query else ""),
    )
    return Shown(disclosures_of(request), asked)


ShownNeeded = Annotated[Shown, Depends(shown_in)]


def shows_figures(handler: Callable[P, Answer]) -> Callable[P, Answer]:
    """Mark a handler whose answers may hold figures; it takes `shown`, and says there what it shows.

    That is recorded when it returns, before the first byte is sent. What says nothing is not sent.
    """

    @wraps(handler)
    def recording(*args: P.args, **kwargs: P.kwargs) -> Answer:
        answer = handler(*args, **kwargs)
        shown = kwargs["shown"]
        if not isinstance(shown, Shown):
            raise TypeError(shown)
        shown.record()
        return answer

    MAY_SHOW_FIGURES[recording] = True
    return recording


def shows_no_figures(handler: Callable[P, Answer]) -> Callable[P, Answer]:
    """Mark a handler whose answers never hold figures of single units, whoever asks."""
    MAY_SHOW_FIGURES[handler] = False
    return handler
