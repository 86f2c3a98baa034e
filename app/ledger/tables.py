"""The tables of the log: events, their sequencer, their Merkle tree, and the state of commands."""

from sqlalchemy import (
    Column,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    UniqueConstraint,
)

from app.runtime.database import new_metadata
from projections.column_types import BIG_INTEGER, TEXT

metadata = new_metadata()

events = Table(
    "events",
    metadata,
    Column("position", BIG_INTEGER, primary_key=True, autoincrement=False),
    Column("stream", TEXT, nullable=False),
    Column("version", Integer, nullable=False),
    Column("topic", TEXT, nullable=False),
    Column("recorded_at_us", BIG_INTEGER, nullable=False),
    Column("actor", TEXT, nullable=False),
    Column("batch_id", TEXT, nullable=False),
    Column("transaction_end", BIG_INTEGER, nullable=False),
    Column("state", LargeBinary, nullable=False),
    UniqueConstraint("stream", "version"),
    sqlite_strict=True,
)
Index(None, events.c.recorded_at_us, events.c.position)

sequencer = Table(
    "sequencer",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("last", BIG_INTEGER, nullable=False),
    Column("recorded_at_us", BIG_INTEGER, nullable=False),
    Column("publication", BIG_INTEGER, nullable=False),
    sqlite_strict=True,
)
"""One row: the last position assigned, its time, and the position of the last `PolicyPublished` or
`PolicyWithdrawn`."""

log_tiles = Table(
    "log_tiles",
    metadata,
    Column("level", Integer, primary_key=True, autoincrement=False),
    Column("index", BIG_INTEGER, primary_key=True, autoincrement=False),
    Column("hashes", LargeBinary, nullable=False),
    sqlite_strict=True,
)
"""The Merkle tree of the log in tiles of up to 256 hashes, as c2sp.org/tlog-tiles defines them.

A hash of level 0 belongs to an event; a hash of level n + 1 is the root of a full tile of level n.
"""

log_seal = Table(
    "log_seal",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("size", BIG_INTEGER, nullable=False),
    sqlite_strict=True,
)
"""One row: the number of events in the tiles, which is the end of a transaction."""

write_probe = Table(
    "write_probe",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("bytes", LargeBinary, nullable=False),
    sqlite_strict=True,
)
"""One row that the readiness check writes, to find out whether the database is writable."""

publications = Table(
    "publications",
    metadata,
    Column("position", BIG_INTEGER, primary_key=True, autoincrement=False),
    Column("policy", TEXT, nullable=False),
    Column("version", Integer, nullable=False),
    Column("after_stream", TEXT, nullable=False),
    Column("done", BIG_INTEGER, nullable=False),
    Column("total", BIG_INTEGER, nullable=False),
    Column("assessed_at", BIG_INTEGER),
    sqlite_strict=True,
)
"""The progress of the assessment that follows a publication, or a withdrawal.

`position` is the position of the publication; `after_stream` is the last stream that is assessed;
`assessed_at` is the position of the `PolicyAssessed` that ended the assessment, which never ends if a newer
version supersedes it."""

replays = Table(
    "replays",
    metadata,
    Column("id", TEXT, primary_key=True),
    Column("running", Integer),
    Column("asked_by", TEXT, nullable=False),
    Column("asked_at_us", BIG_INTEGER, nullable=False),
    Column("first", BIG_INTEGER, nullable=False),
    Column("last", BIG_INTEGER),
    Column("state", TEXT, nullable=False),
    Column("done", BIG_INTEGER, nullable=False),
    Column("total", BIG_INTEGER, nullable=False),
    Column("seen_at_us", BIG_INTEGER, nullable=False),
    Column("report", LargeBinary),
    Column("problem", TEXT),
    UniqueConstraint("running"),
    sqlite_strict=True,
)
"""The replays that the service was asked for. `running` is 1 for the running replay and NULL for the others,
since only one may run. Its process updates `seen_at_us` every few seconds; `report` is JSON."""

idempotent_answers = Table(
    "idempotent_answers",
    metadata,
    Column("actor", TEXT, nullable=False),
    Column("idempotency_key", TEXT, nullable=False),
    Column("request_sha256", TEXT, nullable=False),
    Column("answer", LargeBinary, nullable=False),
    Column("created_at_us", BIG_INTEGER, nullable=False),
    PrimaryKeyConstraint("actor", "idempotency_key"),
    sqlite_strict=True,
)
Index(None, idempotent_answers.c.created_at_us)
"""The answers to requests with an `Idempotency-Key`; see `app/ledger/kept_answers.py`."""
