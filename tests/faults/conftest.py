"""A ledger behind a proxy that cuts connections."""

from collections.abc import Iterator

import pytest

from app.ledger.ledger import Ledger
from tests.databases import Database
from tests.faults.proxy import Proxy, proxied
from tests.statements import own_connections

ON_POSTGRESQL = pytest.mark.parametrize("host", ["postgresql"], indirect=True)
"""For what only a server can do."""


@pytest.fixture
def behind(database: Database) -> Iterator[tuple[Proxy, Ledger]]:
    """The proxy, and the ledger that is reached through it."""
    with proxied(database) as both:
        yield both


@pytest.fixture
def proxy(behind: tuple[Proxy, Ledger]) -> Proxy:
    """The proxy before the database."""
    return behind[0]


@pytest.fixture
def far(behind: tuple[Proxy, Ledger]) -> Ledger:
    """The ledger through the proxy; `ledger` reaches the same database without it."""
    return behind[1]


@pytest.fixture(autouse=True)
def _own_connections() -> Iterator[None]:
    """What happens to connections, and how many there are, is what these tests look at."""
    with own_connections():
        yield
