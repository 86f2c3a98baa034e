"""Logs: lines for a terminal, JSON in production."""

import sys

import structlog


def configure_logs(log_format: str) -> None:
    """Write logs to standard error, as `text` or as `json`."""
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer(ensure_ascii=False)
        if log_format == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )


def log_format() -> str:
    """As what this process writes its logs, for the processes that it starts."""
    renderer = structlog.get_config()["processors"][-1]
    return "json" if isinstance(renderer, structlog.processors.JSONRenderer) else "text"
