"""API keys: shown once, stored as a hash, revoked by name."""

import hashlib
import secrets
from typing import Final, Literal, get_args

import msgspec
from sqlalchemy import Connection, Row, bindparam, insert, select, update
from sqlalchemy import exc as sql_errors

from app.security.tables import api_keys

Role = Literal["statistics", "commerce", "auditor", "admin"]
ROLES: Final[tuple[Role, ...]] = get_args(Role)

SEE_FIGURES: Final[frozenset[Role]] = frozenset({"statistics", "auditor"})
"""The roles that work on single-unit statistics; a key with another role sees them only if created to."""

_KEY_BYTES = 32
_NAME_MAX_CHARS = 100


class Key(msgspec.Struct, frozen=True):
    """The name of a key and its rights; `with_figures`: it sees statistics although its role does not."""

    name: str
    role: Role
    with_figures: bool
    created_at_us: int
    revoked_at_us: int | None

    @property
    def sees_figures(self) -> bool:
        """Whether the holder may see single-unit statistics."""
        return self.role in SEE_FIGURES or self.with_figures


def is_name(text: str) -> bool:
    """Whether a name may be recorded in the ledger as an actor: it has to fit on a line of a list."""
    return bool(text.strip()) and text.isprintable() and len(text) <= _NAME_MAX_CHARS


def create_key(
    connection: Connection, *, name: str, role: Role, with_figures: bool, now_us: int
) -> str | None:
    """Create a key; its text, which cannot be read again, or None if the name was used before."""
    if _by_name(connection, name) is not None:
        return None
    token = f"duixian-{secrets.token_urlsafe(_KEY_BYTES)}"
    key = {"name": name, "sha256": _hash(token), "role": role, "with_figures": with_figures}
    try:
        connection.execute(insert(api_keys).values(**key, created_at_us=now_us))
    except sql_errors.IntegrityError:
        return None  # Another process has just used the name.
    return token


_IN_FORCE: Final = select(api_keys).where(
    api_keys.c.sha256 == bindparam("of_hash"), api_keys.c.revoked_at_us.is_(None)
)


def find_key(connection: Connection, token: str) -> Key | None:
    """The key with this text; None if there is none or it was revoked."""
    row = connection.execute(_IN_FORCE, {"of_hash": _hash(token)}).one_or_none()
    return None if row is None else _key(row)


def list_keys(connection: Connection) -> list[Key]:
    """All keys, including revoked ones, by name."""
    return [_key(row) for row in connection.execute(select(api_keys).order_by(api_keys.c.name))]


def revoke_key(connection: Connection, name: str, *, now_us: int) -> bool:
    """Revoke a key; False if no key in force has this name."""
    statement = update(api_keys).where(api_keys.c.name == name, api_keys.c.revoked_at_us.is_(None))
    return connection.execute(statement.values(revoked_at_us=now_us)).rowcount == 1


def _by_name(connection: Connection, name: str) -> Key | None:
    row = connection.execute(select(api_keys).where(api_keys.c.name == name)).one_or_none()
    return None if row is None else _key(row)


def _key(row: Row[tuple[object, ...]]) -> Key:
    return Key(row.name, row.role, bool(row.with_figures), row.created_at_us, row.revoked_at_us)


def _hash(token: str) -> str:
    """SHA-256 of a key. That is enough: a key has 256 random bits, which no dictionary attack finds."""
    return hashlib.sha256(token.encode()).hexdigest()
