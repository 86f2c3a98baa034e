"""Logs: lines for a terminal, JSON in production."""

import json
import sys
from typing import Any

import structlog

from app.escaping import escaped, escaped_json


def configure_logs(log_format: str) -> None:
    """Write logs to standard error, as `text` or as `json`."""
    rendering: list[structlog.typing.Processor] = (
        [structlog.processors.JSONRenderer(serializer=_json)]
        if log_format == "json"
        else [_escape, structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())]
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            *rendering,
        ],
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )


def _escape(_: Any, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Show what would steer a terminal as its code; an entry is one line, but for its traceback."""
    return {
        name: escaped(value, keep="\n" if name == "exception" else "") if isinstance(value, str) else value
        for name, value in event.items()
    }


def _json(event: Any, **options: Any) -> str:
    return escaped_json(json.dumps(event, ensure_ascii=False, **options))


def log_format() -> str:
    """As what this process writes its logs, for the processes that it starts."""
    renderer = structlog.get_config()["processors"][-1]
    return "json" if isinstance(renderer, structlog.processors.JSONRenderer) else "text"
