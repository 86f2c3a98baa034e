"""Limits how much memory the bodies of all requests take together."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from app.api.http.problems import unavailable
from app.runtime.limits import BODIES_MAX_BYTES, BODY_WAIT_MOST_S


class BodyRoom:
    """Room in memory for the bodies that are received and handled; first come, first served.

    Args:
        free_bytes: The room for all bodies together.
        wait_most_s: How long a body waits for room.
    """

    def __init__(self, free_bytes: int = BODIES_MAX_BYTES, wait_most_s: float = BODY_WAIT_MOST_S) -> None:
        self._free_bytes = free_bytes
        self._wait_most_s = wait_most_s
        self._turn = asyncio.Lock()
        self._freed = asyncio.Event()

    @asynccontextmanager
    async def taken(self, size_bytes: int) -> AsyncIterator[None]:
        """Take room for a body until the context is left.

        Raises:
            ApiProblem: 503, no room became free in time.
        """
        try:
            async with asyncio.timeout(self._wait_most_s), self._turn:
                while self._free_bytes < size_bytes:
                    self._freed.clear()
                    await self._freed.wait()
                self._free_bytes -= size_bytes
        except TimeoutError as error:
            raise unavailable("服务正在处理其他较大的请求，请稍后重新提交。") from error
        try:
            yield
        finally:
            self._free_bytes += size_bytes
            self._freed.set()
