"""Settings, from environment variables with the prefix `DUIXIAN_` and from `.env`."""

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """What an operator may set. Each is in the README's table, with its default."""

    model_config = SettingsConfigDict(env_prefix="DUIXIAN_", env_file=".env", extra="ignore", frozen=True)

    database_url: str = Field(
        default="sqlite:///data/duixian.db", description="`sqlite:///…` or `postgresql+psycopg://…`"
    )
    host: str = Field(default="127.0.0.1", description="The address that `duixian serve` listens on")
    port: int = Field(default=8000, ge=0, le=65535, description="The port that `duixian serve` listens on")
    log_format: str = Field(default="text", pattern="^(text|json)$", description="`json` for production")
