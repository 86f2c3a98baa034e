"""`/v1/events`: the log, as it is."""

from typing import Annotated

import msgspec
from fastapi import APIRouter, Query

from app.api import models
from app.api.context import AuditorKey, LedgerNeeded
from app.api.errors_declared import errors
from app.api.paths import uscc_of
from app.api.read_again import ReadAgain
from app.api.times import rfc_3339
from app.database import reading

router = APIRouter(prefix="/v1/events", tags=["events"], route_class=ReadAgain)


@router.get(
    "",
    operation_id="listEvents",
    response_model=models.EventPage,
    responses=errors(400, 401, 403, 503),
)
def list_events(
    ledger: LedgerNeeded,
    _: AuditorKey,
    after: Annotated[int, Query(ge=0, lt=2**63)] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    uscc: str | None = None,
) -> models.EventPage:
    """The events after a position, in the order of the log."""
    with reading(ledger.engine) as connection:
        entries = ledger.page(
            connection, after=after, limit=limit, uscc=None if uscc is None else uscc_of(uscc)
        )
    items = [
        models.LoggedEvent(
            position=each.position,
            stream=each.stream,
            version=each.version,
            type=each.type,
            recorded_at=rfc_3339(each.recorded_at_us),
            actor=each.actor,
            data=msgspec.to_builtins(each.event),
        )
        for each in entries
    ]
    return models.EventPage(items=items, next_after=items[-1].position if items else after)
