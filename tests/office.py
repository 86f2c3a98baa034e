"""The people around the ledger, each with a key: what a test does through HTTP it does through them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from fastapi.testclient import TestClient
from httpx2 import URL, Response
from sqlalchemy import Engine

from app.ledger.clock import now_us
from app.ledger.ledger import Ledger
from app.main import create_app
from app.runtime.database import read_transaction, write_transaction
from app.runtime.times import parse_rfc_3339
from app.security.keys import ROLES, Role, create_key
from app.use_cases.policies.loader import YINGKOU_2024_14


class TestClock:
    """A clock that stands still until it is set."""

    __test__ = False

    def __init__(self) -> None:
        self.now_us = parse_rfc_3339("2024-04-10T08:00:00Z")

    def __call__(self) -> int:
        return self.now_us

    def set(self, text: str) -> None:
        self.now_us = parse_rfc_3339(text)

    @classmethod
    def of_machine(cls) -> "TestClock":
        """One that stands where that of the machine is, for what other processes add to."""
        made = cls()
        made.now_us = now_us()
        return made


HOLDERS: dict[str, tuple[Role, bool]] = {
    **{role: (role, role == "admin") for role in ROLES},
    "commerce-with-figures": ("commerce", True),
    "admin-without-figures": ("admin", False),
}
"""Who holds a key: its role, and whether it sees figures though its role does not."""


def make_keys(engine: Engine) -> dict[str, str]:
    """A key for every holder."""
    keys = {}
    with write_transaction(engine) as connection:
        for name, (role, with_figures) in HOLDERS.items():
            token = create_key(connection, name=name, role=role, with_figures=with_figures, now_us=0)
            assert token is not None
            keys[name] = token
    return keys


class Office:
    """The service and its callers.

    Args:
        ledger: The ledger, on a database that is migrated.
        audit_key_file: Of the key that signs checkpoints.
        keys: Those that the ledger holds already; None to make them.
    """

    def __init__(
        self, ledger: Ledger, audit_key_file: Path | None = None, keys: dict[str, str] | None = None
    ) -> None:
        self.ledger = ledger
        self.client = TestClient(create_app(ledger, audit_key_file), raise_server_exceptions=True)
        self.keys = make_keys(ledger.engine) if keys is None else keys

    def __enter__(self) -> Self:
        self.client.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.client.__exit__(kind, error, trace)

    def headers(self, who: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.keys[who]}"}

    def get(self, path: str, who: str = "auditor", /, **params: Any) -> Response:
        return self.client.get(URL(path).copy_merge_params(params), headers=self.headers(who))

    def read(self, path: str, who: str = "auditor", /, **params: Any) -> Any:
        response = self.get(path, who, **params)
        assert response.status_code == 200, response.text
        return response.json()

    def post(self, body: Any, who: str = "statistics", **params: Any) -> Response:
        return self.client.post("/v1/returns", json=body, params=params, headers=self.headers(who))

    def file(self, *rows: dict[str, Any], unit: str = "qianyuan", **batch: Any) -> Any:
        response = self.post({"unit": unit, "returns": list(rows), **batch})
        assert response.status_code == 201, response.text
        return response.json()

    def withdraw(self, row: dict[str, Any], **body: Any) -> Response:
        path = f"/v1/returns/{row['uscc']}/{row['period']}/{row['form']}/withdrawal"
        return self.client.post(path, json=body, headers=self.headers("statistics"))

    def publish(self, text: bytes | None = None, who: str = "admin", **params: Any) -> Response:
        return self.client.post(
            "/v1/policies",
            content=YINGKOU_2024_14.read_bytes() if text is None else text,
            params=params,
            headers={**self.headers(who), "Content-Type": "application/yaml"},
        )

    def withdraw_policy(self, policy: str, meant: dict[str, str], **params: Any) -> Response:
        path = f"/v1/policies/{policy}/withdrawal"
        return self.client.post(path, json=meant, params=params, headers=self.headers("admin"))

    def entitlement(self, uscc: str, window: str = "2024H1", **params: Any) -> Any:
        return self.read(f"/v1/entitlements/{uscc}/{window}", **params)


NewOffice = Callable[[TestClock], Office]
"""Opens the service over a fresh ledger with this clock."""


@contextmanager
def unchanged(office: Office) -> Iterator[Office]:
    """An office that several tests share: this one records nothing."""
    before = _head(office)
    yield office
    assert _head(office) == before, "a test records where other tests read"


def _head(office: Office) -> int:
    with read_transaction(office.ledger.engine) as connection:
        return office.ledger.head(connection)


CASES = Path(__file__).parent / "cases"
