"""The connection to the database: SQLite embedded, or PostgreSQL."""

import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar
from weakref import WeakKeyDictionary

import structlog
from sqlalchemy import URL, Connection, Engine, MetaData, create_engine, event, make_url
from sqlalchemy import exc as sql_errors
from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection

from app.runtime.limits import (
    CONNECT_TIMEOUT_S,
    IDLE_IN_TRANSACTION_TIMEOUT_S,
    LOCK_TIMEOUT_S,
    POOL_SIZE,
    POOL_TIMEOUT_S,
    RETRY_PAUSES_S,
    STATEMENT_TIMEOUT_S,
    TCP_IDLE_S,
    TCP_PROBE_INTERVAL_S,
    TCP_PROBES,
    TCP_UNACKNOWLEDGED_S,
)
from app.runtime.private_files import make_private_folder, open_private
from app.runtime.reasons import Refusal
from app.runtime.turns import Gate, Turns
from domain.errors import LedgerIntegrityError

NAMING_CONVENTION = {
    "pk": "pk_%(table_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
}
"""Every constraint has a name, so that a migration can drop it on every database."""

UNAVAILABLE: Final = (
    sql_errors.OperationalError,
    sql_errors.InterfaceError,
    sql_errors.InternalError,
    sql_errors.TimeoutError,
)
"""The database is down, too busy, or cancelled a statement: the same may work after a while."""

CONSTRAINT_BROKEN: Final = sql_errors.IntegrityError
"""A row violates a constraint: it exists already, or lacks a required value."""

_UNCERTAIN_STATES: Final = {"08006", "08007", "40003"}
"""SQLSTATE: the connection failed; the outcome of the transaction, or of the statement, is unknown."""

_DAMAGED_STATES: Final = {"XX001", "XX002"}
"""SQLSTATE: data, or an index, is corrupted."""

_TRANSIENT_STATES: Final = {"40001", "40P01", "53300", "57P01", "57P02", "57P03"}
"""SQLSTATE: serialisation failure, deadlock, too many connections; the server stops, crashed or starts."""

_REFUSING_STATES: Final[dict[str | None, Refusal]] = {
    "25006": "read-only",
    "42501": "denied",
    "53100": "full",
    "58030": "input-output",
}
"""SQLSTATE: a read-only transaction, as on a hot standby; insufficient privilege; disk full; I/O error."""

_REFUSING_CODES: Final[dict[int, Refusal]] = {
    sqlite3.SQLITE_FULL: "full",
    sqlite3.SQLITE_IOERR_SHMSIZE: "full",  # The index of the write-ahead log could not grow.
    sqlite3.SQLITE_READONLY: "read-only",
    sqlite3.SQLITE_IOERR: "input-output",
    sqlite3.SQLITE_CANTOPEN: "cannot-open",
    sqlite3.SQLITE_PERM: "denied",
}
"""SQLite: extended result codes, or primary ones."""

Result = TypeVar("Result")

_log = structlog.get_logger()

SQLITE_CACHE_KIB = 65_536
"""The upper pages of every index stay in memory; the default of 2 MB holds those of a small city."""

SQLITE_CHECKPOINT_PAGES = 16_000
"""The write-ahead log is copied into the file every 64 MB, so that a page written often is copied seldom."""


def new_metadata() -> MetaData:
    """Metadata whose constraints are named."""
    return MetaData(naming_convention=NAMING_CONVENTION)


