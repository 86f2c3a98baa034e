"""Connections of clients, which must keep sending and reading: none is held open forever."""

import asyncio
import resource
import uuid
from typing import Any, Final, cast

import h11
import structlog
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from app.api.http.envelope import safe_headers
from app.runtime.limits import BODY_LEAST_BYTES_PER_S

_log = structlog.get_logger()
_REASONS: Final = {400: b"Bad Request", 408: b"Request Timeout", 503: b"Service Unavailable"}


def connections_most() -> int:
    """Half of the descriptors of this process: the database and the files need some too."""
    descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return descriptors // 2


class Connection(H11Protocol):
    """A connection that is checked once in every period of the keep-alive timeout.

    It is closed if, since the last check, the client has not begun or not completed a request, has sent a
    body too slowly while the service waited for it, or has read nothing of the response.
    """

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._received = 0
        self._unsent = 0
        self._seen: object = None
        self._look_later: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Accept a connection, unless there are too many."""
        super().connection_made(transport)
        if len(self.connections) > connections_most():
            transport.abort()
        else:
            self._begin_turn()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop checking the connection."""
        super().connection_lost(exc)
        if self._look_later is not None:
            self._look_later.cancel()

    def data_received(self, data: bytes) -> None:
        """Count the received bytes."""
        self._received += len(data)
        super().data_received(data)

    def shutdown(self) -> None:
        """Stop: finish the response to a complete request; do not wait for the rest of another."""
        if not self._is_waiting() and self.cycle.more_body:
            self._refuse(503, b"The service stops.")
            self.transport.close()
        else:
            super().shutdown()

    def _begin_turn(self) -> None:
        self._received = 0
        self._unsent = self.transport.get_write_buffer_size()
        self._seen = self._state()
        self._look_later = self.loop.call_later(self.timeout_keep_alive, self._look)

    def _state(self) -> tuple[object, ...]:
        return self.cycle, self._is_waiting(), self.flow.read_paused

    def _is_waiting(self) -> bool:
        """Whether the service waits for the client to begin a request."""
        cycle = cast("RequestResponseCycle | None", self.cycle)
        return cycle is None or cycle.response_complete

    def _look(self) -> None:
        if self._unsent and self.transport.get_write_buffer_size() == self._unsent:
            self.transport.abort()
        elif self._seen == self._state() and self._is_late():
            if self.conn.our_state is not h11.IDLE or self.conn.trailing_data[0]:
                self._refuse(408, b"The request did not come in time.")
            self.transport.close()
        if not self.transport.is_closing() or self.transport.get_write_buffer_size():
            self._begin_turn()

    def _is_late(self) -> bool:
        if self._is_waiting():
            return True
        is_asked_for = self.cycle.more_body and not self.cycle.waiting_for_100_continue
        is_slow = self._received < BODY_LEAST_BYTES_PER_S * self.timeout_keep_alive
        return is_asked_for and is_slow and not self.flow.read_paused

    def send_400_response(self, msg: str) -> None:
        """Respond to data that is not HTTP."""
        self._refuse(400, msg.encode("ascii"))
        self.transport.close()

    def _refuse(self, status: int, text: bytes) -> None:
        """Respond instead of the service, unless a response has begun."""
        if self.conn.our_state not in {h11.IDLE, h11.SEND_RESPONSE}:
            return
        request_id = uuid.uuid4().hex
        _log.warning("client refused", request_id=request_id, status=status)
        headers = {
            **safe_headers(""),
            "X-Request-Id": request_id,
            "Content-Type": "text/plain; charset=utf-8",
            "Connection": "close",
        }
        for event in (
            h11.Response(status_code=status, headers=list(headers.items()), reason=_REASONS[status]),
            h11.Data(data=text),
            h11.EndOfMessage(),
        ):
            self.transport.write(self.conn.send(event))
