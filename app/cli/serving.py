"""Serving over HTTP, in one process or in several."""

import os
from contextlib import suppress
from tempfile import TemporaryDirectory
from typing import Final

import uvicorn
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import Multiprocess

from app.runtime.limits import CONNECTIONS_WAITING_MOST
from app.runtime.logs import library_logs
from app.runtime.settings import Settings

_APP: Final = "app.main:create_default_app"
WORKER_SILENT_MOST_S: Final = 90
"""A worker that does not answer its parent for this long counts as hung and is replaced. A worker is silent
while it loads, which took 15 seconds on a busy machine."""


class _Supervisor(Multiprocess):
    """The parent process of the workers."""

    def keep_subprocess_alive(self) -> None:
        """Replace the workers that have ended or hang."""
        for worker in self.processes:
            # Close our copy of the worker's end of the pipe: while it is open, a worker that ends without
            # answering its parent does not break the pipe, and the parent waits for it as if it hung.
            worker.child_conn.close()
        super().keep_subprocess_alive()


def serve_http(settings: Settings, *, host: str, port: int, workers: int) -> bool:
    """Serve until stopped by a signal.

    Args:
        settings: The settings of the operator.
        host: The address.
        port: The port.
        workers: The number of processes.

    Returns:
        False if the service could not start.
    """
    config = uvicorn.Config(
        _APP,
        factory=True,
        host=host,
        port=port,
        http="app.api.http.connections:Connection",
        ws="none",
        backlog=CONNECTIONS_WAITING_MOST,
        access_log=False,
        log_config=library_logs(settings.log_format),
        workers=workers,
        timeout_keep_alive=settings.receive_timeout_s,
        timeout_graceful_shutdown=settings.stop_timeout_s,
        timeout_worker_healthcheck=WORKER_SILENT_MOST_S,
    )
    if workers == 1:
        server = uvicorn.Server(config)
        with suppress(KeyboardInterrupt):
            server.run()
        return server.started
    with TemporaryDirectory(prefix="duixian-metrics-") as folder:
        # The workers are new processes that inherit the environment. They keep their metrics in this folder,
        # and each of them reports the sums.
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
        os.environ["DUIXIAN_POOL_SIZE"] = str(max(settings.pool_size // workers, 1))
        supervisor = _Supervisor(config, sockets=[config.bind_socket()])
        supervisor.run()
    return all(worker.exitcode != STARTUP_FAILURE for worker in supervisor.processes)
