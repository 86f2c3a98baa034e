"""Assembles settings, database and ledger."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import structlog
from sqlalchemy import Engine, column, inspect, select, table

from app.ledger import publications
from app.ledger.clock import AHEAD_SAID_US, ClockError, beijing_text, now_us
from app.ledger.ledger import Ledger
from app.ledger.write_probe import WriteProbe
from app.runtime.database import missing_file, open_engine, read_transaction, refusal_of
from app.runtime.limits import READY_LAG_S
from app.runtime.reasons import REFUSALS
from app.runtime.settings import Settings
from app.security.disclosures import open_disclosures
from app.transparency.sealing import shortened_seal
from app.use_cases.recording import INTERRUPTED
from app.use_cases.upkeep.projecting import project_all
from projections.projector import position_of
from projections.queries import disagreements

if TYPE_CHECKING:
    from alembic.config import Config

_log = structlog.get_logger()
_MIGRATIONS = Path(__file__).parents[1] / "migrations"

Schema = Literal["ledger", "disclosures"]
_VERSIONS: Final[dict[Schema, str]] = {"ledger": "versions", "disclosures": "disclosures"}
"""The folders of the migrations, by schema."""

_VERSION_TABLES: Final[dict[Schema, str]] = {
    "ledger": "alembic_version",
    "disclosures": "disclosures_version",
}
"""The tables that hold the current revision, by schema."""


class NotMigratedError(Exception):
    """The database does not have the schema of this software."""


def open_ledger(settings: Settings, clock: Callable[[], int] = now_us) -> Ledger:
    """Open the ledger of the settings."""
    engine = open_engine(
        settings.database_url,
        pool_size=settings.pool_size,
        statement_timeout_s=settings.statement_timeout_s,
    )
    return Ledger(engine, clock)


def alembic_config(engine: Engine, schema: Schema = "ledger") -> "Config":
    """Create Alembic's configuration for an engine, and the schema of its database."""
    from alembic.config import Config  # noqa: PLC0415 - a command that only reads does not wait for this

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.set_main_option("version_locations", str(_MIGRATIONS / _VERSIONS[schema]))
    config.set_main_option("path_separator", "newline")
    config.set_main_option("schema", schema)
    config.attributes["engine"] = engine
    return config


def migrate(engine: Engine) -> None:
    """Migrate the schemas of the ledger and of its disclosures to those of this software."""
    from alembic import command  # noqa: PLC0415 - as above

    command.upgrade(alembic_config(engine), "head")
    with _disclosures(engine) as disclosures:
        command.upgrade(alembic_config(disclosures, "disclosures"), "head")


def is_migrated(engine: Engine) -> bool:
    """Whether the schemas are those of this software."""
    return all(current == newest for current, newest in _revisions(engine))


def _revisions(engine: Engine) -> Iterator[tuple[str | None, str | None]]:
    """Yield the current revision of each schema, and the revision of this software."""
    yield _revision(engine, "ledger")
    with _disclosures(engine) as disclosures:
        yield _revision(disclosures, "disclosures")


def _revision(engine: Engine, schema: Schema) -> tuple[str | None, str | None]:
    newest = newest_revision(schema)
    if schema == "disclosures" and missing_file(engine) is not None:
        return None, newest  # Opening the file would create an empty one.
    versions = table(_VERSION_TABLES[schema], column("version_num"))
    with read_transaction(engine) as connection:
        if not inspect(connection).has_table(versions.name):
            return None, newest
        return connection.scalar(select(versions.c.version_num)), newest


@cache
def newest_revision(schema: Schema) -> str:
    """The revision of the last migration of a schema, whose files are numbered."""
    return max(path.name[:4] for path in (_MIGRATIONS / _VERSIONS[schema]).glob("[0-9]*.py"))


@contextmanager
def _disclosures(engine: Engine) -> Iterator[Engine]:
    opened = open_disclosures(engine)
    try:
        yield opened
    finally:
        opened.dispose()


