"""Assembles the service from routes, errors, logs and metrics."""

import os
import signal
import sys
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, closing
from functools import partial
from pathlib import Path
from threading import Timer
from types import FrameType
from typing import Any, Final

import structlog
from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.staticfiles import StaticFiles
from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_fastapi_instrumentator import Instrumentator, metrics
from sqlalchemy import exc as sql_errors
from starlette.concurrency import run_in_threadpool
from starlette.types import ASGIApp

from app.answers.models import Problem
from app.api.http.bodies import BodyRoom
from app.api.http.context import refuse_repeated_query
from app.api.http.envelope import Envelope
from app.api.http.problems import ApiProblem, add_problem_handlers, problem_response, unavailable
from app.api.routes import (
    differences,
    disagreements,
    disclosures,
    entitlements,
    events,
    health,
    policies,
    proofs,
    red_flags,
    replays,
    returns,
)
from app.background.caretaker import Caretaker
from app.background.replay_jobs import Replayer
from app.bootstrap import Readiness, complete_if_possible, open_ledger
from app.ledger.ledger import Ledger
from app.ledger.mapper import UndecodableEventError, UnknownTypeError
from app.runtime.database import UNAVAILABLE, refusal_of
from app.runtime.limits import CARETAKER_INTERVAL_S, STOP_REST_S
from app.runtime.logs import configure_logs
from app.runtime.memory import spare_collections
from app.runtime.reasons import REFUSALS
from app.runtime.settings import read_settings
from app.security.disclosures import DisclosureLog
from app.transparency.audit_key import verifier_key_in
from domain.errors import LedgerIntegrityError

_log = structlog.get_logger()
READINESS_THREADS = 2
"""Separate threads, so that readiness and requests that wait for the database do not delay each other."""

THREAD_TURN_S: Final = 0.0005
"""The interpreter's switch interval. A read yields at each query of the database, so during a large filing it
waits for a dozen intervals. By default (5 ms) the slowest hundredth of reads took 0.5 s; with
this value, 0.2 s. A request that runs alone takes as long as before."""

_STATIC = Path(__file__).parent / "api" / "static"
_DESCRIPTION = """\
An event-sourced ledger of monthly retail incentives. Amounts are integers in fen; times are RFC 3339.

Errors are `application/problem+json` (RFC 9457) with a stable `code`; `problems` lists refused rows.
Reads take `position=` or `known_at=` and answer as of that moment; `as_of` names it, with the checkpoint of
the log up to it. With `wait_for=`, a read of entitlements waits until the read models have reached a
position, for example the position of a filing.
"""


class _Service(FastAPI):
    """The application inside its envelope, which also encloses the handler of faults."""

    def build_middleware_stack(self) -> ASGIApp:
        """The layers of the application, from the outermost inwards."""
        return Envelope(super().build_middleware_stack())


_AUDIT: Final = (proofs, replays, red_flags, differences, disagreements, disclosures)

# One table for all applications of a process: FastAPI would otherwise analyse the parameters of each route
# again for each application, at its first request.
_ROUTES: Final = APIRouter()
for _module in (returns, entitlements, events, policies, *_AUDIT, health):
    _ROUTES.include_router(_module.router, dependencies=[Depends(refuse_repeated_query)])


