"""Settings, from environment variables that begin with `DUIXIAN_` and from lines of a file `.env`."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, get_args, get_origin

import msgspec
from msgspec import Meta
from msgspec.structs import FieldInfo
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from app.runtime.limits import (
    DISCLOSURE_CONNECTIONS,
    POOL_SIZE,
    POOL_TIMEOUT_S,
    RECEIVE_TIMEOUT_S,
    STATEMENT_TIMEOUT_S,
    STOP_TIMEOUT_S,
)

PREFIX: Final = "DUIXIAN_"
ENV_FILE: Final = Path(".env")
DRIVERS: Final = ("sqlite", "postgresql+psycopg")
"""The databases that this software runs on, as SQLAlchemy names their drivers."""

_INTEGER: Final = re.compile("-?[0-9]{1,4000}", re.ASCII)


class SettingsError(ValueError):
    """Settings cannot be what they are set to.

    Args:
        problems: What is wrong, by the names of the variables.
    """

    def __init__(self, problems: Mapping[str, str]) -> None:
        super().__init__("; ".join(f"{name}: {problem}" for name, problem in problems.items()))
        self.problems = problems


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What an operator may set; `make docs` writes the table of the reference from it."""

    database_url: Annotated[
        str,
        Meta(
            description="`sqlite:///…` (four slashes before an absolute path) or "
            "`postgresql+psycopg://user:password@host/name`"
        ),
    ] = "sqlite:///data/duixian.db"
    pool_size: Annotated[
        int,
        Meta(
            ge=1,
            le=1_000,
            description="the most connections that a service opens, shared by its workers, or that a "
            "command does: one for each thread of one process; where there are fewer, callers wait up to "
            f"{POOL_TIMEOUT_S} s for one and are then told to come again. On PostgreSQL each process opens "
            f"up to {DISCLOSURE_CONNECTIONS} more to note disclosures. PostgreSQL admits 100 in all unless "
            "it is told otherwise",
        ),
    ] = POOL_SIZE
    statement_timeout_s: Annotated[
        int,
        Meta(
            ge=0,
            le=2_000_000,
            description="PostgreSQL ends a statement that takes longer, and the caller is told to come "
            "again; 0 is never. Migrations and rebuilds take as long as they need",
        ),
    ] = STATEMENT_TIMEOUT_S
    receive_timeout_s: Annotated[
        int,
        Meta(
            ge=1,
            le=3_600,
            description="how long the service waits for a client to begin a request, to send its head "
            "whole, or to go on with its body",
        ),
    ] = RECEIVE_TIMEOUT_S
    stop_timeout_s: Annotated[
        int,
        Meta(
            ge=1,
            le=3_600,
            description="how long a stop waits for the requests in work; five seconds later the process "
            "ends, whatever it does",
        ),
    ] = STOP_TIMEOUT_S
    host: Annotated[str, Meta(description="the address that `duixian serve` and `make run` listen on")] = (
        "127.0.0.1"
    )
    port: Annotated[int, Meta(ge=0, le=65_535, description="the port that they listen on")] = 8000
    workers: Annotated[int, Meta(ge=1, description="how many processes `duixian serve` answers with")] = 1
    audit_key_file: Annotated[
        Path, Meta(description="the file of the key that signs checkpoints, made by `duixian audit key`")
    ] = Path("data/audit.key")
    log_format: Annotated[
        Literal["text", "json"],
        Meta(description="`text`, or `json` for production; logs go to standard error"),
    ] = "text"


def variable_of(name: str) -> str:
    """The environment variable of a setting."""
    return f"{PREFIX}{name.upper()}"


def read_settings() -> Settings:
    """The settings of the environment and of `.env`; the environment comes first.

    Raises:
        SettingsError: Something is set to what cannot be.
    """
    lines = {**_env_file(), **os.environ}
    given: dict[str, Any] = {}
    problems: dict[str, str] = {}
    for field in msgspec.structs.fields(Settings):
        variable = variable_of(field.name)
        if variable in lines:
            try:
                given[field.name] = _value(field, lines[variable])
            except ValueError as error:
                problems[variable] = str(error)
    if problems:
        raise SettingsError(problems)
    return Settings(**given)


def _env_file() -> dict[str, str]:
    if not ENV_FILE.is_file():
        return {}
    from dotenv import dotenv_values  # noqa: PLC0415 - most have no such file

    return {name: value for name, value in dotenv_values(ENV_FILE).items() if value is not None}


def _value(field: FieldInfo, text: str) -> Any:
    """What a setting is set to.

    Raises:
        ValueError: It cannot be that; the message says why, in Chinese.
    """
    kind, meta = get_args(field.type)
    if kind is int:
        return _integer(text, meta)
    if get_origin(kind) is Literal and text not in get_args(kind):
        raise ValueError(f"应为{'或'.join(get_args(kind))}")
    if field.name == "database_url" and not _names_a_database(text):
        raise ValueError("应为sqlite:///…或postgresql+psycopg://…")
    return Path(text) if kind is Path else text


def _integer(text: str, meta: Meta) -> int:
    if _INTEGER.fullmatch(text) is None:
        raise ValueError("应为整数")
    value = int(text)
    if meta.ge is not None and value < meta.ge:
        raise ValueError(f"不能小于{meta.ge}")
    if meta.le is not None and value > meta.le:
        raise ValueError(f"不能大于{meta.le}")
    return value


def _names_a_database(url: str) -> bool:
    """Whether a URL names a database that this software runs on."""
    try:
        return make_url(url).drivername in DRIVERS
    except (ArgumentError, ValueError):  # The second is a port that is no number.
        return False
