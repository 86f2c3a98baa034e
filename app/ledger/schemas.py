"""The JSON Schemas of stored events: one for each type, in `docs/events/` and in every export."""

import inspect
import json
from typing import Final

import msgspec

from app.ledger.earlier_events import STORED_TYPES

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def schema_text(topic: str) -> str:
    """The text of the schema for the events of a topic."""
    schema = msgspec.json.schema(STORED_TYPES[topic])
    for part in schema["$defs"].values():
        part["description"] = inspect.cleandoc(part["description"])
    named = {"$schema": DIALECT, "$id": f"urn:duixian:event:{topic}", **schema}
    return json.dumps(named, ensure_ascii=False, indent=2) + "\n"