def create_app(ledger: Ledger, audit_key_file: Path | None = None) -> FastAPI:
    """Create the application for a ledger; without the file of an audit key it gives no proofs."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await run_in_threadpool(complete_if_possible, ledger)
        caretaker = Caretaker(ledger, CARETAKER_INTERVAL_S, lambda: verifier_key_in(audit_key_file))
        with closing(app.state.disclosures), caretaker.at_work(), app.state.replayer.at_work():
            yield

    app = _Service(
        title="Duixian",
        version="1",
        description=_DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        routes=[*_ROUTES.routes],
    )
    app.state.ledger = ledger
    app.state.audit_key_file = audit_key_file
    app.state.disclosures = DisclosureLog(ledger.engine, ledger.clock)
    app.state.body_room = BodyRoom()
    app.state.replayer = Replayer(ledger)
    app.state.readiness = Readiness(ledger)
    app.state.readiness_threads = ThreadPoolExecutor(READINESS_THREADS, "readiness")
    app.mount("/static", StaticFiles(directory=_STATIC), name="static")
    add_problem_handlers(app)
    _add_database_handlers(app)
    _add_integrity_handler(app)
    _add_last_handler(app)
    _describe_problem(app)
    _count_requests(app)
    return app


def create_default_app() -> FastAPI:
    """Create the application according to the settings, for `uvicorn --factory`."""
    spare_collections()
    sys.setswitchinterval(THREAD_TURN_S)
    settings = read_settings()
    configure_logs(settings.log_format)
    _end_in_time(settings.stop_timeout_s + STOP_REST_S)
    return create_app(open_ledger(settings), settings.audit_key_file)


def _end_in_time(limit_s: float) -> None:
    """Make the process end within `limit_s` after a signal to stop, even if threads are still working."""

    def end() -> None:
        _log.error("stopped before everything had ended")
        os._exit(1)

    def bounded(handler: Any, number: int, frame: FrameType | None) -> None:
        timer = Timer(limit_s, end)
        timer.daemon = True
        timer.start()
        handler(number, frame)

    for number in (signal.SIGTERM, signal.SIGINT):
        handler = signal.getsignal(number)
        if callable(handler):  # The handler of the server.
            signal.signal(number, partial(bounded, handler))


def _count_requests(app: FastAPI) -> None:
    """Add metrics in a registry of the application, so that applications in one process count separately."""
    registry = CollectorRegistry()
    for collector in (ProcessCollector, PlatformCollector, GCCollector):
        collector(registry=registry)
    instrumentator = Instrumentator(excluded_handlers=["/metrics", "/healthz", "/readyz"], registry=registry)
    # Without the sizes of bodies, which would reveal the length of figures to readers who may not see them.
    instrumentator.add(metrics.requests(registry=registry)).add(metrics.latency(registry=registry))
    instrumentator.instrument(app).expose(app, include_in_schema=False)


def _add_database_handlers(app: FastAPI) -> None:
    def answer(_: Request, error: Exception) -> Response:
        _log.error("database unavailable", error=str(error))
        refusal = refusal_of(error)
        detail = "数据库暂时不可用，请稍后重试。" if refusal is None else f"{REFUSALS[refusal]}。"
        return problem_response(unavailable(detail))

    for kind in (*UNAVAILABLE, sql_errors.ProgrammingError):  # The last one: PostgreSQL that is not migrated.
        app.exception_handler(kind)(answer)


def _add_integrity_handler(app: FastAPI) -> None:
    @app.exception_handler(UnknownTypeError)
    def _(_: Request, error: Exception) -> Response:
        _log.error("a newer program is needed", error=str(error))
        return problem_response(unavailable(f"台账中有本程序不认识的记录，须使用更新的程序：{error}。"))

    @app.exception_handler(UndecodableEventError)
    @app.exception_handler(LedgerIntegrityError)
    def _(_: Request, error: Exception) -> Response:
        _log.error("the ledger contradicts itself", error=str(error))
        detail = f"台账数据前后不符：{error}。请保留数据库现状并报告。"
        return problem_response(ApiProblem(500, "ledger-altered", detail))


def _add_last_handler(app: FastAPI) -> None:
    """Log a fault of the service with its traceback, and answer with a problem that does not describe it."""

    @app.exception_handler(Exception)
    def _(_: Request, error: Exception) -> Response:
        _log.error("fault", exc_info=error)
        detail = "程序出错，没有登记不完整的数据；错误已记入程序日志。"
        return problem_response(ApiProblem(500, "fault", detail))


def _describe_problem(app: FastAPI) -> None:
    """Add the schema of errors to the description of the API, since no route declares it as its response."""
    made = app.openapi

    def openapi() -> dict[str, object]:
        schema = made()
        schema["components"]["schemas"].setdefault(Problem.__name__, Problem.model_json_schema())
        for path in schema["paths"].values():
            for operation in path.values():
                operation["responses"].pop("422", None) if _is_default_422(operation) else None
        return schema

    app.openapi = openapi  # type: ignore[method-assign]


def _is_default_422(operation: dict[str, dict[str, object]]) -> bool:
    return "application/json" in str(operation["responses"].get("422", ""))
