"""The read model of the published policies."""

import msgspec
from sqlalchemy import Connection, Table, insert

from domain.errors import LedgerIntegrityError
from domain.events import LogEntry, PolicyPublished
from domain.periods import period_of
from domain.policy import PolicyDocument


def project_policy(connection: Connection, table: Table, entry: LogEntry, event: PolicyPublished) -> None:
    """Add a published version.

    Raises:
        LedgerIntegrityError: The document says nothing valid.
    """
    try:
        document = msgspec.convert(event.document, PolicyDocument)
    except msgspec.ValidationError as error:
        raise LedgerIntegrityError(f"序号{entry.position}所发布的不是有效的政策文件") from error
    connection.execute(
        insert(table).values(
            policy=event.policy,
            version=event.version,
            sha256=event.sha256,
            title=document.title,
            first_window=str(period_of(document.covers.first).window),
            last_window=str(period_of(document.covers.last).window),
            actor=entry.actor,
            text=event.text,
            document=msgspec.json.encode(event.document),
            recorded_at_us=entry.recorded_at_us,
            position=entry.position,
            from_position=entry.transaction_end,
        )
    )
