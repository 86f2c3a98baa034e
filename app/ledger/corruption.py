"""Checks rows of the log for values, places and contents that this software never records.

Normal reads trust the log, which costs nothing. Verification and replay make these checks.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple

from app.ledger.lines import Line
from domain.events import (
    LEDGER_STREAM,
    AnyEvent,
    ClockAccepted,
    EntitlementAssessed,
    LogSealed,
    PolicyAssessed,
    PolicyPublished,
    PolicyWithdrawn,
    Return,
    ReturnFiled,
    ReturnRevised,
    ReturnWithdrawn,
    UnreadableEvent,
    policy_stream,
)
from domain.forms import FORMS
from domain.periods import PeriodError, Window, period_of, window_of
from domain.text import is_storable_text

VERIFY: Final = "请运行duixian audit verify核验，从备份恢复"
"""The remedy if the log, or another table that is not a read model, contradicts itself."""

REBUILD: Final = "请运行duixian projections rebuild重建查询表"
"""The remedy if the read models contradict the log."""

TYPES: Final = (int, str, int, str, int, str, str, int, bytes)
"""The types of the columns, in the order of `Line`."""

_BIG: Final = 2**63
_SMALL: Final = 2**31
_LAST_TIME_US: Final = 253_370_764_800_000_000
"""The start of the year 9999: later times cannot be written as text in every time zone."""

_MISPLACED: Final = "记录流名称无效，或与记录内容不符"
_RETURNS: Final = re.compile(r"returns/[0-9A-Z]{18}/(20[0-9]{2})", re.ASCII)
_ACCOUNT: Final = re.compile(r"entitlement/([^/]+)/[0-9A-Z]{18}/([^/]+)", re.ASCII)


class _Place(NamedTuple):
    """The place of a stream: the policy and the window of an account, or None and the year of returns."""

    policy: str | None
    window: Window


def row_problem(row: Sequence[Any]) -> str | None:
    """Why a row, whose values may be of any type, cannot become a line; None if it can."""
    if tuple(map(type, row)) != TYPES:
        wrong = next(
            name
            for name, value, kind in zip(Line._fields, row, TYPES, strict=True)
            if type(value) is not kind
        )
        return f"{wrong}列的数据类型不符"
    position, stream, version, topic, recorded_at_us, actor, batch_id, transaction_end, state = row
    if not (0 < version < _SMALL and 0 < position < _BIG):
        return "序号或版本超出范围"
    if not (0 <= recorded_at_us < _LAST_TIME_US and 0 < transaction_end < _BIG):
        return "登记时间或批次末序号超出范围"
    if not is_storable_text(stream + topic + actor + batch_id):
        return "含有无效文字"
    if b"\n" in state:
        return "内容含有换行，不能成为一行"
    return None


def place_problem(stream: str, event: AnyEvent) -> str | None:
    """Why an event cannot belong to a stream, or has impossible content; None if there is no problem."""
    match event:
        case EntitlementAssessed():
            return _period_problem(stream, event.policy.id, event.period)
        case ReturnFiled() | ReturnRevised() | ReturnWithdrawn():
            return _period_problem(stream, None, event.period) or _return_problem(event)
        case UnreadableEvent():
            return event.reason
        case PolicyPublished() | PolicyWithdrawn() | PolicyAssessed():
            return None if stream == policy_stream(event.policy) else _MISPLACED
        case LogSealed() | ClockAccepted():
            return None if stream == LEDGER_STREAM else _MISPLACED


def _period_problem(stream: str, policy: str | None, period: str) -> str | None:
    """Why an event about a period cannot belong to a stream; `policy` is None for returns."""
    place = _place(stream)
    try:
        is_in_place = place is not None and place.window.holds(period_of(period))
    except PeriodError:
        return "所属期无法识别"
    return None if is_in_place and place is not None and place.policy == policy else _MISPLACED


@lru_cache(maxsize=16_384)  # A slice of a replay has some thousands of streams, and some events of each.
def _place(stream: str) -> _Place | None:
    """Parse the name of a stream of an enterprise; None for any other name."""
    account = _ACCOUNT.fullmatch(stream)
    if account is None:
        returns = _RETURNS.fullmatch(stream)
        return None if returns is None else _Place(None, window_of(returns.group(1)))
    try:
        return _Place(account.group(1), window_of(account.group(2)))
    except PeriodError:
        return None


def _return_problem(event: Return | ReturnWithdrawn) -> str | None:
    form = FORMS.get(event.form)
    if form is None:
        return "表号不在受理范围"
    is_whole = isinstance(event, ReturnWithdrawn) or form.required_item in event.figures
    return None if is_whole else "缺少必报指标"


def is_returns(stream: str) -> bool:
    """Whether this is the name of a stream of returns."""
    return _RETURNS.fullmatch(stream) is not None


def is_of_enterprise(stream: str) -> bool:
    """Whether this is the name of a stream of returns or of an account."""
    return _place(stream) is not None


def shown(value: object) -> str:
    """The first 200 characters of a value of any type, in a printable form."""
    text = value if isinstance(value, str) else repr(value)
    return "".join(char if char.isprintable() else "?" for char in text[:200])
