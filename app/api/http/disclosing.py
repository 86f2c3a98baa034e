"""Which routes may show single-unit statistics: every route is marked, and disclosures are recorded first.

Amounts, verdicts and sums over many units are not such figures: every reader of entitlements sees them.
"""

from collections.abc import Callable
from functools import wraps
from typing import Annotated, Any, Final, ParamSpec, TypeVar
from urllib.parse import unquote

import msgspec
from fastapi import Depends, Request

from app.api.http.context import AnyKey, get_disclosure_log, route_name
from app.security.disclosures import DisclosureLog, Entry
from app.use_cases.filing.row_warnings import ABOUT_ROW_ALONE

P = ParamSpec("P")
Answer = TypeVar("Answer")

MAY_SHOW_FIGURES: Final[dict[Callable[..., Any], bool]] = {}
"""Whether the responses of a handler may hold single-unit statistics; a test looks for every handler here."""


class Shown:
    """The single-unit statistics that a response shows. A handler marked so must declare them in every case.

    Args:
        log: The log that records disclosures.
        asked: The entry to record, with the reader and the query.
    """

    def __init__(self, log: DisclosureLog, asked: Entry) -> None:
        self._log = log
        self._asked = asked
        self._entry: Entry | None = None
        self._is_said = False

    def nothing(self) -> None:
        """Declare that the response shows no figure."""
        self._is_said = True

    def records(self, count: int, *, uscc: str | None = None) -> None:
        """Declare `count` records with figures, of one enterprise or of several; 0 declares nothing."""
        self._is_said = True
        if count:
            self._entry = msgspec.structs.replace(self._asked, count=count, uscc=uscc)

    def trial(self, changes: int) -> None:
        """Declare the trial of a policy document: even a trial that changes nothing reveals something."""
        self._is_said = True
        self._entry = msgspec.structs.replace(self._asked, count=changes)

    def warnings(self, answer: bytes | memoryview) -> None:
        """Declare the warnings in the response to a filing that may quote figures of the ledger."""
        listed = msgspec.json.decode(answer, type=_Warned).warnings
        self.records(sum(warning.code not in ABOUT_ROW_ALONE for warning in listed))

    def record(self) -> None:
        """Record the declared disclosure.

        Raises:
            DisclosureError: The disclosure could not be recorded.
        """
        if not self._is_said:
            raise RuntimeError(f"{self._asked.route} does not declare the figures that its response shows")
        if self._entry is not None:
            self._log.record(self._entry)


class _Warning(msgspec.Struct):
    code: str


class _Warned(msgspec.Struct):
    warnings: list[_Warning]


async def shown_in(request: Request, key: AnyKey) -> Shown:
    """The declaration for the response to a request."""
    query = request.url.query
    asked = Entry(
        kind="figures",
        actor=key.name,
        key=key.name,
        route=route_name(request),
        query=unquote(request.url.path) + (f"?{unquote(query)}" if query else ""),
    )
    return Shown(get_disclosure_log(request), asked)


ShownNeeded = Annotated[Shown, Depends(shown_in)]


def shows_figures(handler: Callable[P, Answer]) -> Callable[P, Answer]:
    """Mark a handler whose responses may hold figures; it takes `shown`, and declares there what it shows.

    The disclosure is recorded when the handler returns, before the first byte is sent. A response without a
    declaration is not sent.
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
    """Mark a handler whose responses hold no single-unit statistics for any reader."""
    MAY_SHOW_FIGURES[handler] = False
    return handler
