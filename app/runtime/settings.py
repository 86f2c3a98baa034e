"""Settings, read from environment variables with the prefix `DUIXIAN_` and from a file `.env`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import Field, ValidationError, field_validator
from pydantic_core import ErrorDetails, PydanticCustomError
from pydantic_settings import BaseSettings, SettingsConfigDict
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
DRIVERS: Final = ("sqlite", "postgresql+psycopg")
"""The databases that this software runs on, as SQLAlchemy names their drivers."""

_PROBLEMS: Final[Mapping[str, str]] = {
    "int_parsing": "应为整数",
    "int_parsing_size": "应为整数",
    "greater_than_equal": "不能小于{ge}",
    "less_than_equal": "不能大于{le}",
    "literal_error": "应为{expected}",
}
"""Messages by pydantic's types of errors; any other error keeps pydantic's message."""


class SettingsError(ValueError):
    """Settings have invalid values.

    Args:
        problems: The problems in Chinese, by the names of the variables.
    """

    def __init__(self, problems: Mapping[str, str]) -> None:
        super().__init__("; ".join(f"{name}: {problem}" for name, problem in problems.items()))
        self.problems = problems


class Settings(BaseSettings):
    """The settings of an operator; `make docs` generates the table in the reference from them."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_file=".env", extra="ignore", frozen=True)

    database_url: Annotated[
        str,
        Field(
            description="`sqlite:///…` (four slashes before an absolute path) or "
            "`postgresql+psycopg://user:password@host/name`"
        ),
    ] = "sqlite:///data/duixian.db"
    pool_size: Annotated[
        int,
        Field(
            ge=1,
            le=1_000,
            description="the greatest number of connections of a service, shared by its workers, or of a "
            "command. The default is one for each thread of one process; with fewer, a request waits up to "
            f"{POOL_TIMEOUT_S} s for a connection and is then refused with 503. On PostgreSQL each process "
            f"opens up to {DISCLOSURE_CONNECTIONS} more to record disclosures. PostgreSQL admits 100 in all "
            "by default",
        ),
    ] = POOL_SIZE
    statement_timeout_s: Annotated[
        int,
        Field(
            ge=0,
            le=2_000_000,
            description="PostgreSQL cancels a statement that takes longer, and the request gets 503; 0 means "
            "never. Migrations and rebuilds take as long as they need",
        ),
    ] = STATEMENT_TIMEOUT_S
    receive_timeout_s: Annotated[
        int,
        Field(
            ge=1,
            le=3_600,
            description="how long the service waits for a client to begin a request, to send its whole head, "
            "or to continue its body",
        ),
    ] = RECEIVE_TIMEOUT_S
    stop_timeout_s: Annotated[
        int,
        Field(
            ge=1,
            le=3_600,
            description="how long a stop waits for running requests; five seconds later the process ends in "
            "any case",
        ),
    ] = STOP_TIMEOUT_S
    host: Annotated[str, Field(description="the address that `duixian serve` and `make run` listen on")] = (
        "127.0.0.1"
    )
    port: Annotated[int, Field(ge=0, le=65_535, description="the port that these commands listen on")] = 8000
    workers: Annotated[int, Field(ge=1, description="the number of processes of `duixian serve`")] = 1
    audit_key_file: Annotated[
        Path, Field(description="the file of the key that signs checkpoints, created by `duixian audit key`")
    ] = Path("data/audit.key")
    log_format: Annotated[
        Literal["text", "json"],
        Field(description="`text`, or `json` for production; logs go to standard error"),
    ] = "text"

    @field_validator("database_url")
    @classmethod
    def _names_a_database(cls, text: str) -> str:
        """Refuse a URL that does not name a supported database."""
        try:
            driver = make_url(text).drivername
        except (ArgumentError, ValueError):  # ValueError: the port is not a number.
            driver = ""
        if driver not in DRIVERS:
            raise PydanticCustomError("database_url", "应为sqlite:///…或postgresql+psycopg://…")
        return text


def variable_of(name: str) -> str:
    """The environment variable of a setting."""
    return f"{PREFIX}{name.upper()}"


def read_settings() -> Settings:
    """Read the settings from the environment and from `.env`; the environment takes precedence.

    Raises:
        SettingsError: A setting has an invalid value.
    """
    try:
        return Settings()
    except ValidationError as error:
        raise SettingsError(
            {variable_of(str(problem["loc"][0])): _problem(problem) for problem in error.errors()}
        ) from error


def _problem(error: ErrorDetails) -> str:
    text = _PROBLEMS.get(error["type"], error["msg"]).format(**error.get("ctx", {}))
    return text.replace("' or '", "或").replace("'", "")
