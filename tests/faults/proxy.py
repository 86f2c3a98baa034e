"""A proxy before PostgreSQL that reads along, and cuts a connection at a moment that a test chooses."""

import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from enum import Enum
from threading import Event, Thread
from typing import BinaryIO

from sqlalchemy import URL, make_url

from app.ledger.ledger import Ledger
from app.runtime.database import open_engine
from tests.databases import Database
from tests.office import TestClock

COMMIT = b"COMMIT"


class Cut(Enum):
    """How a connection is lost."""

    BEFORE = "the server does not hear of the statement"
    AFTER = "the server carries it out, and its answer does not come through"
    HELD = "the client is cut off, and the statement waits in the network until it is let go"
    HUNG = "the statement waits in the network until it is let go, and the client with it"


Decide = Callable[[bytes], Cut | None]
"""Called with each statement; it may come from several connections at once."""


def never(_: bytes) -> None:
    """Let everything through."""


class Proxy:
    """Stands between an engine and a PostgreSQL server.

    Args:
        url: Of the database behind it.

    Attributes:
        decide: Which statement a connection is cut at.
        refuses: Whether new connections are closed at once.
        let_go: Set, it lets held statements go on to the server.
        cuts: How many connections were cut.
    """

    def __init__(self, url: str) -> None:
        self._upstream = make_url(url)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._links: list[_Link] = []
        self.decide: Decide = never
        self.refuses = False
        self.let_go = Event()
        self.cuts = 0
        self._accepting = Thread(target=self._accept, daemon=True)
        self._accepting.start()

    @property
    def url(self) -> str:
        """Of the database, through the proxy."""
        port = self._listening.getsockname()[1]
        url = self._upstream.set(host="127.0.0.1", port=port).difference_update_query(["host", "port"])
        through = url.update_query_dict({"sslmode": "disable", "gssencmode": "disable"})
        return through.render_as_string(hide_password=False)

    def close(self) -> None:
        """Cut every connection and listen no more."""
        self.refuses = True
        self.let_go.set()
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._accepting.join()
        for link in self._links:
            link.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                if self.refuses:
                    client.close()
                else:
                    self._links.append(_Link(self, client, _connected(self._upstream)))


class _Link:
    """One connection, with a thread for each direction."""

    def __init__(self, proxy: Proxy, client: socket.socket, server: socket.socket) -> None:
        self._proxy = proxy
        self._client = client
        self._server = server
        self._is_answer_lost = False
        self._threads = [Thread(target=run, daemon=True) for run in (self._ask, self._answer)]
        for connection in (client, server):
            if connection.family == socket.AF_INET:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        _end(self._client)
        _end(self._server)
        for thread in self._threads:
            thread.join()
        self._client.close()
        self._server.close()

    def _ask(self) -> None:
        with suppress(OSError), self._client.makefile("rb") as asked:
            self._server.sendall(_greeting(asked))
            for message in _messages(asked):
                cut = self._proxy.decide(message) if message[:1] in b"QP" else None
                if cut is not None:
                    self._proxy.cuts += 1
                if cut is Cut.BEFORE:
                    break
                if cut is Cut.HELD:
                    _end(self._client)
                if cut in {Cut.HELD, Cut.HUNG}:
                    self._proxy.let_go.wait()
                self._is_answer_lost = self._is_answer_lost or cut is Cut.AFTER
                self._server.sendall(message)
        if not self._is_answer_lost:
            _end(self._server)
        _end(self._client)

    def _answer(self) -> None:
        with suppress(OSError), self._server.makefile("rb") as answered:
            for message in _messages(answered):
                if not self._is_answer_lost:
                    self._client.sendall(message)
                elif message[:1] in {b"Z", b"G"}:  # The server has done it, or waits for the rows of a COPY.
                    break
        _end(self._client)
        _end(self._server)


def _connected(url: URL) -> socket.socket:
    host = url.host or str(url.query.get("host", "127.0.0.1"))
    port = url.port or 5432
    if not host.startswith("/"):
        return socket.create_connection((host, port))
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(f"{host}/.s.PGSQL.{port}")
    return connection


def _end(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


def _greeting(stream: BinaryIO) -> bytes:
    length = stream.read(4)
    return length + stream.read(_unpacked(length) - 4)


def _messages(stream: BinaryIO) -> Iterator[bytes]:
    while len(head := stream.read(5)) == 5:
        yield head + stream.read(_unpacked(head[1:]) - 4)


def _unpacked(length: bytes) -> int:
    if len(length) != 4:
        raise ConnectionError("the other side left")
    (number,) = struct.unpack(">I", length)
    assert isinstance(number, int)
    return number


@contextmanager
def proxied(database: Database) -> Iterator[tuple[Proxy, Ledger]]:
    """A proxy, and a ledger through it."""
    proxy = Proxy(database.url)
    engine = open_engine(proxy.url)
    try:
        yield proxy, Ledger(engine, TestClock())
    finally:
        engine.dispose()
        proxy.close()


def once(marker: bytes, cut: Cut) -> Decide:
    """Cut at the first statement that holds the marker, and at no other one."""
    left = [cut]

    def decide(message: bytes) -> Cut | None:
        return left.pop() if marker in message and left else None

    return decide
