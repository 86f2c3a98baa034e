"""`/v1/events`: the events of the log."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field

from app.answers import models
from app.answers.presenters import event_page
from app.api.http.context import AuditorKey, LedgerNeeded, MomentQuery
from app.api.http.disclosing import ShownNeeded, shows_figures
from app.api.http.errors_declared import errors
from app.api.http.paths import DIGITS, POSITION, parse_uscc
from app.api.http.read_again import ReadAgain
from app.runtime.database import read_transaction
from app.use_cases.reading.as_of import events_after, resolve_log_moment
from domain.events import Return

router = APIRouter(prefix="/v1/events", tags=["events"], route_class=ReadAgain)


class EventsQuery(MomentQuery):
    """The query of the list of events."""

    after: Annotated[int, Field(ge=0, description="A position; above the head, 422."), POSITION] = 0
    limit: Annotated[int, Field(ge=1, le=1000), DIGITS] = 100
    uscc: str | None = None


@router.get(
    "",
    operation_id="listEvents",
    response_model=models.EventPage,
    responses=errors(400, 401, 403, 422, 503),
)
@shows_figures
def list_events(
    ledger: LedgerNeeded,
    _: AuditorKey,
    shown: ShownNeeded,
    query: Annotated[EventsQuery, Query()],
) -> models.EventPage:
    """List the events after a position and up to the moment, in the order of the log."""
    moment = query.moment(ledger)
    uscc = None if query.uscc is None else parse_uscc(query.uscc)
    with read_transaction(ledger.engine) as connection:
        at = resolve_log_moment(ledger, connection, moment)
        entries = events_after(ledger, connection, query.after, at, limit=query.limit, uscc=uscc)
    shown.records(sum(isinstance(entry.event, Return) for entry in entries), uscc=uscc)
    return event_page(entries, at, after=query.after)
