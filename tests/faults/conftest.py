"""A ledger behind a proxy that cuts connections."""

from collections.abc import Iterator

import pytest

from app.ledger.ledger import Ledger
from app.runtime.database import with_retries
from app.runtime.limits import RETRY_PAUSES_S
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
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """What failed for a moment is tried as often as ever, sooner."""
    assert with_retries.__defaults__ == (RETRY_PAUSES_S,)
    monkeypatch.setattr(with_retries, "__defaults__", (tuple(pause_s / 10 for pause_s in RETRY_PAUSES_S),))


@pytest.fixture(autouse=True)
def _own_connections() -> Iterator[None]:
    """What happens to connections, and how many there are, is what these tests look at."""
    with own_connections():
        yield
