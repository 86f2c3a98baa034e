"""The answers about differences (变动明细): amounts in fen before and after, and the causes."""

from typing import Any, Literal

import msgspec
from pydantic import Field

from app.answers import models
from app.answers.models import Model
from app.answers.presenters import as_of
from app.runtime.times import rfc_3339
from app.use_cases.audit.differences import Cause, Change, Difference, Moments, Sums
from domain.events import Return
from domain.returns import ReturnVersion
from projections.queries.policies import PolicyVersion


class DifferenceCause(Model):
    """A record that caused a change: a version of a return, or the publication or withdrawal of a policy."""

    position: int
    type: Literal["ReturnFiled", "ReturnRevised", "ReturnWithdrawn", "PolicyPublished", "PolicyWithdrawn"]
    recorded_at: str
    actor: str
    form: str | None
    period: str | None = Field(
        description="An earlier period if a limit of a longer window carries its change over."
    )
    reason: str | None
    origin: str | None
    document: str | None
    source: dict[str, Any] | None
    policy: models.PolicyRef | None = Field(description="The version that was published or withdrawn.")
    policy_before: models.PolicyRef | None = Field(
        description="The version that it replaced; null for a first publication."
    )
    policy_repeats: int | None = Field(
        description="The earlier version whose document was published again; null for a new document."
    )


class DifferenceChange(Model):
    """A change of an amount by one transaction; `position` is the end of the transaction."""

    position: int
    recorded_at: str
    before_fen: int | None
    after_fen: int | None
    causes: list[DifferenceCause]


class DifferenceItem(Model):
    """A period of an account whose amounts at the two moments differ."""

    uscc: str
    name: str
    region_code: str
    policy: str
    window: str
    period: str
    before_fen: int | None = Field(description="Null if the period was not assessed.")
    after_fen: int | None = Field(description="Null if it is no longer assessed.")
    difference_fen: int
    changes: list[DifferenceChange]


class DifferencePage(Model):
    """A page of differences, by code, policy, window and period, with the sums over all accounts in scope."""

    items: list[DifferenceItem]
    next_cursor: str | None = Field(
        description="Null on the last page. Any page may be shorter than limit, even empty."
    )
    before_fen: int = Field(description="The sum of all amounts at the earlier moment.")
    after_fen: int = Field(description="The sum of all amounts at the later moment.")
    difference_fen: int = Field(description="The difference of the sums, which is the sum over all pages.")
    before: models.AsOf
    after: models.AsOf


def difference_page(
    items: list[Difference], next_cursor: str | None, sums: Sums, moments: Moments
) -> DifferencePage:
    """Present a page."""
    shown = [difference_item(difference) for difference in items]
    return DifferencePage(items=shown, next_cursor=next_cursor, **heading(sums, moments))


def heading(sums: Sums, moments: Moments) -> dict[str, Any]:
    """Present the sums and the moments."""
    return {
        "before_fen": sums.before_fen,
        "after_fen": sums.after_fen,
        "difference_fen": sums.difference_fen,
        "before": as_of(moments.first),
        "after": as_of(moments.last),
    }


def difference_item(difference: Difference) -> DifferenceItem:
    """Present a difference with its causes."""
    fields = {name: getattr(difference, name) for name in difference.__struct_fields__}
    changes = [_change(change) for change in difference.changes]
    return DifferenceItem(**{**fields, "difference_fen": difference.difference_fen, "changes": changes})


def _change(change: Change) -> DifferenceChange:
    return DifferenceChange(
        position=change.position,
        recorded_at=rfc_3339(change.recorded_at_us),
        before_fen=change.before_fen,
        after_fen=change.after_fen,
        causes=[_cause(cause) for cause in change.causes],
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
