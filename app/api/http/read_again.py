"""Routes that retry a read once if the connection to the database was lost."""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute

from app.runtime.database import is_transient


class ReadAgain(APIRoute):
    """Handles a `GET` once more, on a new connection, if the connection to the database was lost."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler of the route, which wraps the one of FastAPI."""
        handle = super().get_route_handler()

        async def handle_again(request: Request) -> Response:
            try:
                return await handle(request)
            except Exception as error:
                if request.method != "GET" or not is_transient(error):
                    raise
            return await handle(request)

        return handle_again
