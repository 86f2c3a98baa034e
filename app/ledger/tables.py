"""The tables of the log: events and their sequencer, their Merkle tree, what commands keep beside them."""

from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    UniqueConstraint,
)

from app.runtime.database import TEXT, new_metadata

metadata = new_metadata()

events = Table(
    "events",
    metadata,
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("stream", TEXT, nullable=False),
    Column("version", Integer, nullable=False),
    Column("topic", TEXT, nullable=False),
    Column("recorded_at_us", BigInteger, nullable=False),
    Column("actor", TEXT, nullable=False),
    Column("batch_id", TEXT, nullable=False),
    Column("transaction_end", BigInteger, nullable=False),
    Column("state", LargeBinary, nullable=False),
    UniqueConstraint("stream", "version"),
)
Index(None, events.c.recorded_at_us, events.c.position)

sequencer = Table(
    "sequencer",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("last", BigInteger, nullable=False),
    Column("recorded_at_us", BigInteger, nullable=False),
    Column("publication", BigInteger, nullable=False),
)
"""One row: the last position given, its time, and the position of the last `PolicyPublished` or
`PolicyWithdrawn`."""

log_tiles = Table(
    "log_tiles",
    metadata,
    Column("level", Integer, primary_key=True, autoincrement=False),
    Column("index", BigInteger, primary_key=True, autoincrement=False),
    Column("hashes", LargeBinary, nullable=False),
)
"""The Merkle tree of the log by tiles of up to 256 hashes, as c2sp.org/tlog-tiles cuts it.

A hash of level 0 is that of an event; one of level n + 1 is the root of a full tile of level n.
"""

log_seal = Table(
    "log_seal",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("size", BigInteger, nullable=False),
)
"""One row: how many events the tiles hold, the end of a transaction."""

write_probe = Table(
    "write_probe",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("bytes", LargeBinary, nullable=False),
)
"""One row that readiness writes, to see whether the database takes it."""

publications = Table(
    "publications",
    metadata,
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("policy", TEXT, nullable=False),
    Column("version", Integer, nullable=False),
    Column("after_stream", TEXT, nullable=False),
    Column("done", BigInteger, nullable=False),
    Column("total", BigInteger, nullable=False),
    Column("assessed_at", BigInteger),
)
"""How far the assessment of what was filed before a publication, or before a withdrawal, has come.

`position` is that of the publication; `after_stream` is done; `assessed_at` is the position of the
`PolicyAssessed` that ended it. One that a newer version overtook is never ended."""

replays = Table(
    "replays",
    metadata,
    Column("id", TEXT, primary_key=True),
    Column("running", Integer),
    Column("asked_by", TEXT, nullable=False),
    Column("asked_at_us", BigInteger, nullable=False),
    Column("first", BigInteger, nullable=False),
    Column("last", BigInteger),
    Column("state", TEXT, nullable=False),
    Column("done", BigInteger, nullable=False),
    Column("total", BigInteger, nullable=False),
    Column("seen_at_us", BigInteger, nullable=False),
    Column("report", LargeBinary),
    Column("problem", TEXT),
    UniqueConstraint("running"),
)
"""The replays that were asked of the service. `running` is 1 of the one that runs, else NULL: there is one at
a time. Whoever runs it says so now and then, at `seen_at_us`; `report` is JSON."""

idempotent_answers = Table(
    "idempotent_answers",
    metadata,
    Column("actor", TEXT, nullable=False),
    Column("idempotency_key", TEXT, nullable=False),
    Column("request_sha256", TEXT, nullable=False),
    Column("answer", LargeBinary, nullable=False),
    Column("created_at_us", BigInteger, nullable=False),
    PrimaryKeyConstraint("actor", "idempotency_key"),
)
Index(None, idempotent_answers.c.created_at_us)
"""What was answered to requests with an `Idempotency-Key`; see `app/ledger/kept_answers.py`."""
