"""Column types that mean the same on SQLite and PostgreSQL.

On SQLite every table is STRICT: it refuses values of another type, and knows only INTEGER, TEXT and BLOB (and
some that are not used here).
"""

from typing import Final

from sqlalchemy import BigInteger, Boolean, Integer, Text

TEXT: Final = Text().with_variant(Text(collation="C"), "postgresql")
"""Text in the order of its code points on every database, whatever the locale of a PostgreSQL server.

Streams are found by ranges of their names; in most locales "returns/9" comes after "returns0".
"""

BIG_INTEGER: Final = BigInteger().with_variant(Integer(), "sqlite")
"""An integer of 64 bits. As the only column of a primary key it is the row's number on SQLite."""

FLAG: Final = Boolean().with_variant(Integer(), "sqlite")
"""True or False; SQLite returns 1 or 0."""
