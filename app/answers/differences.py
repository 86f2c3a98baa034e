"""The answers about differences (变动明细): amounts in fen before and after, and what caused the change."""

from typing import Any, Literal

import msgspec
from pydantic import Field

from app.answers import models
from app.answers.models import Model
from app.answers.presenters import as_of
from app.answers.times import rfc_3339
from app.use_cases.audit.differences import Cause, Change, Difference, Moments, Sums
from domain.events import Return
from domain.returns import ReturnVersion
from projections.queries.policies import PolicyVersion


class DifferenceCause(Model):
    """A record that caused a change: of a return, or the publication of a version of the policy."""

    position: int
    type: Literal["ReturnFiled", "ReturnRevised", "ReturnWithdrawn", "PolicyPublished", "PolicyWithdrawn"]
    recorded_at: str
    actor: str
    form: str | None
    period: str | None = Field(
        description="An earlier one where a limit of a longer window passes a change on."
    )
    reason: str | None
    origin: str | None
    document: str | None
    source: dict[str, Any] | None
    policy: models.PolicyRef | None = Field(description="What was published or withdrawn.")
    policy_before: models.PolicyRef | None = Field(
        description="The version that it took the place of; None of a first publication."
    )
    policy_repeats: int | None = Field(
        description="The earlier version whose document was published again; None of a new document."
    )


class DifferenceChange(Model):
    """A change of an amount by one transaction; `position` is its end."""

    position: int
    recorded_at: str
    before_fen: int | None
    after_fen: int | None
    causes: list[DifferenceCause]


class DifferenceItem(Model):
    """A period of an account whose amount is another one at the later moment."""

    uscc: str
    name: str
    region_code: str
    policy: str
    window: str
    period: str
    before_fen: int | None = Field(description="None where it was not assessed.")
    after_fen: int | None = Field(description="None where it is not assessed any more.")
    difference_fen: int
    changes: list[DifferenceChange]


class DifferencePage(Model):
    """A page of differences, by code, policy, window and period; the sums are over all asked about."""

    items: list[DifferenceItem]
    next_cursor: str | None = Field(
        description="None after the last page. A page may be shorter than limit, even empty, before it."
    )
    before_fen: int = Field(description="The sum of all amounts at the earlier moment.")
    after_fen: int = Field(description="The sum of all amounts at the later moment.")
    difference_fen: int = Field(description="Of the sums, and the sum of the differences of all pages.")
    before: models.AsOf
    after: models.AsOf


def difference_page(
    items: list[Difference], next_cursor: str | None, sums: Sums, moments: Moments
) -> DifferencePage:
    """A page."""
    return DifferencePage(
        items=[difference_item(each) for each in items], next_cursor=next_cursor, **heading(sums, moments)
    )


def heading(sums: Sums, moments: Moments) -> dict[str, Any]:
    """The sums and the moments."""
    return {
        "before_fen": sums.before_fen,
        "after_fen": sums.after_fen,
        "difference_fen": sums.difference_fen,
        "before": as_of(moments.first),
        "after": as_of(moments.last),
    }


def difference_item(difference: Difference) -> DifferenceItem:
    """A difference with what caused it."""
    fields = {name: getattr(difference, name) for name in difference.__struct_fields__}
    changes = [_change(each) for each in difference.changes]
    return DifferenceItem(**{**fields, "difference_fen": difference.difference_fen, "changes": changes})


def _change(change: Change) -> DifferenceChange:
    return DifferenceChange(
        position=change.position,
        recorded_at=rfc_3339(change.recorded_at_us),
        before_fen=change.before_fen,
        after_fen=change.after_fen,
        causes=[_cause(each) for each in change.causes],
    )


def _cause(cause: Cause) -> DifferenceCause:
    found: dict[str, Any] = dict.fromkeys(DifferenceCause.model_fields)
    found |= {
        "position": cause.position,
        "recorded_at": rfc_3339(cause.recorded_at_us),
        "actor": cause.actor,
    }
    if isinstance(cause, ReturnVersion):
        event = cause.event
        source = event.source if isinstance(event, Return) else None
        found |= {name: getattr(cause, name) for name in ("type", "form", "period")}
        found |= {name: getattr(event, name) for name in ("reason", "origin", "document")}
        found["source"] = None if source is None else msgspec.to_builtins(source)
    elif cause.withdrawn is not None:
        found |= {"type": cause.withdrawn.type, "policy": _policy(cause.published)}
        found |= {name: getattr(cause.withdrawn, name) for name in ("reason", "document")}
    else:
        found |= {
            "type": "PolicyPublished",
            "policy": _policy(cause.published),
            "policy_before": None if cause.before is None else _policy(cause.before),
            "policy_repeats": cause.repeats,
        }
    return DifferenceCause(**found)


def _policy(version: PolicyVersion) -> models.PolicyRef:
    return models.PolicyRef(**msgspec.structs.asdict(version.ref))
