"""Serving over HTTP, in one process or in several."""

import os
from tempfile import TemporaryDirectory
from typing import Final

import uvicorn
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import Multiprocess

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


def serve_http(*, host: str, port: int, workers: int, pool_size: int) -> bool:
    """Serve until stopped by a signal.

    Args:
        host: The address.
        port: The port.
        workers: How many processes answer.
        pool_size: The most connections to the database, of all of them together.

    Returns:
        False if a worker could not start.
    """
    if workers == 1:
        uvicorn.run(_APP, factory=True, host=host, port=port, access_log=False)
        return True
    with TemporaryDirectory(prefix="duixian-metrics-") as folder:
        # The workers, which are started anew and take the environment over, keep their counts in this folder,
        # and each shows the sum.
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
        os.environ["DUIXIAN_POOL_SIZE"] = str(max(pool_size // workers, 1))
        config = uvicorn.Config(
            _APP,
            factory=True,
            host=host,
            port=port,
            access_log=False,
            workers=workers,
            timeout_worker_healthcheck=WORKER_SILENT_MOST_S,
        )
        supervisor = _Supervisor(config, sockets=[config.bind_socket()])
        supervisor.run()
    return all(each.exitcode != STARTUP_FAILURE for each in supervisor.processes)
