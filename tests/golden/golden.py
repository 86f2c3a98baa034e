"""The golden log: a small fixed history as this software once wrote it, one event a line.

It was written once by `python -m tests.golden.make` and is never written again: what is recorded is read for
ever. A test that fails here means that old ledgers could no longer be read, or would be read differently.
"""

from pathlib import Path

import msgspec
from sqlalchemy import insert, update

from app.ledger.ledger import Ledger
from app.ledger.tables import events, sequencer
from app.runtime.database import write_transaction

GOLDEN_LOG = Path(__file__).parent / "log.ndjson"
GOLDEN_OF_LEDGER = Path(__file__).parent / "ledger.ndjson"
"""What followed on it in the stream of the ledger itself, as it was once written."""

GOLDEN_OF_POLICIES = Path(__file__).parent / "policies.ndjson"
"""What followed on that: a version that covers less, and its withdrawal, as they were once written."""

GOLDEN_OF_WINDOWS = Path(__file__).parent / "windows.ndjson"
"""What followed on that: accounts of a quarter, then of a year, by a policy of another id."""

EXPECTED = Path(__file__).parent / "entitlements.json"


class GoldenEvent(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the log; `state` holds the stored bytes as they are."""

    position: int
    stream: str
    version: int
    topic: str
    recorded_at_us: int
    actor: str
    batch_id: str
    transaction_end: int
    state: msgspec.Raw


def read_golden(path: Path = GOLDEN_LOG) -> list[GoldenEvent]:
    """The golden log."""
    lines = path.read_bytes().splitlines()
    return [msgspec.json.decode(line, type=GoldenEvent) for line in lines]


def restore(ledger: Ledger, golden: list[GoldenEvent]) -> None:
    """Put the rows into an empty log, as they are."""
    rows = [{**msgspec.structs.asdict(each), "state": bytes(each.state)} for each in golden]
    published = max(each.position for each in golden if each.topic == "PolicyPublished")
    last = golden[-1]
    with write_transaction(ledger.engine) as connection:
        connection.execute(insert(events), rows)
        connection.execute(
            update(sequencer).values(
                last=last.position, recorded_at_us=last.recorded_at_us, publication=published
            )
        )