def open_engine(
    url: str, *, pool_size: int = POOL_SIZE, statement_timeout_s: int = STATEMENT_TIMEOUT_S
) -> Engine:
    """Open an engine for a database URL; for SQLite, create the folder of the file.

    Args:
        url: The URL of the database. Its options for PostgreSQL take precedence over those set here.
        pool_size: The greatest number of connections at a time.
        statement_timeout_s: PostgreSQL cancels a statement that takes longer; 0 means never.
    """
    # Errors, and so logs, do not show parameters: they are single-unit statistics.
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        return _open_sqlite(parsed, pool_size)
    engine = create_engine(
        parsed.difference_update_query(["options"]),
        connect_args=_postgres_arguments(parsed, statement_timeout_s),
        execution_options={"opened": {"url": url, "statement_timeout_s": statement_timeout_s}},
        hide_parameters=True,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=POOL_TIMEOUT_S,
        pool_pre_ping=True,
        pool_use_lifo=True,  # Spare connections stay unused.
    )
    event.listen(engine, "do_execute", _execute)
    event.listen(engine, "do_executemany", _copy_many)
    return engine


def _postgres_arguments(url: URL, statement_timeout_s: int) -> dict[str, Any]:
    ours = {
        "application_name": "duixian",
        "connect_timeout": CONNECT_TIMEOUT_S,
        "keepalives_idle": TCP_IDLE_S,
        "keepalives_interval": TCP_PROBE_INTERVAL_S,
        "keepalives_count": TCP_PROBES,
        "tcp_user_timeout": TCP_UNACKNOWLEDGED_S * 1000,
    }
    session = {
        "statement_timeout": statement_timeout_s * 1000,
        "lock_timeout": LOCK_TIMEOUT_S * 1000,
        "idle_in_transaction_session_timeout": IDLE_IN_TRANSACTION_TIMEOUT_S * 1000,
        # The server, too, has to notice when this process is gone: until then it holds our locks.
        "tcp_keepalives_idle": TCP_IDLE_S,
        "tcp_keepalives_interval": TCP_PROBE_INTERVAL_S,
        "tcp_keepalives_count": TCP_PROBES,
    }
    given = url.normalized_query.get("options", ())
    options = [*(f"-c {name}={value}" for name, value in session.items()), *given]
    return {
        **{name: value for name, value in ours.items() if name not in url.query},
        "options": " ".join(options),
    }


def _open_sqlite(url: URL, pool_size: int) -> Engine:
    arguments: dict[str, Any] = {"connect_args": {"timeout": LOCK_TIMEOUT_S}, "hide_parameters": True}
    is_file = url.database not in {None, "", ":memory:"} and "uri" not in url.query
    if is_file:
        make_private_folder(Path(url.database or "").parent)
        arguments |= {"pool_size": pool_size, "max_overflow": 0, "pool_timeout": POOL_TIMEOUT_S}
    engine = create_engine(url, **arguments)
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    if is_file:
        path = Path(url.database or "")
        _watch_file(engine, path)
        _WRITERS[engine] = _Writers(Turns(), Gate(path.with_name(f"{path.name}-gate")))
    return engine


def open_separate(engine: Engine, suffix: str, *, pool_size: int) -> Engine:
    """Open an engine for data that must be writable during transactions of another engine.

    On SQLite, where a database has one writer at a time, it opens another file, whose name is that of the
    first with a suffix. On PostgreSQL it opens the same database.
    """
    if engine.dialect.name != "sqlite":
        return open_engine(**engine.get_execution_options()["opened"], pool_size=pool_size)
    url = engine.url
    name = url.database if url.database in {None, "", ":memory:"} else f"{url.database}{suffix}"
    return _open_sqlite(url.set(database=name), pool_size)


def missing_file(engine: Engine) -> Path | None:
    """The file of an SQLite database if it does not exist; opening it would create an empty one."""
    url = engine.url
    if engine.dialect.name != "sqlite" or url.database in {None, "", ":memory:"} or "uri" in url.query:
        return None
    path = Path(url.database or "")
    return None if path.exists() else path


def _copy_many(cursor: Any, statement: str, rows: Sequence[Any], context: Any) -> bool:
    """Let `exec_driver_sql` execute `COPY … FROM STDIN`, with the column types in the option `copy_types`.

    The driver has another call for it; here its errors are handled like those of any statement.
    """
    if not statement.startswith("COPY "):
        return False
    with cursor.copy(statement) as copy:
        copy.set_types(context.execution_options["copy_types"])
        for row in rows:
            copy.write_row(row)
    return True


