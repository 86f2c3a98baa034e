"""The start of every read: resolves the moment, and chooses the policy whose accounts are read."""

import base64
from collections.abc import Collection, Sequence
from typing import Literal, NamedTuple

import msgspec
from sqlalchemy import Connection

from app.ledger import publications
from app.ledger.ledger import Ledger
from app.runtime.database import read_transaction
from app.transparency.tiles import root_at
from domain.events import LogEntry, account_stream
from domain.periods import window_of
from domain.policy.policy import Policy
from domain.words import UnknownValueError
from projections.account_windows import account_windows, is_listed
from projections.projector import position_of
from projections.queries import moments, policies
from projections.queries.moments import Moment
from projections.queries.policies import PolicyState, PolicyVersion
from projections.tables import LIVE

ChoiceProblem = Literal["policy-unknown", "policy-ambiguous"]


class PositionAheadError(Exception):
    """A request names a position above the head of the log."""

    def __init__(self, head: int) -> None:
        super().__init__(f"the last position is {head}")
        self.head = head


class DayAheadError(Exception):
    """A request names a day that has not begun."""

    def __init__(self, day: str) -> None:
        super().__init__(f"{day} has not begun in Beijing")
        self.day = day


class AskedDay(NamedTuple):
    """A day in Beijing that a request names.

    Attributes:
        text: The day, as the request writes it.
        start_us: The start of the day, in microseconds since 1970.
        asked_at_us: The time of the request, in microseconds since 1970.
    """

    text: str
    start_us: int
    asked_at_us: int


class AskedMoment(NamedTuple):
    """The moment that a request names: a position or a time; now if it names neither.

    Attributes:
        position: The position in the log.
        known_at_us: Microseconds since 1970-01-01T00:00:00Z.
        day: The day whose start or end the time is; None if the request does not name a day.
        day_in_progress: Whether the position was found for a day that had not ended then.
    """

    position: int | None = None
    known_at_us: int | None = None
    day: AskedDay | None = None
    day_in_progress: bool = False


NOW = AskedMoment()


class AsOf(Moment, frozen=True):
    """The moment of an answer, and the root of the log's tree over the events up to it.

    Attributes:
        root: 32 bytes; None while the log is not sealed up to the moment.
        day_in_progress: Whether the request names a day that has not ended, so that the answer is as of now.
    """

    root: bytes | None
    day_in_progress: bool = False

    @property
    def root_text(self) -> str | None:
        """The root in base64."""
        return None if self.root is None else base64.b64encode(self.root).decode()


class Progress(msgspec.Struct, frozen=True):
    """The progress of the assessment that follows a publication.

    Attributes:
        version: The published version.
        done: The number of annual returns that are assessed; None for a past moment, whose number is unknown.
        total: The number of annual returns to assess.
    """

    version: int
    done: int | None
    total: int


class PolicyAsOf(msgspec.Struct, frozen=True):
    """A window as of a moment, under a policy; `state` is None while no policy has such accounts."""

    ledger: Ledger
    connection: Connection
    window: str
    moment: AsOf
    state: PolicyState | None
    is_now: bool

    @property
    def policy_id(self) -> str | None:
        """The id of the policy."""
        return None if self.state is None else self.state.newest.ref.id

    @property
    def newest(self) -> PolicyVersion | None:
        """The newest version of the policy."""
        return None if self.state is None else self.state.newest

    def policy(self) -> Policy | None:
        """Load the newest version; None if there is none, or the policy was withdrawn."""
        if self.state is None or self.state.withdrawn is not None:
            return None
        return policies.policy_of(self.connection, self.state.newest.ref)

    def versions_of(self, codes: Collection[str]) -> dict[str, PolicyVersion]:
        """The policy version of each enterprise's account; empty without a policy.

        It is the newest version if all accounts are assessed by it. Otherwise the log is searched for the
        latest assessment of each account.
        """
        state = self.state
        if state is None:
            return {}
        latest: dict[str, int] = {}
        if not state.is_assessed:
            streams = {account_stream(state.newest.ref.id, uscc, self.window): uscc for uscc in codes}
            found = self.ledger.latest_versions(self.connection, streams, at=self.moment.position)
            latest = {streams[stream]: version for stream, version in found.items()}
        return {uscc: state.account_version(latest.get(uscc)) for uscc in codes}

    def ceiling_fen(self, version: PolicyVersion | None) -> int | None:
        """The limit of a whole account under a version, in fen; None if it has none, 0 without a version."""
        if version is None:
            return 0
        limit = policies.policy_of(self.connection, version.ref).account_limit(window_of(self.window))
        return None if limit is None else limit.ceiling.fen

    def progress(self) -> Progress | None:
        """The progress of the assessment under way; None if there is none."""
        state = self.state
        if state is None or state.is_assessed:
            return None
        noted = publications.find(self.connection, state.begun)
        if noted is None:
            return None
        return Progress(noted.version, noted.done_before_end if self.is_now else None, noted.total)


def is_projected(ledger: Ledger, position: int) -> bool:
    """Whether the read models have reached a position of the log.

    Raises:
        PositionAheadError: The position is above the head of the log.
    """
    with read_transaction(ledger.engine) as connection:
        if position_of(connection) >= position:
            return True
        head = ledger.head(connection)
    if position > head:
        raise PositionAheadError(head)
    return False