def why_not_ready(ledger: Ledger) -> str | None:
    """Why the service is not ready; None if it is.

    Raises:
        sqlalchemy.exc.OperationalError: The database is unavailable.
    """
    return _schema_problem(ledger) or _lag_problem(ledger)


def _schema_problem(ledger: Ledger) -> str | None:
    for current, newest in _revisions(ledger.engine):
        if current is None:
            return "数据库尚未建立结构，请先运行duixian migrate。"
        if current != newest:
            return f"数据库结构的版本为{current}，本程序为{newest}，请先运行duixian migrate。"
    return None


def _lag_problem(ledger: Ledger) -> str | None:
    with read_transaction(ledger.engine) as connection:
        head, projected = ledger.head(connection), position_of(connection)
        unknown = ledger.unknown_type(connection, after=projected)
    if unknown is not None:
        return f"台账中有本程序不认识的记录（类型{unknown}），须使用更新的程序。"
    deadline = time.monotonic() + READY_LAG_S
    while projected < head:
        if time.monotonic() > deadline:
            return f"查询表更新至台账序号{projected}，台账已至{head}。"
        time.sleep(READY_LAG_S / 10)
        with read_transaction(ledger.engine) as connection:
            projected = position_of(connection)
    return None


class Readiness:
    """Checks whether a service is ready.

    Args:
        ledger: The ledger.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._probe = WriteProbe(ledger.engine)

    def why_not(self) -> str | None:
        """Why the service is not ready, or cannot record; None if there is no problem.

        Raises:
            sqlalchemy.exc.OperationalError: The database is unavailable.
        """
        problem = _schema_problem(self._ledger)
        if problem is not None:
            return problem
        refusal = self._probe.refusal()
        if refusal is not None:
            return f"数据库不能写入：{REFUSALS[refusal]}。恢复后会自动继续。"
        return _lag_problem(self._ledger) or self._clock_problem()

    def _clock_problem(self) -> str | None:
        with read_transaction(self._ledger.engine) as connection:
            problem = self._ledger.sql_recorder.clock_problem(connection)
        return None if problem is None else f"{problem}。"

    def notices(self) -> dict[str, Any]:
        """Notices for the operator of a ready service: disputed events, unfinished assessments, its clock."""
        with read_transaction(self._ledger.engine) as connection:
            disputed = disagreements.count(connection, position_of(connection))
            unfinished = publications.all_unfinished(connection)
            last_us, now_us = self._ledger.last_recorded_us(connection), self._ledger.clock()
            shortened = shortened_seal(connection)
        notices = [] if shortened is None else [f"{shortened}。"]
        if last_us - now_us > AHEAD_SAID_US:
            notices.append(
                f"台账最后的登记时间为{beijing_text(last_us)}，晚于本机时钟{beijing_text(now_us)}："
                "在此之前登记的都记为该时间，按登记时间查不到，请按台账序号查询。"
            )
        assessments = [
            {
                "policy": publication.policy,
                "version": publication.version,
                "done": publication.done_before_end,
                "total": publication.total,
            }
            for publication in unfinished
        ]
        return {"disputed": disputed, "assessments": assessments, "notices": notices}


def complete(ledger: Ledger) -> None:
    """Finish what an earlier process left: update the read models, and assess after publications.

    Raises:
        NotMigratedError: The database is not migrated.
    """
    if not is_migrated(ledger.engine):
        raise NotMigratedError("The database is not migrated: run duixian migrate.")
    from app.use_cases.policies.publishing import assess_published  # noqa: PLC0415 - as above

    project_all(ledger)
    assess_published(ledger)


def complete_if_possible(ledger: Ledger) -> None:
    """Call `complete` at the start of a service, which tries again later if nothing can be recorded yet.

    Raises:
        NotMigratedError: The database is not migrated.
    """
    try:
        complete(ledger)
    except INTERRUPTED as error:
        refusal = refusal_of(error) or refusal_of(error.__cause__)
        if refusal is None and not isinstance(error, ClockError):
            raise
        _log.warning("unfinished work is left for later", error=str(error))
