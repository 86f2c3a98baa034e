"""What no database holds is refused on either, wherever a call has room for it: made from the description."""

import base64
import json
from collections.abc import Iterator
from typing import Any, Final

import msgspec
import pytest

from app.api.http.cursors import query_digest
from app.api.routes import differences, disclosures, entitlements, red_flags
from app.runtime.storable import is_storable
from app.use_cases.policies.loader import YINGKOU_2024_14
from tests.api.rows import code, trade
from tests.api.test_openapi import COMMITTED, operations
from tests.office import NewOffice, Office, TestClock, unchanged

IN_URLS: Final = ("%00", "a%00b", "%ED%A0%80", str(2**63), str(-(2**63) - 1), "9" * 400)
IN_JSON: Final = ("\0", "\ud800", 2**63, -(2**63) - 1, 10**400)
VALID: Final = {
    "uscc": code(1000),
    "window": "2024H1",
    "period": "2024-03",
    "form": "E204-1",
    "policy": "yingkou-2024-14",
    "n": "1",
    "position": "1",
    "id": "1",
    "year": "2024",
    "group_by": "period",
    "from": "0",
    "to": "1",
    "first": "0",
    "second": "1",
}
CURSORS: Final = {
    "/v1/entitlements": entitlements.EntitlementCursor(
        position=1, day_in_progress=False, assessed_fen=0, uscc=code(1000)
    ),
    "/v1/audit/red-flags": red_flags.RedFlagCursor(
        position=1, day_in_progress=False, uscc=code(1000), taken=0
    ),
    "/v1/audit/differences": differences.DifferenceCursor(
        first=0,
        last=1,
        day_in_progress=False,
        before_fen=0,
        after_fen=0,
        uscc=code(1000),
        policy="yingkou-2024-14",
        window="2024H1",
        period="2024-03",
    ),
    "/v1/audit/disclosures": disclosures.DisclosureCursor(0, 0),
}
ROLES: Final = {"/v1/returns": "statistics", "/v1/policies": "admin", "/v1/audit/replays": "auditor"}
DESCRIPTION: Final = json.loads(COMMITTED.read_text(encoding="utf-8"))


def calls(path: str, parameters: list[dict[str, Any]]) -> Iterator[str]:
    """Addresses of a route, each with one value that no database holds."""
    in_path = [each["name"] for each in parameters if each["in"] == "path"]
    in_query = [each["name"] for each in parameters if each["in"] == "query"]
    needed = [each["name"] for each in parameters if each["in"] == "query" and each.get("required")]
    for name in in_path + in_query:
        query = {each: VALID[each] for each in needed}
        for wrong in [*IN_URLS, *(wrong_cursors(path, query) if name == "cursor" else ())]:
            parts = {each: VALID[each] for each in in_path}
            query = {each: VALID[each] for each in needed}
            (parts if name in in_path else query)[name] = wrong
            yield path.format(**parts) + "?" + "&".join(f"{key}={value}" for key, value in query.items())


def wrong_cursors(path: str, query: dict[str, str]) -> Iterator[str]:
    """Cursors of this query, each with one value that no database holds."""
    digest = query_digest(path, query.items())
    cursor = CURSORS[path]
    for name in cursor.__struct_fields__:
        kind = type(getattr(cursor, name))
        for wrong in IN_JSON:
            if isinstance(wrong, kind):
                made = msgspec.to_builtins(cursor)
                made[cursor.__struct_fields__.index(name)] = wrong
                yield encoded_as_json([digest, made])


def encoded_as_json(values: list[Any]) -> str:
    """The values as a cursor is encoded, whatever they are."""
    return base64.urlsafe_b64encode(json.dumps(values).encode()).decode().rstrip("=")


def altered(value: Any, wrong: Any) -> Iterator[Any]:
    """The value with each leaf replaced in turn, and each object with a key too many."""
    if isinstance(value, dict):
        for name, inner in value.items():
            for each in altered(inner, wrong):
                yield {**value, name: each}
        if isinstance(wrong, str):
            yield {**value, wrong: 1}
    elif isinstance(value, list) and value:
        for each in altered(value[0], wrong):
            yield [each, *value[1:]]
    else:
        yield wrong