def resolve_moment(connection: Connection, asked: AskedMoment) -> AsOf:
    """Find the end of the last transaction that had ended by a moment; position 0 before the first one.

    Raises:
        PositionAheadError: The position is above the head.
        DayAheadError: The day has not begun.
    """
    head = moments.now(connection)
    if asked.position is not None and asked.position > head.position:
        raise PositionAheadError(head.position)
    return _as_of(connection, _moment(connection, asked, head), asked, head)


def _moment(connection: Connection, asked: AskedMoment, head: Moment) -> Moment:
    if asked.known_at_us is not None:
        return moments.at_time(connection, asked.known_at_us)
    return head if asked.position is None else moments.at_position(connection, asked.position)


def _as_of(connection: Connection, moment: Moment, asked: AskedMoment, head: Moment) -> AsOf:
    root = root_at(connection, moment.position)
    return AsOf(moment.position, moment.recorded_at_us, root, _is_in_progress(asked, head))


def _is_in_progress(asked: AskedMoment, head: Moment) -> bool:
    """Whether the request names a day that has not ended, by the clock or, if it is later, by the log."""
    if asked.day is None or asked.known_at_us is None:
        return asked.day_in_progress
    now_us = max(asked.day.asked_at_us, head.recorded_at_us or 0)
    if asked.day.start_us > now_us:
        raise DayAheadError(asked.day.text)
    return asked.known_at_us > now_us


def resolve_log_moment(ledger: Ledger, connection: Connection, asked: AskedMoment) -> AsOf:
    """Find the end of the last transaction like `resolve_moment`, but in the log instead of the read models.

    The log may be ahead of them.

    Raises:
        PositionAheadError: The position is above the head.
        DayAheadError: The day has not begun.
    """
    if asked.position is not None and asked.position > (last := ledger.head(connection)):
        raise PositionAheadError(last)
    moment = _last_transaction(ledger, connection, asked)
    head = moment if asked.day is None else _last_transaction(ledger, connection, NOW)
    return _as_of(connection, moment, asked, head)


def events_after(  # noqa: PLR0913 - the page that is asked for
    ledger: Ledger, connection: Connection, after: int, at: AsOf, *, limit: int, uscc: str | None
) -> Sequence[LogEntry]:
    """Read at most `limit` events after a position and up to a moment, of one enterprise or of all.

    Raises:
        PositionAheadError: The position is above the head.
    """
    if after > at.position and after > (head := ledger.head(connection)):
        raise PositionAheadError(head)
    return ledger.page(connection, after=after, until=at.position, limit=limit, uscc=uscc)


def _last_transaction(ledger: Ledger, connection: Connection, asked: AskedMoment) -> Moment:
    end = ledger.last_transaction(connection, position=asked.position, known_at_us=asked.known_at_us)
    return moments.BEGINNING if end is None else Moment(*end)


def check_window(connection: Connection, window: str) -> None:
    """Refuse a window that no version of a policy has accounts of, and that enterprises are not listed by.

    Raises:
        UnknownValueError: It is such a window; the known ones are those of its years.
    """
    if is_listed(window):
        return
    windows = account_windows(connection, LIVE)
    if not windows.has(window):
        known = [text for year in window_of(window).years for text in windows.of_year(year)]
        raise UnknownValueError("window", window, {text: window_of(text).chinese for text in known})


def choose_policy(
    ledger: Ledger, connection: Connection, window: str, policy: str | None, asked: AskedMoment
) -> PolicyAsOf | ChoiceProblem:
    """Resolve the moment, and choose the policy of a window's accounts.

    Args:
        ledger: The ledger.
        connection: A connection in a read transaction.
        window: The window.
        policy: The id of the policy; None chooses the only one that covers the window.
        asked: The moment.

    Returns:
        The problem if no policy has the id, or several policies cover the window.

    Raises:
        PositionAheadError: The position is above the head.
        DayAheadError: The day has not begun.
        UnknownValueError: No policy ever had accounts of this window.
    """
    check_window(connection, window)
    moment = resolve_moment(connection, asked)
    state = _state(connection, window, moment.position, policy)
    if isinstance(state, str):
        return state
    is_now = moment.position == moments.now(connection).position
    return PolicyAsOf(ledger, connection, window, moment, state, is_now)


def _state(
    connection: Connection, window: str, at: int, policy: str | None
) -> PolicyState | ChoiceProblem | None:
    states = policies.states(connection, at)
    if policy is not None:
        found = states.get(policy)
        if found is None and not policies.is_published(connection, policy):
            return "policy-unknown"
        return None if found is None else _completed(connection, found)
    completed = [_completed(connection, state) for state in states.values()]
    covering = [state for state in completed if state.has_account(window)]
    if len(covering) > 1:
        return "policy-ambiguous"
    return covering[0] if covering else None


def _completed(connection: Connection, state: PolicyState) -> PolicyState:
    """Mark a state as assessed if no returns had been filed before its publication."""
    noted = None if state.is_assessed else publications.find(connection, state.begun)
    if noted is None or noted.total > 0:
        return state
    return msgspec.structs.replace(state, is_assessed=True)
