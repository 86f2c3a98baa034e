"""`/v1/audit`: checkpoints, proofs and receipts, verified as an auditor who trusts nobody would."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, update

from app.api.routes import proofs
from app.ledger.tables import events, log_tiles
from app.runtime.database import write_transaction
from app.transparency import sealing
from app.transparency.audit_key import read_audit_key
from app.transparency.merkle import EMPTY_ROOT, leaf_hash, verifies_consistency, verifies_inclusion
from app.transparency.notes import Verifier, read_checkpoint
from tests.api.rows import catering, code, trade
from tests.databases import on_one_database
from tests.office import NewOffice, Office, TestClock, unchanged

USCC = code(1000)
AUDIT = "/v1/audit"


def decoded(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


def verifier(office: Office) -> Verifier:
    """The key as an auditor keeps it."""
    return Verifier.parse(office.read(f"{AUDIT}/checkpoint")["verifier_key"])


def stock(office: Office) -> Office:
    """A policy, and a few filings one after the other."""
    office.publish()
    for number in range(1000, 1007):
        office.file(trade(110_000 + number, number=number), catering(4_000, number=number))
    return office


@pytest.fixture(scope="module")
def shared(new_office: NewOffice) -> Office:
    """These filings, for all tests; the log is sealed, which is recorded once."""
    office = stock(new_office(TestClock()))
    office.read(f"{AUDIT}/checkpoint")
    return office


@pytest.fixture
def sealed(shared: Office) -> Iterator[Office]:
    """The same, to read."""
    with unchanged(shared) as office:
        yield office


@pytest.fixture
def stocked(office: Office) -> Office:
    """The same filings, to record more, to seal and to alter."""
    return stock(office)


def refused(office: Office, path: str, status: int, code: str, **params: Any) -> str:
    response = office.get(f"{AUDIT}/{path}", **params)
    assert (response.status_code, response.json()["code"]) == (status, code), response.text
    return str(response.json()["detail"])


def test_a_checkpoint_covers_what_was_recorded_a_moment_ago(stocked: Office) -> None:
    position = stocked.file(trade(120_000, number=2000))["position"]
    answer = stocked.read(f"{AUDIT}/checkpoint")
    assert answer["size"] == position
    signed = read_checkpoint(answer["checkpoint"], Verifier.parse(answer["verifier_key"]))
    assert (signed.origin, signed.size) == ("duixian.example/log", position)
    assert (answer["origin"], decoded(answer["root"])) == (signed.origin, signed.root)


@on_one_database
def test_as_plain_text_a_checkpoint_is_the_signed_note_alone(sealed: Office) -> None:
    response = sealed.client.get(
        f"{AUDIT}/checkpoint", headers={**sealed.headers("auditor"), "Accept": "text/plain"}
    )
    assert response.headers["content-type"] == "text/plain; charset=utf-8"
    assert response.text == sealed.read(f"{AUDIT}/checkpoint")["checkpoint"]


def test_the_checkpoint_of_a_size_says_the_same_for_ever(stocked: Office) -> None:
    early = stocked.read(f"{AUDIT}/checkpoint", size=7)
    stocked.file(trade(120_000, number=2000))
    assert stocked.read(f"{AUDIT}/checkpoint", size=7) == early


@on_one_database
def test_an_empty_log_has_an_honest_checkpoint_and_no_proof_of_inclusion(office: Office) -> None:
    answer = office.read(f"{AUDIT}/checkpoint")
    assert (answer["size"], decoded(answer["root"])) == (0, EMPTY_ROOT)
    refused(office, "inclusion/1", 422, "position-ahead")
    assert office.read(f"{AUDIT}/consistency", first=0, second=0)["proof"] == []


def test_every_event_is_proved_to_be_in_the_signed_log(sealed: Office) -> None:
    key, size = verifier(sealed), sealed.read(f"{AUDIT}/checkpoint")["size"]
    logged = sealed.read("/v1/events", limit=1000)["items"]
    assert len(logged) == size > 20
    for event in logged:
        proved = sealed.read(f"{AUDIT}/inclusion/{event['position']}")
        signed = read_checkpoint(proved["checkpoint"], key)
        assert (signed.size, signed.root) == (proved["size"], decoded(proved["root"]))
        assert leaf_hash(proved["leaf"].encode()) == decoded(proved["leaf_hash"])
        assert f'"position":{event["position"]},"stream":"{event["stream"]}"' in proved["leaf"]
        assert verifies_inclusion(
            [decoded(each) for each in proved["proof"]],
            leaf=leaf_hash(proved["leaf"].encode()),
            index=event["position"] - 1,
            size=signed.size,
            expected_root=signed.root,
        )


@on_one_database
def test_a_proof_against_an_earlier_checkpoint_is_of_its_size(sealed: Office) -> None:
    proved = sealed.read(f"{AUDIT}/inclusion/3", size=5)
    assert read_checkpoint(proved["checkpoint"], verifier(sealed)).size == proved["size"] == 5
    assert "5" in refused(sealed, "inclusion/6", 422, "position-ahead", size=5)


def test_an_earlier_checkpoint_is_proved_to_be_the_beginning_of_a_later_one(stocked: Office) -> None:
    kept = stocked.read(f"{AUDIT}/checkpoint")
    stocked.file(trade(120_000, number=2000))
    now = stocked.read(f"{AUDIT}/checkpoint")
    proved = stocked.read(f"{AUDIT}/consistency", first=kept["size"], second=now["size"])
    assert (proved["first_root"], proved["second_root"]) == (kept["root"], now["root"])
    assert proved["checkpoint"] == now["checkpoint"]
    assert verifies_consistency(
        [decoded(each) for each in proved["proof"]],
        first=kept["size"],
        second=now["size"],
        first_root=decoded(kept["root"]),
        second_root=decoded(now["root"]),
    )


REFUSALS: list[tuple[str, dict[str, Any], int, str]] = [
    ("checkpoint", {"size": 10_000}, 422, "position-ahead"),
    ("checkpoint", {"size": -1}, 400, "invalid-request"),
    ("checkpoint", {"size": 2**63}, 422, "position-ahead"),
    ("checkpoint", {"size": "七"}, 400, "invalid-request"),
    ("inclusion/10000", {}, 422, "position-ahead"),
    (f"inclusion/{2**63}", {}, 422, "position-ahead"),
    ("inclusion/1", {"size": "9" * 5_000}, 422, "position-ahead"),
    ("consistency", {"first": 2**63, "second": 2**64}, 422, "position-ahead"),
    ("consistency", {"first": 1, "second": 2**63}, 422, "position-ahead"),
    (f"receipts/{USCC}/2024H1", {"position": 2**63}, 422, "position-ahead"),
    ("inclusion/0", {}, 400, "invalid-request"),
    ("inclusion/first", {}, 400, "invalid-request"),
    ("consistency", {"first": 1}, 400, "invalid-request"),
    ("consistency", {"first": 2, "second": 1}, 400, "invalid-request"),
    ("consistency", {"first": 1, "second": 10_000}, 422, "position-ahead"),
    (f"receipts/{USCC}/2024H3", {}, 400, "window-invalid"),
    ("receipts/123/2024H1", {}, 400, "invalid-request"),
    (f"receipts/{USCC}/2024H2", {}, 404, "not-found"),
    (f"receipts/{code(4711)}/2024H1", {}, 404, "not-found"),
]


@on_one_database
def test_what_does_not_exist_is_refused(sealed: Office) -> None:
    for path, params, status, expected in REFUSALS:
        refused(sealed, path, status, expected, **params)


@on_one_database
def test_only_auditors_get_proofs(office: Office) -> None:
    office.file(trade(110_000))
    sizes = "first=0&second=1"
    for path in ("checkpoint", "inclusion/1", f"consistency?{sizes}", f"receipts/{USCC}/2024H1"):
        assert office.get(f"{AUDIT}/{path}").status_code == 200
        for who in ("statistics", "commerce", "commerce-with-figures", "admin"):
            assert office.get(f"{AUDIT}/{path}", who).status_code == 403


@on_one_database
def test_without_an_audit_key_the_answer_says_how_to_make_one(office: Office, tmp_path: Path) -> None:
    (tmp_path / "audit.key").unlink()
    assert "duixian audit key" in refused(office, "checkpoint", 503, "no-audit-key")
    assert office.get(f"{AUDIT}/checkpoint").headers["retry-after"]
    (tmp_path / "audit.key").write_text("PRIVATE+KEY+broken", encoding="utf-8")
    assert "不是签名密钥" in refused(office, "checkpoint", 503, "no-audit-key")


@on_one_database
def test_a_long_backlog_is_sealed_call_by_call_and_what_is_not_sealed_is_said(
    stocked: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proofs, "SEALED_PER_CALL_MOST", 4)
    monkeypatch.setattr(sealing, "EVENTS_PER_BATCH", 4)
    head = stocked.read("/v1/events", limit=1000)["next_after"]
    assert f"position {head}" not in refused(stocked, f"inclusion/{head}", 503, "unavailable")
    sizes = [stocked.read(f"{AUDIT}/checkpoint")["size"] for _ in range(head)]
    assert sizes[0] < head
    assert sizes == sorted(sizes)
    assert sizes[-1] == head


def test_an_event_altered_after_it_was_sealed_is_named_and_never_proved(stocked: Office) -> None:
    stocked.read(f"{AUDIT}/checkpoint")
    with write_transaction(stocked.ledger.engine) as connection:
        connection.execute(update(events).where(events.c.position == 3).values(actor="another"))
    assert "序号3的记录在封存后被改动" in refused(stocked, "inclusion/3", 500, "ledger-altered")
    assert stocked.get(f"{AUDIT}/inclusion/2").status_code == 200


@on_one_database
def test_a_deleted_event_is_named(stocked: Office) -> None:
    with write_transaction(stocked.ledger.engine) as connection:
        connection.execute(delete(events).where(events.c.position == 5))
    assert "缺少序号5的记录" in refused(stocked, "checkpoint", 500, "ledger-altered")


def test_an_event_that_is_not_text_or_is_lost_after_it_was_sealed_is_named(stocked: Office) -> None:
    with write_transaction(stocked.ledger.engine) as connection:
        connection.execute(update(events).where(events.c.position == 3).values(state=b'{"a":"\xff"}'))
    assert "序号3的记录不是UTF-8" in refused(stocked, "inclusion/3", 500, "ledger-altered")
    with write_transaction(stocked.ledger.engine) as connection:
        connection.execute(delete(events).where(events.c.position == 4))
    assert "缺少序号4的记录" in refused(stocked, "inclusion/4", 500, "ledger-altered")


@on_one_database
def test_a_lost_tile_is_named(stocked: Office) -> None:
    stocked.read(f"{AUDIT}/checkpoint")
    with write_transaction(stocked.ledger.engine) as connection:
        connection.execute(delete(log_tiles))
    assert "第0层第0块记录指纹" in refused(stocked, "checkpoint", 500, "ledger-altered", size=3)


@on_one_database
def test_the_key_that_signs_is_the_one_in_the_file(stocked: Office, tmp_path: Path) -> None:
    signer = read_audit_key(tmp_path / "audit.key")
    assert signer is not None
    assert stocked.read(f"{AUDIT}/checkpoint")["verifier_key"] == signer.verifier.text


@on_one_database
def test_a_receipt_states_the_amounts_that_the_entitlement_shows(sealed: Office) -> None:
    receipt = sealed.read(f"{AUDIT}/receipts/{USCC}/2024H1")
    entitlement = sealed.entitlement(USCC)
    (account,) = receipt["accounts"]
    assert account["policy"] == "yingkou-2024-14"
    assert account["assessed_fen"] == entitlement["assessed_fen"] > 0
    assert account["periods"] == [
        {name: each[name] for name in ("period", "assessed_fen", "open_fen")}
        for each in entitlement["periods"]
    ]


def test_a_receipt_as_of_a_moment_is_of_what_was_known_then(stocked: Office) -> None:
    stocked.file(trade(150_000, reason="企业改报"))
    path = f"/v1/entitlements/{USCC}/2024H1"
    for position in range(stocked.read("/v1/entitlements?window=2024H1")["as_of"]["position"] + 1):
        account = stocked.read(path, position=position)
        receipt = stocked.read(f"{AUDIT}/receipts/{USCC}/2024H1", position=position)
        size = int(receipt["checkpoint"].splitlines()[1])
        assert size == account["as_of"]["position"]
        assert sum(each["assessed_fen"] for each in receipt["accounts"]) == account["assessed_fen"]
        assert all(json.loads(each["leaf"])["position"] <= size for each in receipt["events"])
    assert stocked.read(f"{AUDIT}/receipts/{USCC}/2024H1", known_at="2000-01-01T00:00:00Z")["events"] == []
    refused(stocked, f"receipts/{USCC}/2024H1?position=1000", 422, "position-ahead")


@on_one_database
def test_before_a_policy_is_published_a_receipt_holds_the_returns_alone(office: Office) -> None:
    office.file(trade(110_000))
    receipt = office.read(f"{AUDIT}/receipts/{USCC}/2024H1")
    assert receipt["accounts"] == []
    assert len(receipt["events"]) == 1