def _execute(cursor: Any, statement: str, given: Any, context: Any) -> bool:
    """With the option `as_bytes`, return values as bytes, not as text to parse: that takes half the time."""
    if context.execution_options.get("as_bytes", False):
        from psycopg.pq import Format  # noqa: PLC0415 - a ledger on SQLite does not load the driver

        cursor.format = Format.BINARY
    return _copy_many(cursor, statement, [given], context)


def _prepare_sqlite(connection: Any, _: ConnectionPoolEntry) -> None:
    connection.isolation_level = None  # The driver begins no transaction of its own.
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA foreign_keys=ON")
    # Some builds overwrite deleted data with zeros. That is not needed: nothing secret is ever deleted.
    cursor.execute("PRAGMA secure_delete=FAST")
    cursor.execute(f"PRAGMA cache_size=-{SQLITE_CACHE_KIB}")
    cursor.execute(f"PRAGMA wal_autocheckpoint={SQLITE_CHECKPOINT_PAGES}")
    cursor.execute("PRAGMA case_sensitive_like=ON")  # As on PostgreSQL.
    cursor.close()


class _Writers(NamedTuple):
    """The order in which threads of this process, and all processes, write to an SQLite file."""

    turns: Turns
    gate: Gate


_WRITERS: Final[WeakKeyDictionary[Engine, _Writers]] = WeakKeyDictionary()


def _turn(engine: Engine) -> AbstractContextManager[None]:
    """A turn to write; on PostgreSQL none is needed, since it queues those that wait for a row."""
    writers = _WRITERS.get(engine)
    return nullcontext() if writers is None else writers.turns.taken(LOCK_TIMEOUT_S)


def _begin_sqlite(connection: Connection) -> None:
    if not connection.get_execution_options().get("writes", False):
        connection.exec_driver_sql("BEGIN")
        return
    writers = _WRITERS.get(connection.engine)
    if writers is None or not connection.get_execution_options().get("takes_turn", True):
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    else:
        writers.gate.pass_through(lambda: _try_begin(connection), LOCK_TIMEOUT_S)


def _try_begin(connection: Connection) -> Exception | None:
    """Begin to write; return the error at once if another process is writing."""
    driver: Any = connection.connection.driver_connection
    driver.execute("PRAGMA busy_timeout=0")
    try:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    except sql_errors.OperationalError as error:
        if getattr(error.orig, "sqlite_errorcode", sqlite3.SQLITE_OK) & 0xFF != sqlite3.SQLITE_BUSY:
            raise
        return error
    finally:
        driver.execute(f"PRAGMA busy_timeout={int(LOCK_TIMEOUT_S * 1000)}")
    return None


def _watch_file(engine: Engine, path: Path) -> None:
    """Stop using a file that was removed or replaced: writes to it would be lost."""
    was_there = False

    def check(*_: Any) -> None:
        if was_there and not path.exists():  # SQLite would create an empty one.
            raise sqlite3.OperationalError(f"the database file {path.name} is gone")

    def prepare(*_: Any) -> None:
        check()
        if not path.exists():
            open_private(path, "ab").close()  # SQLite gives its -wal and -shm the same permissions.

    def remember(_: Any, entry: ConnectionPoolEntry) -> None:
        nonlocal was_there
        was_there = True
        entry.info["file"] = _identity(path)

    def compare(_: Any, entry: ConnectionPoolEntry, __: PoolProxiedConnection) -> None:
        check()
        if entry.info["file"] != _identity(path):
            raise sql_errors.DisconnectionError("the database file was replaced by another one")

    event.listen(engine, "do_connect", prepare)
    event.listen(engine, "connect", remember)
    event.listen(engine, "checkout", compare)


