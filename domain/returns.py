"""The returns of one enterprise and year: what the statistics bureau registered, and the standing returns.

A standing return is the last one registered for its period and form, unless it was withdrawn.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple, TypeVar

import msgspec

from domain.errors import LedgerIntegrityError
from domain.events import (
    AnyEvent,
    Figure,
    Origin,
    RecordRef,
    Return,
    ReturnFiled,
    ReturnRevised,
    ReturnWithdrawn,
    UnreadableEvent,
)
from domain.forms import FORMS
from domain.periods import Period, period_of
from domain.words import record_name

RegisteredT = TypeVar("RegisteredT", ReturnFiled, ReturnRevised)


class Standing(NamedTuple):
    """A standing return, and the record that registered it."""

    registered: Return
    record: RecordRef


class ReturnVersion(msgspec.Struct, frozen=True):
    """One version of a return: a registration, or its withdrawal."""

    uscc: str
    form: str
    period: str
    type: str
    event: Return | ReturnWithdrawn
    version: int
    actor: str
    recorded_at_us: int
    position: int


class Conflict(msgspec.Struct, frozen=True, gc=False):
    """Why a return may not replace the standing one: the code of the problem in the API."""

    code: str


REVISION_NEEDS_REASON = Conflict("revision-needs-reason")
STAGE_REGRESSES = Conflict("stage-regresses")


class AnnualReturns:
    """The aggregate of facts: it has at most one standing return for each period and form.

    Args:
        stream: The name of its stream.
        events: The events of the stream, in the order of their versions.

    Attributes:
        stream: The name of its stream.
        version: The number of events in its stream.
        standing: The standing returns by form and period, as the API writes them.
    """

    __slots__ = ("standing", "stream", "version")

    def __init__(self, stream: str, events: Iterable[AnyEvent] = ()) -> None:
        self.stream = stream
        self.version = 0
        self.standing: dict[tuple[str, str], Standing] = {}
        for event in events:
            self.apply(event)

    def apply(self, event: AnyEvent) -> None:
        """Bring the aggregate up to date with the next event of its stream.

        Raises:
            LedgerIntegrityError: The event cannot follow what came before.
        """
        self.version += 1
        match event:
            case ReturnFiled() | ReturnRevised():
                key = (event.form, event.period)
                if (key in self.standing) != isinstance(event, ReturnRevised):
                    raise self._contradiction(event)
                self.standing[key] = Standing(event, RecordRef(self.stream, self.version))
            case ReturnWithdrawn():
                if (event.form, event.period) not in self.standing:
                    raise self._contradiction(event)
                del self.standing[event.form, event.period]
            case UnreadableEvent():
                raise LedgerIntegrityError(event.reason)
            case _:
                raise LedgerIntegrityError(f"{record_name(event)}不是数据登记的记录")

    def _contradiction(self, event: Return | ReturnWithdrawn) -> LedgerIntegrityError:
        """The error that an auditor reads after a replay of such a log."""
        before = "已有登记" if (event.form, event.period) in self.standing else "没有登记"
        return LedgerIntegrityError(
            f"第{self.version}版为{record_name(event)}，而此前{event.period} {event.form}{before}"
        )

    def file(self, draft: Return) -> ReturnFiled | ReturnRevised | Conflict | None:
        """Register a return in place of the standing one for its period and form.

        Returns:
            The event, already applied; None if nothing would change; or the conflict.
        """
        before = self.standing.get((draft.form, draft.period))
        event: ReturnFiled | ReturnRevised
        if before is None:
            event = _as_event(ReturnFiled, draft)
        else:
            conflict = find_conflict(before.registered, draft)
            if conflict is not None:
                return conflict
            if draft.says_the_same_as(before.registered):
                return None
            event = _as_event(ReturnRevised, draft)
        self.apply(event)
        return event

    def withdraw(
        self, *, form: str, period: str, reason: str, origin: Origin | None, document: str | None
    ) -> ReturnWithdrawn | None:
        """Withdraw a wrong registration, and return the applied event; None without a standing return."""
        if (form, period) not in self.standing:
            return None
        event = ReturnWithdrawn(form=form, period=period, reason=reason, origin=origin, document=document)
        self.apply(event)
        return event


def standing_by_period(
    returns: Iterable[AnnualReturns], counts: Callable[[Period], bool]
) -> dict[str, dict[str, Standing]]:
    """The standing returns of an enterprise: by period in the order of time, then by form.

    Args:
        returns: The returns of the enterprise.
        counts: Whether the returns of a period are wanted.
    """
    found: dict[str, dict[str, Standing]] = {}
    for of_year in returns:
        for (form, text), standing in of_year.standing.items():
            if text in found:
                found[text][form] = standing
            elif counts(period_of(text)):
                found[text] = {form: standing}
    return {text: found[text] for text in sorted(found, key=period_of)}


def required_figure(registered: Return) -> Figure:
    """The figure that every return must have: 零售额 on E204-1, 餐费收入 on S204-1."""
    return registered.figures[FORMS[registered.form].required_item]


def find_conflict(before: Return, draft: Return) -> Conflict | None:
    """Why a return may not replace this standing one; None if it may, or if it says the same."""
    if before.stage == "preliminary":
        return None
    if draft.stage == "preliminary":
        return STAGE_REGRESSES
    renamed = msgspec.structs.replace(before, name=draft.name, region_code=draft.region_code)
    if draft.reason is None and not draft.says_the_same_as(renamed):
        return REVISION_NEEDS_REASON
    return None


def _as_event(kind: type[RegisteredT], draft: Return) -> RegisteredT:
    return kind(**{name: getattr(draft, name) for name in Return.__struct_fields__})
