"""Writes the schema of each type of event to `docs/events/`: `python -m tests.golden.schemas`."""

from pathlib import Path

from app.ledger.schemas import schema_text
from domain.events import EVENT_TYPES

SCHEMAS = Path(__file__).parents[2] / "docs" / "events"

if __name__ == "__main__":
    for name in EVENT_TYPES:
        (SCHEMAS / f"{name}.json").write_text(schema_text(name), encoding="utf-8")
