"""SQL that is compiled once for all databases of a kind, not once for each engine, as a fresh one would."""

from typing import Any

from sqlalchemy import Engine, create_engine
from sqlalchemy.util import LRUCache

MOST_STATEMENTS = 5_000

Key = tuple[Any, ...]


class _Statements(LRUCache[Key, Any]):
    """Compiled statements by what they say: SQLAlchemy's keys begin with the dialect of one engine."""

    def get(self, key: Key, default: Any = None) -> Any:
        return super().get(key[1:], default)

    def __setitem__(self, key: Key, value: Any) -> None:
        super().__setitem__(key[1:], value)


_STATEMENTS = {"sqlite": _Statements(MOST_STATEMENTS), "postgresql": _Statements(MOST_STATEMENTS)}


def create_engine_sharing(*args: Any, **options: Any) -> Engine:
    """An engine, as SQLAlchemy makes it, that compiles nothing that another one of its kind has compiled."""
    engine = create_engine(*args, **options)
    engine.update_execution_options(compiled_cache=_STATEMENTS[engine.dialect.name])
    return engine