def _identity(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino


@contextmanager
def write_transaction(engine: Engine, *, no_timeout: bool = False) -> Iterator[Connection]:
    """A transaction that writes: on SQLite it takes the write lock at once, so that it cannot fail to later.

    On SQLite the threads of a process take turns in the order in which they arrive.

    Args:
        engine: The database.
        no_timeout: Whether its statements may take as long as they need.
    """
    with (
        _reopening_on_refusal(engine),
        detecting_damage(),
        _turn(engine),
        engine.connect().execution_options(writes=True) as connection,
        connection.begin(),
        _as_sqlalchemy(connection),
    ):
        if no_timeout:
            disable_timeouts(connection)
        yield connection


@contextmanager
def writing_unless_locked(engine: Engine, wait_ms: int) -> Iterator[Connection]:
    """A transaction that writes and waits at most `wait_ms` for any lock: see `met_a_lock`."""
    is_sqlite = engine.dialect.name == "sqlite"
    options = {"writes": True, "takes_turn": False}
    with _reopening_on_refusal(engine), engine.connect().execution_options(**options) as connection:
        driver: Any = connection.connection.driver_connection
        if is_sqlite:
            driver.execute(f"PRAGMA busy_timeout={wait_ms}")
        try:
            with connection.begin():
                if not is_sqlite:
                    connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{wait_ms}ms'")
                yield connection
        finally:
            if is_sqlite:
                driver.execute(f"PRAGMA busy_timeout={LOCK_TIMEOUT_S * 1000}")


@contextmanager
def _reopening_on_refusal(engine: Engine) -> Iterator[None]:
    """If a write is refused, close the connections, so that the next write opens a new one.

    SQLite opens a read-only file for reading only, and PostgreSQL gives a session the settings of its start:
    an open connection would go on refusing after the cause is gone.
    """
    try:
        yield
    except sql_errors.DBAPIError as error:
        if refusal_of(error) is not None:
            engine.dispose()
        raise


@contextmanager
def read_transaction(engine: Engine) -> Iterator[Connection]:
    """A transaction that only reads, in one snapshot of the database.

    Raises:
        DamagedError: The file, or a text in it, is damaged.
    """
    with detecting_damage(), engine.connect() as connection:
        if connection.dialect.name != "sqlite":
            connection = connection.execution_options(  # noqa: PLW2901 - the same connection
                isolation_level="REPEATABLE READ"
            )
        with connection.begin():
            yield connection


class DamagedError(LedgerIntegrityError):
    """The database cannot be read completely: its file is damaged, or a text in it is not UTF-8."""


@contextmanager
def read_untrusted(engine: Engine) -> Iterator[Connection]:
    """A read transaction for untrusted values: text that is not UTF-8, which SQLite may hold, is no error.

    Its bytes become lone surrogates (PEP 383). The connection is not used again.

    Raises:
        DamagedError: The file is damaged.
    """
    with read_transaction(engine) as connection:
        disable_timeouts(connection)
        if connection.dialect.name == "sqlite":
            driver: Any = connection.connection.driver_connection
            driver.text_factory = lambda text: text.decode("utf-8", "surrogateescape")
            connection.detach()
        yield connection


@contextmanager
def detecting_damage() -> Iterator[None]:
    """Raise `DamagedError` for an error that says that the database is damaged."""
    try:
        yield
    except (sql_errors.DBAPIError, sqlite3.Error) as error:
        damage = _describe_damage(error.orig if isinstance(error, sql_errors.DBAPIError) else error)
        if damage is None:
            raise
        raise DamagedError(damage) from error


def _describe_damage(error: BaseException | None) -> str | None:
    """The damage that an error reports, in Chinese; None for any other error."""
    if str(error).startswith("Could not decode to UTF-8"):
        return (
            "数据库中有的文字不是UTF-8编码，已损坏或被改动。"
            "请运行duixian audit verify查明是哪一条，从备份恢复"
        )
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_OK) & 0xFF
    is_damaged = code in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
    if is_damaged or getattr(error, "sqlstate", None) in _DAMAGED_STATES:
        return f"数据库文件损坏，无法读完。请保留原文件，从备份恢复（{error}）"
    return None


