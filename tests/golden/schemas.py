"""Writes the schema of each type of event to `docs/events/`: `python -m tests.golden.schemas`."""

from pathlib import Path

from app.ledger.earlier_events import STORED_TYPES
from app.ledger.schemas import schema_text

SCHEMAS = Path(__file__).parents[2] / "docs" / "events"

if __name__ == "__main__":
    for name in STORED_TYPES:
        (SCHEMAS / f"{name}.json").write_text(schema_text(name), encoding="utf-8")
