"""Receipts (核验凭据): the events of an enterprise and window in the ledger, each with its proof."""

import msgspec
from sqlalchemy import Connection

from app.ledger.ledger import Ledger
from app.ledger.lines import Line, read_stream
from app.ledger.mapper import UndecodableEventError
from app.transparency.tiles import TileReader
from app.use_cases.audit.proving import Inclusion, Tree, prove_line, tree_at
from app.use_cases.reading.as_of import NOW, AskedMoment, resolve_log_moment
from domain.assessment.account import EntitlementAccount
from domain.errors import LedgerIntegrityError
from domain.events import Event, ReturnFiled, account_stream, policy_stream, returns_stream
from domain.periods import Window, period_of


class ReceiptPeriod(msgspec.Struct, frozen=True):
    """The amounts of a period's last assessment, in fen."""

    period: str
    assessed_fen: int
    open_fen: int


class ReceiptAccount(msgspec.Struct, frozen=True):
    """The assessed amounts of an account under one policy, by period, and their sum in fen."""

    policy: str
    periods: list[ReceiptPeriod]
    assessed_fen: int


class Receipt(msgspec.Struct, frozen=True):
    """The events of an enterprise's window, and the amounts that follow from them.

    Attributes:
        uscc: The enterprise.
        window: The window.
        accounts: The amounts, by policy.
        events: Whole streams, each up to the size of the tree: the returns of the years of the window, its
            accounts, and the policies of these accounts.
        tree: The tree that contains the events.
        day_in_progress: Whether the request named a day that had not ended.
    """

    uscc: str
    window: str
    accounts: list[ReceiptAccount]
    events: list[Inclusion]
    tree: Tree
    day_in_progress: bool


def write_receipt(
    ledger: Ledger, connection: Connection, *, uscc: str, window: str, asked: AskedMoment = NOW
) -> Receipt | None:
    """Write the receipt of an enterprise and window, for the sealed part of the log or as of a moment.

    Args:
        ledger: The ledger.
        connection: A connection in a read transaction.
        uscc: The enterprise.
        window: The window.
        asked: The moment; `NOW` for the sealed part of the log.

    Returns:
        None if the enterprise never filed in the window; a receipt without events as of a moment before its
        first filing.

    Raises:
        PositionAheadError: The position is above the head.
        NotSealedError: The moment is not sealed yet.
        LedgerIntegrityError: An event differs from the sealed one, or the stored data contradicts itself.
    """
    moment = None if asked == NOW else resolve_log_moment(ledger, connection, asked)
    tree = tree_at(ledger, connection, None if moment is None else moment.position)
    asked_window = Window.parse(window)
    streams = [returns_stream(uscc, year) for year in asked_window.years]
    filed = [
        _event(ledger, line) for stream in streams for line in read_stream(connection, stream, until=None)
    ]
    if not any(
        isinstance(event, ReturnFiled) and asked_window.holds(period_of(event.period)) for event in filed
    ):
        return None
    lines = [line for stream in streams for line in read_stream(connection, stream, until=tree.size)]
    accounts = []
    for policy in ledger.policies(connection):
        assessed = read_stream(connection, account_stream(policy.ref.id, uscc, window), until=tree.size)
        if assessed:
            accounts.append(_account(ledger, policy.ref.id, asked_window, assessed))
            published = read_stream(connection, policy_stream(policy.ref.id), until=tree.size)
            lines = [*lines, *assessed, *published]
    reader = TileReader(connection)
    events = [prove_line(reader, line, tree) for line in lines]
    day_in_progress = moment is not None and moment.day_in_progress
    return Receipt(uscc, window, accounts, events, tree, day_in_progress)


def _account(ledger: Ledger, policy: str, window: Window, lines: list[Line]) -> ReceiptAccount:
    account = EntitlementAccount(window, [_event(ledger, line) for line in lines])
    periods = [
        ReceiptPeriod(period, event.outcome.assessed_fen, event.outcome.open_fen)
        for period, event in sorted(account.assessed.items(), key=lambda item: period_of(item[0]))
        if event.outcome is not None
    ]
    return ReceiptAccount(policy, periods, account.assessed_fen)


def _event(ledger: Ledger, line: Line) -> Event:
    try:
        return ledger.event_mapper.decode(line.topic, line.state, line.stream)
    except UndecodableEventError as error:
        raise LedgerIntegrityError(f"序号{line.position}的{error}") from error
