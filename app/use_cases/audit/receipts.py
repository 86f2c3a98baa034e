"""Receipts (核验凭据): what the ledger holds of an enterprise and window, each event with its proof."""

import msgspec
from sqlalchemy import Connection

from app.ledger.ledger import Ledger
from app.ledger.lines import Line, read_stream
from app.ledger.mapper import UndecodableEventError
from app.transparency.tiles import TileReader
from app.use_cases.audit.proving import Inclusion, Tree, prove_line, tree_at
from app.use_cases.reading.as_of import NOW, AskedMoment, log_moment_of
from domain.assessment.account import EntitlementAccount
from domain.errors import LedgerIntegrityError
from domain.events import Event, ReturnFiled, account_stream, policy_stream, returns_stream
from domain.periods import Window, period_of


class ReceiptPeriod(msgspec.Struct, frozen=True):
    """What a period was last assessed to, in fen."""

    period: str
    assessed_fen: int
    open_fen: int


class ReceiptAccount(msgspec.Struct, frozen=True):
    """What an account was assessed to under one policy: the periods, and their sum in fen."""

    policy: str
    periods: list[ReceiptPeriod]
    assessed_fen: int


class Receipt(msgspec.Struct, frozen=True):
    """The events of an enterprise's window, and what they say.

    Attributes:
        uscc: The enterprise.
        window: The window.
        accounts: The amounts, by policy.
        events: Whole streams, each up to the size of the tree: the returns of the years of the window, its
            accounts, and the policies of these accounts.
        tree: What they are in.
        day_in_progress: A day was asked for that had not ended: it is as of then.
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
    """The receipt of an enterprise and window, of what is sealed or of what stood at a moment.

    Args:
        ledger: The ledger.
        connection: In a transaction that reads.
        uscc: The enterprise.
        window: The window.
        asked: The moment.

    Returns:
        None if nothing was ever filed in it; before the first filing a receipt without events.

    Raises:
        PositionAheadError: The position is above the head.
        NotSealedError: The moment is not sealed yet.
        LedgerIntegrityError: An event is not the one that was sealed, or what is stored contradicts itself.
    """
    moment = None if asked == NOW else log_moment_of(ledger, connection, asked)
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
        ReceiptPeriod(period, each.outcome.assessed_fen, each.outcome.open_fen)
        for period, each in sorted(account.assessed.items(), key=lambda item: period_of(item[0]))
        if each.outcome is not None
    ]
    return ReceiptAccount(policy, periods, account.assessed_fen)


def _event(ledger: Ledger, line: Line) -> Event:
    try:
        return ledger.event_mapper.decode(line.topic, line.state, line.stream)
    except UndecodableEventError as error:
        raise LedgerIntegrityError(f"序号{line.position}的{error}") from error
