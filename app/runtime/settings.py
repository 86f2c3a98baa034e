"""Settings, from environment variables with the prefix `DUIXIAN_` and from `.env`."""

from pathlib import Path
from typing import Final

from pydantic import Field, field_validator
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, SettingsConfigDict
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from app.runtime.limits import (
    DISCLOSURE_CONNECTIONS,
    POOL_SIZE,
    RECEIVE_TIMEOUT_S,
    STATEMENT_TIMEOUT_S,
    STOP_TIMEOUT_S,
)

DRIVERS: Final = ("sqlite", "postgresql+psycopg")
"""The databases that this software runs on, as SQLAlchemy names their drivers."""


class Settings(BaseSettings):
    """What an operator may set. Each is in the README's table, with its default."""

    model_config = SettingsConfigDict(env_prefix="DUIXIAN_", env_file=".env", extra="ignore", frozen=True)

    database_url: str = Field(
        default="sqlite:///data/duixian.db", description="`sqlite:///…` or `postgresql+psycopg://…`"
    )
    pool_size: int = Field(
        default=POOL_SIZE,
        ge=1,
        le=1_000,
        description="The most connections of a service, shared by its workers, or of a command; "
        f"on PostgreSQL each process opens up to {DISCLOSURE_CONNECTIONS} more to note disclosures",
    )
    statement_timeout_s: int = Field(
        default=STATEMENT_TIMEOUT_S,
        ge=0,
        le=2_000_000,
        description="PostgreSQL ends a longer statement; 0 is never",
    )
    receive_timeout_s: int = Field(
        default=RECEIVE_TIMEOUT_S,
        ge=1,
        le=3_600,
        description="How long the service waits for a client to go on with its request, or to begin another",
    )
    stop_timeout_s: int = Field(
        default=STOP_TIMEOUT_S,
        ge=1,
        le=3_600,
        description="How long a stop waits for the requests in work",
    )
    host: str = Field(default="127.0.0.1", description="The address that `duixian serve` listens on")
    port: int = Field(default=8000, ge=0, le=65535, description="The port that `duixian serve` listens on")
    workers: int = Field(default=1, ge=1, description="How many processes `duixian serve` answers with")
    audit_key_file: Path = Field(
        default=Path("data/audit.key"), description="The key that checkpoints of the log are signed with"
    )
    log_format: str = Field(default="text", pattern="^(text|json)$", description="`json` for production")

    @field_validator("database_url")
    @classmethod
    def _names_a_database(cls, text: str) -> str:
        """Refuse what names no database that this software runs on."""
        try:
            driver = make_url(text).drivername
        except (ArgumentError, ValueError):  # The second is a port that is no number.
            driver = ""
        if driver not in DRIVERS:
            raise PydanticCustomError("database_url", "应为sqlite:///…或postgresql+psycopg://…")
        return text
