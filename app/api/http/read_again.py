"""Routes whose reads are made once more when the connection was lost."""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute

from app.runtime.database import is_transient


class ReadAgain(APIRoute):
    """A `GET` that met a lost connection is handled once more, on a fresh one."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler of the route, around the one that FastAPI makes."""
        handle = super().get_route_handler()

        async def handle_again(request: Request) -> Response:
            try:
                return await handle(request)
            except Exception as error:
                if request.method != "GET" or not is_transient(error):
                    raise
            return await handle(request)

        return handle_again
