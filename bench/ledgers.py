"""Creates ledgers to measure, and drafts to file."""

from collections.abc import Iterable

from app.bootstrap import migrate
from app.ledger.ledger import Ledger
from app.runtime.database import open_engine
from app.use_cases.filing.rows import Draft, RowReader
from app.use_cases.policies.loader import YINGKOU_2024_14, LoadedPolicy, load_policy
from app.use_cases.policies.publishing import publish
from bench.rows import Row

ACTOR = "bench"


def policy() -> LoadedPolicy:
    """The shipped policy."""
    loaded = load_policy(YINGKOU_2024_14.read_bytes(), file=YINGKOU_2024_14.name)
    if not isinstance(loaded, LoadedPolicy):
        raise SystemExit(str(loaded))
    return loaded


def new_ledger(url: str) -> Ledger:
    """A new, migrated ledger with the shipped policy."""
    engine = open_engine(url)
    migrate(engine)
    ledger = Ledger(engine)
    publish(ledger, policy(), actor=ACTOR)
    return ledger


def drafts(rows: Iterable[Row]) -> list[Draft]:
    """The drafts of the rows."""
    reader = RowReader(unit="qianyuan", stage="final", source=None)
    read = [reader.read(index, row) for index, row in enumerate(rows)]
    return [draft for draft in read if isinstance(draft, Draft)]
