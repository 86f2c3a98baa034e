"""The golden log: a small fixed history as this software once wrote it, one event a line.

`python -m tests.golden.make` wrote it once and never writes it again, because records stay readable for ever.
If a test fails here, the code can no longer read old ledgers, or reads them differently.
"""

from pathlib import Path

import msgspec
from sqlalchemy import insert, update

from app.ledger.ledger import Ledger
from app.ledger.tables import events, sequencer
from app.runtime.database import write_transaction

GOLDEN_LOG = Path(__file__).parent / "log.ndjson"
GOLDEN_OF_LEDGER = Path(__file__).parent / "ledger.ndjson"
"""Later events in the stream of the ledger itself, as they were once written."""

GOLDEN_OF_POLICIES = Path(__file__).parent / "policies.ndjson"
"""Later events: a version that covers less, and its withdrawal, as they were once written."""

GOLDEN_OF_WINDOWS = Path(__file__).parent / "windows.ndjson"
"""Later events: accounts of a quarter, then of a year, by a policy of another id."""

EXPECTED = Path(__file__).parent / "entitlements.json"


class GoldenEvent(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the log; `state` holds the stored bytes without any change."""

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
    """Insert the rows into an empty log without any change."""
    rows = [{**msgspec.structs.asdict(event), "state": bytes(event.state)} for event in golden]
    published = max(event.position for event in golden if event.topic == "PolicyPublished")
    last = golden[-1]
    with write_transaction(ledger.engine) as connection:
        connection.execute(insert(events), rows)
        connection.execute(
            update(sequencer).values(
                last=last.position, recorded_at_us=last.recorded_at_us, publication=published
            )
        )
