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
"""A worker that does not answer its parent for so long hangs, and is replaced. It is silent while it is
loaded, which took 15 seconds on a machine whose processors others had too."""


class _Supervisor(Multiprocess):
    """The parent of the workers."""

    def keep_subprocess_alive(self) -> None:
        """Replace the workers that have ended or hang."""
        for worker in self.processes:
            # Its end of the pipe, which this process has too: as long as it is open here, a worker that ends
            # with a question of its parent unanswered is waited for as one that hangs.
            worker.child_conn.close()
        super().keep_subprocess_alive()


def serve_http(settings: Settings, *, host: str, port: int, workers: int) -> bool:
    """Serve until stopped by a signal.

    Args:
        settings: Of the operator.
        host: The address.
        port: The port.
        workers: How many processes answer.

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
        # The workers, which are started anew and take the environment over, keep their counts in this folder,
        # and each shows the sum.
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
        os.environ["DUIXIAN_POOL_SIZE"] = str(max(settings.pool_size // workers, 1))
        supervisor = _Supervisor(config, sockets=[config.bind_socket()])
        supervisor.run()
    return all(each.exitcode != STARTUP_FAILURE for each in supervisor.processes)
