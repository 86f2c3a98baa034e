"""`/v1/audit/disagreements`: the events that contradict the read models."""

from typing import Annotated

import msgspec
from fastapi import APIRouter, Query
from pydantic import Field

from app.answers import models
from app.answers.presenters import as_of
from app.api.http.context import AuditorKey, LedgerNeeded, MomentQuery
from app.api.http.disclosing import shows_no_figures
from app.api.http.errors_declared import errors
from app.api.http.paths import DIGITS
from app.api.http.read_again import ReadAgain
from app.runtime.database import read_transaction
from app.use_cases.reading.as_of import resolve_moment
from projections.queries import disagreements

router = APIRouter(prefix="/v1/audit", tags=["audit"], route_class=ReadAgain)


class DisagreementsQuery(MomentQuery):
    """The query of the list of disagreements."""

    after: Annotated[int, Field(ge=0, lt=2**63), DIGITS] = 0
    limit: Annotated[int, Field(ge=1, le=1000), DIGITS] = 100


@router.get(
    "/disagreements",
    operation_id="listDisagreements",
    response_model=models.DisagreementPage,
    responses=errors(400, 401, 403, 422, 503),
)
@shows_no_figures
def list_disagreements(
    ledger: LedgerNeeded,
    _: AuditorKey,
    query: Annotated[DisagreementsQuery, Query()],
) -> models.DisagreementPage:
    """List the events after a position that contradict the read models; `total` counts all of them."""
    moment = query.moment(ledger)
    with read_transaction(ledger.engine) as connection:
        at = resolve_moment(connection, moment)
        found = disagreements.page(connection, at.position, after=query.after, limit=query.limit)
        total = disagreements.count(connection, at.position)
    return models.DisagreementPage(
        items=[models.Disagreement(**msgspec.structs.asdict(row)) for row in found],
        total=total,
        next_after=found[-1].position if found else query.after,
        as_of=as_of(at),
    )
