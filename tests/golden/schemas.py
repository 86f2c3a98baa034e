"""Writes the schema of each type of event to `docs/events/`: `python -m tests.golden.schemas`."""

import inspect
import json
from pathlib import Path
from typing import Any

import msgspec

from domain.events import EVENT_TYPES

SCHEMAS = Path(__file__).parents[2] / "docs" / "events"


def schema_of(topic: str) -> dict[str, Any]:
    """The JSON Schema of the state that is stored under a topic."""
    schema = msgspec.json.schema(EVENT_TYPES[topic])
    for part in schema["$defs"].values():
        part["description"] = inspect.cleandoc(part["description"])
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:duixian:event:{topic}",
        **schema,
    }


if __name__ == "__main__":
    for name in EVENT_TYPES:
        text = json.dumps(schema_of(name), ensure_ascii=False, indent=2)
        (SCHEMAS / f"{name}.json").write_text(text + "\n", encoding="utf-8")