def has_several_writers(engine: Engine) -> bool:
    """Whether two transactions may write at the same time, to different tables."""
    return engine.dialect.name != "sqlite"


def disable_timeouts(connection: Connection) -> None:
    """Let the statements of this transaction take as long as they need; the timeout for locks remains."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
        connection.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = 0")


def limit_lock_wait(connection: Connection, seconds: int) -> None:
    """Limit how long PostgreSQL waits for any lock in this transaction."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{seconds}s'")


def met_a_lock(error: Exception) -> bool:
    """Whether an error is the timeout of a wait for a lock."""
    if not isinstance(error, sql_errors.DBAPIError):
        return False
    return _state(error) == "55P03" or _sqlite_code(error) & 0xFF == sqlite3.SQLITE_BUSY


def refusal_of(error: BaseException | None) -> Refusal | None:
    """Why a reachable database refused a write; None for any other error."""
    if not isinstance(error, sql_errors.DBAPIError):
        return None
    code = _sqlite_code(error)
    return _REFUSING_STATES.get(_state(error)) or _REFUSING_CODES.get(code, _REFUSING_CODES.get(code & 0xFF))


@contextmanager
def _as_sqlalchemy(connection: Connection) -> Iterator[None]:
    """Wrap errors of a direct call to the driver as SQLAlchemy would."""
    dialect: Any = connection.dialect
    driver = dialect.loaded_dbapi
    try:
        yield
    except driver.Error as error:
        is_lost = dialect.is_disconnect(error, connection.connection.dbapi_connection, None)
        wrapped: Any = sql_errors.DBAPIError.instance(
            "", None, error, driver.Error, connection_invalidated=is_lost, dialect=dialect
        )
        raise wrapped from error


def is_uncertain(error: Exception) -> bool:
    """Whether the connection was lost, so that the outcome of the transaction is unknown."""
    if not isinstance(error, sql_errors.DBAPIError):
        return False
    return error.connection_invalidated or _state(error) in _UNCERTAIN_STATES


def is_transient(error: Exception) -> bool:
    """Whether a retry may succeed: after a lost connection, a deadlock or a serialisation failure."""
    if not isinstance(error, sql_errors.DBAPIError):
        return False
    import psycopg  # noqa: PLC0415 - as above

    if isinstance(error.orig, psycopg.errors.ConnectionTimeout):
        return False  # The timeout was long enough: a retry would only double it.
    cannot_connect = isinstance(error.orig, psycopg.OperationalError) and _state(error) is None
    return cannot_connect or is_uncertain(error) or _state(error) in _TRANSIENT_STATES


def _state(error: sql_errors.DBAPIError) -> str | None:
    state: str | None = getattr(error.orig, "sqlstate", None)
    return state


def _sqlite_code(error: sql_errors.DBAPIError) -> int:
    code: int = getattr(error.orig, "sqlite_errorcode", sqlite3.SQLITE_OK)
    return code


def with_retries(step: Callable[[], Result], pauses_s: Sequence[float] = RETRY_PAUSES_S) -> Result:
    """Run an idempotent step; retry it after a pause if it failed with a transient error."""
    for pause_s in pauses_s:
        try:
            return step()
        except sql_errors.DBAPIError as error:
            if not is_transient(error):
                raise
            _log.warning("database failed, retrying", error=str(error), pause_s=pause_s)
        time.sleep(pause_s)
    return step()


def retry_once(step: Callable[[], Result]) -> Result:
    """Run a step that reads; retry it once, without a pause, if the connection was lost."""
    return with_retries(step, pauses_s=(0,))
