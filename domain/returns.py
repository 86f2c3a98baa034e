"""The returns of one enterprise and year: what the statistics bureau registered, and what stands of it."""

from collections.abc import Iterable
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
from domain.periods import Window, period_of
from domain.words import record_name

RegisteredT = TypeVar("RegisteredT", ReturnFiled, ReturnRevised)


class Standing(NamedTuple):
    """A return that stands, and the record of it."""

    registered: Return
    record: RecordRef


class ReturnVersion(msgspec.Struct, frozen=True):
    """One version of a return: what was registered, or that it was withdrawn."""

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
    """Why a return may not replace the one that stands: a problem code of the contract."""

    code: str


REVISION_NEEDS_REASON = Conflict("revision-needs-reason")
STAGE_REGRESSES = Conflict("stage-regresses")


class AnnualReturns:
    """The aggregate of facts: at most one return stands for each period and form.

    Args:
        stream: The name of its stream.
        events: Of the stream, in the order of their versions.

    Attributes:
        stream: The name of its stream.
        version: The number of events in its stream.
        standing: By form and period as the contract writes them.
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
        """What an auditor reads in a replay of such a log."""
        before = "已有登记" if (event.form, event.period) in self.standing else "没有登记"
        return LedgerIntegrityError(
            f"第{self.version}版为{record_name(event)}，而此前{event.period} {event.form}{before}"
        )

    def file(self, draft: Return) -> ReturnFiled | ReturnRevised | Conflict | None:
        """Register a return, replacing the one that stands for its period and form.

        Returns:
            The event, already applied; None where nothing would change; or the conflict.
        """
        before = self.standing.get((draft.form, draft.period))
        event: ReturnFiled | ReturnRevised
        if before is None:
            event = _as_event(ReturnFiled, draft)
        else:
            conflict = conflict_of(before.registered, draft)
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
        """Withdraw a wrong registration; None where nothing stands."""
        if (form, period) not in self.standing:
            return None
        event = ReturnWithdrawn(form=form, period=period, reason=reason, origin=origin, document=document)
        self.apply(event)
        return event


def standing_in(window: Window, returns: Iterable[AnnualReturns]) -> dict[str, dict[str, Standing]]:
    """The returns that stand in a window: by period in the order of time, then by form.

    Args:
        window: The window.
        returns: Of one enterprise, of the years that the window has months of.
    """
    found: dict[str, dict[str, Standing]] = {}
    for of_year in returns:
        for (form, text), standing in of_year.standing.items():
            if window.holds(period_of(text)):
                found.setdefault(text, {})[form] = standing
    return {text: found[text] for text in sorted(found, key=period_of)}


def required_figure(registered: Return) -> Figure:
    """The item without which a return says nothing: 零售额 of E204-1, 餐费收入 of S204-1."""
    return registered.figures[FORMS[registered.form].required_item]


def conflict_of(before: Return, draft: Return) -> Conflict | None:
    """Why a return may not replace this one that stands; None if it may, or says the same."""
    if before.stage == "preliminary":
        return None
    if draft.stage == "preliminary":
        return STAGE_REGRESSES
    if draft.reason is None and not draft.says_the_same_as(before):
        return REVISION_NEEDS_REASON
    return None


def _as_event(kind: type[RegisteredT], draft: Return) -> RegisteredT:
    return kind(**{name: getattr(draft, name) for name in Return.__struct_fields__})
