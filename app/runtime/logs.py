"""Logs: lines for a terminal, JSON in production; repeated lines are soon only counted."""

import json
import logging
import sys
import time
from collections.abc import Callable
from typing import Any, Final

import structlog

from app.runtime.escaping import escaped, escaped_json
from app.runtime.limits import LOG_REPEATS_MOST, LOG_REPEATS_WINDOW_S

_KEYS_MOST: Final = 1_000


class Repeats:
    """Limits repeated lines: in each period the first ones are written, the others counted.

    Args:
        clock: Returns the time in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lines: dict[tuple[str, ...], tuple[float, int]] = {}

    def admit(self, *key: str) -> str | None:
        """A remark to add to a line, usually ""; None if the line is to be left out."""
        now_s = self._clock()
        began_s, lines = self._lines.get(key, (now_s, 0))
        left_out = 0
        if now_s - began_s >= LOG_REPEATS_WINDOW_S:
            left_out = max(lines - LOG_REPEATS_MOST, 0)
            began_s, lines = now_s, 0
        if key not in self._lines and len(self._lines) >= _KEYS_MOST:
            self._lines.clear()
        self._lines[key] = (began_s, lines + 1)
        if lines + 1 > LOG_REPEATS_MOST:
            return None
        if lines + 1 == LOG_REPEATS_MOST:
            return f"the same within {LOG_REPEATS_WINDOW_S} seconds is left out"
        return f"{left_out} times more before" if left_out else ""


class RepeatsFilter(logging.Filter):
    """The same for log records of libraries, by their first line; further lines name sockets."""

    def __init__(self) -> None:
        super().__init__()
        self._repeats = Repeats()

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to write a line."""
        if record.levelno < logging.WARNING:
            return True
        remark = self._repeats.admit(record.name, str(record.msg).partition("\n")[0])
        if remark:
            record.msg = f"{record.msg} ({remark})"
        return remark is not None


def _bound_repeats(_: Any, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    if event["level"] in {"warning", "error", "critical"}:
        remark = _repeats.admit(str(event.get("event")), str(event.get("error", event.get("exc_info"))))
        if remark is None:
            raise structlog.DropEvent
        if remark:
            event["repeats"] = remark
    return event


_repeats: Final = Repeats()
_SHARED: Final[list[structlog.typing.Processor]] = [
    structlog.contextvars.merge_contextvars,
    structlog.processors.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]


def _rendering(log_format: str) -> list[structlog.typing.Processor]:
    if log_format == "json":
        return [structlog.processors.JSONRenderer(serializer=_json)]
    return [_escape, structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())]


def configure_logs(log_format: str) -> None:
    """Write logs to standard error, as `text` or as `json`."""
    structlog.configure(
        processors=[
            *_SHARED,
            _bound_repeats,
            structlog.processors.format_exc_info,
            *_rendering(log_format),
        ],
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )


def _escape(_: Any, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Escape characters that control a terminal; an entry is one line, except for its traceback."""
    return {
        name: escaped(value, keep="\n" if name == "exception" else "") if isinstance(value, str) else value
        for name, value in event.items()
    }


def _json(event: Any, **options: Any) -> str:
    return escaped_json(json.dumps(event, ensure_ascii=False, **options))


def library_formatter(log_format: str) -> logging.Formatter:
    """A formatter that gives log records of libraries the form of our own."""
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=_SHARED,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            *_rendering(log_format),
        ],
    )


def library_logs(log_format: str) -> dict[str, Any]:
    """The logging of the server, asyncio and other libraries, as `logging.config.dictConfig` takes it."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"ours": {"()": library_formatter, "log_format": log_format}},
        "filters": {"repeats": {"()": RepeatsFilter}},
        "handlers": {
            "ours": {"class": "logging.StreamHandler", "formatter": "ours", "filters": ["repeats"]},
        },
        "root": {"handlers": ["ours"], "level": "WARNING"},
        "loggers": {"uvicorn": {"level": "INFO"}},
    }


def log_format() -> str:
    """The format in which this process writes its logs, for the processes that it starts."""
    renderer = structlog.get_config()["processors"][-1]
    return "json" if isinstance(renderer, structlog.processors.JSONRenderer) else "text"