def bodies(operation: dict[str, Any]) -> Iterator[tuple[str, bytes]]:
    """Bodies of a route, each with one value that no database holds."""
    for media_type, content in operation.get("requestBody", {}).get("content", {}).items():
        if media_type == "application/json":
            for wrong in IN_JSON:
                for body in altered(content["example"], wrong):
                    yield media_type, json.dumps(body).encode()
            yield media_type, json.dumps(content["example"]).encode().replace(b'"', b'"\xed\xa0\x80', 1)
        else:
            text = YINGKOU_2024_14.read_bytes()
            for wrong_text in (b'"\\0"', b'"\\ud800"', b"\0", b"\xed\xa0\x80", b"9223372036854775808"):
                yield media_type, text.replace(b"policy: yingkou-2024-14", b"policy: " + wrong_text)
                yield media_type, text.replace(b"yuan: 50000,", b"yuan: " + wrong_text + b",")


def role_for(method: str, path: str) -> str:
    """Who may call a route."""
    return "auditor" if method == "get" else next(ROLES[each] for each in ROLES if path.startswith(each))


@pytest.fixture(scope="module")
def shared(new_office: NewOffice) -> Office:
    """A ledger in which every route finds what it asks for."""
    office = new_office(TestClock())
    office.publish()
    office.file(trade(110_000))
    return office


@pytest.fixture
def stocked(shared: Office) -> Iterator[Office]:
    """The same, in which nothing is recorded."""
    with unchanged(shared) as office:
        yield office


@pytest.mark.parametrize(("method", "path"), operations())
def test_a_value_that_no_database_holds_makes_no_fault_wherever_it_stands(
    stocked: Office, method: str, path: str
) -> None:
    operation = DESCRIPTION["paths"][path][method]
    headers = stocked.headers(role_for(method, path))
    for address in calls(path, operation.get("parameters", [])):
        answer = stocked.client.request(method, address, headers=headers)
        assert answer.status_code < 500, (address, answer.text)
        if "%00" in address:
            assert (answer.status_code, answer.json()["code"]) == (400, "invalid-request"), address
    plain = path.format(**VALID)
    for media_type, body in bodies(operation):
        given = {**headers, "Content-Type": media_type}
        answer = stocked.client.request(method, plain, headers=given, content=body)
        assert 400 <= answer.status_code < 500, (body[:2000], answer.text)


@pytest.mark.parametrize("name", ["Idempotency-Key", "Authorization", "Accept", "Content-Type", "X-Any"])
@pytest.mark.parametrize("value", [b"\0", b"Bearer a\0b", b"\xff\xfe", b"\xed\xa0\x80"])
def test_a_header_that_no_database_holds_makes_no_fault(stocked: Office, name: str, value: bytes) -> None:
    headers = {
        **{key.encode(): given.encode() for key, given in stocked.headers("statistics").items()},
        name.encode(): value,
    }
    answer = stocked.client.post("/v1/returns", headers=headers, json={"unit": "yuan", "returns": []})
    assert answer.status_code < 500
    assert b"\0" not in value or answer.status_code == 400


def test_no_database_holds_nul_lone_surrogates_and_integers_beyond_64_bits() -> None:
    storable = ["", "政策", "\U0010ffff", "\x01", 2**63 - 1, -(2**63), None, True]
    assert [each for each in storable if not is_storable(each)] == []
    unstorable = ["\0", "a\0", "\ud800", "a\udfff", 2**63, -(2**63) - 1]
    assert [each for each in unstorable if is_storable(each)] == []
    assert not is_storable(
        entitlements.EntitlementCursor(position=1, day_in_progress=False, assessed_fen=0, uscc="\0")
    )
    assert is_storable(
        entitlements.EntitlementCursor(position=1, day_in_progress=False, assessed_fen=0, uscc="")
    )
