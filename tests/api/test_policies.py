"""Publishing a policy, its versions, and what follows for returns filed before."""

import re
from typing import Any

import pytest

from app.use_cases.policies.loader import YINGKOU_2024_14
from tests.api.rows import STEP_FEN, catering, code, events, refused, trade
from tests.databases import on_one_database
from tests.office import Office, TestClock

POLICY = "yingkou-2024-14"
WINDOW = "2024H1"
TEXT = YINGKOU_2024_14.read_text(encoding="utf-8")
DECIDED_STEP_FEN = 4_000_000
"""40,000 yuan, decided under the bound of 50,000."""


def replaced(text: str, before: str, after: str) -> str:
    assert text.count(before) == 1
    return text.replace(before, after)


def confirmed() -> str:
    """The policy with the step amount decided: 40,000 yuan."""
    text = replaced(
        TEXT,
        'award: {yuan: 50000, cite: "14.1", reading: step-amount}',
        'award: {yuan: 40000, cite: "14.1", reading: step-amount}',
    )
    head, mark, tail = text.partition("  - id: step-amount\n")
    decision = (
        'status: confirmed\n    decision: {by: 市商务局, document: 营商〔2024〕21号, date: "2024-07-01"}'
    )
    return head + mark + tail.replace("status: open", decision, 1)


def another(text: str = TEXT, policy: str = "liaoning-2024-1") -> str:
    """The same clauses under another id."""
    return replaced(text, f"policy: {POLICY}", f"policy: {policy}")


def publish(office: Office, text: str, **params: Any) -> Any:
    response = office.publish(text.encode(), **params)
    assert response.status_code == (200 if params else 202), response.text
    return response.json()


def assessments(office: Office) -> list[tuple[str, int, int | None]]:
    """Period, version of the policy, assessed amount of every assessment in the log."""
    return [
        (each["data"]["period"], each["data"]["policy"]["version"], each["data"]["outcome"]["assessed_fen"])
        for each in events(office)
        if each["type"] == "EntitlementAssessed"
    ]


def test_a_publication_is_accepted_and_its_location_holds_the_document(office: Office) -> None:
    response = office.publish()
    assert response.status_code == 202
    location = response.headers["location"]
    assert location == f"/v1/policies/{POLICY}/versions/1"
    answer = response.json()
    assert (answer["id"], answer["version"]) == (POLICY, 1)
    version = office.read(location, "statistics")
    assert version["text"] == TEXT
    assert version["document"]["document_number"] == "营政发〔2024〕9号"
    assert version["sha256"] == answer["sha256"]
    assert (version["actor"], version["position"]) == ("admin", 1)
    assert version["published_at"] == "2024-04-10T08:00:00Z"
    (published,) = events(office)
    assert (published["type"], published["stream"]) == ("PolicyPublished", f"policy/{POLICY}")


def test_the_policies_are_listed_with_their_newest_version(office: Office, clock: TestClock) -> None:
    assert office.read("/v1/policies")["items"] == []
    publish(office, TEXT)
    clock.set("2024-07-02T00:00:00Z")
    publish(office, confirmed())
    publish(office, another())
    items = office.read("/v1/policies")["items"]
    assert {item["id"]: item["version"] for item in items} == {POLICY: 2, "liaoning-2024-1": 1}
    detail = office.read(f"/v1/policies/{POLICY}")
    assert [each["version"] for each in detail["versions"]] == [1, 2]
    assert [each["published_at"] for each in detail["versions"]] == [
        "2024-04-10T08:00:00Z",
        "2024-07-02T00:00:00Z",
    ]
    assert detail["sha256"] == detail["versions"][1]["sha256"] != detail["versions"][0]["sha256"]


@on_one_database
def test_what_was_never_published_is_404(office: Office) -> None:
    office.publish()
    for path in (
        "/v1/policies/none",
        f"/v1/policies/{POLICY}/versions/2",
        "/v1/policies/none/versions/1",
    ):
        refused(office.get(path), 404, "not-found")


@pytest.mark.parametrize("version", ["0", "-1", "x", "1.5", "99999999999999999999"])
def test_a_version_that_is_none_is_a_bad_path(idle: Office, version: str) -> None:
    refused(idle.get(f"/v1/policies/{POLICY}/versions/{version}"), 400, "invalid-request")


@on_one_database
@pytest.mark.parametrize(
    "text",
    [TEXT, f"# 排印不同，内容相同\n{TEXT}", TEXT.replace("level: municipal\n", "level:   'municipal'\n")],
    ids=["same bytes", "a comment", "other quotes"],
)
def test_the_same_document_again_is_the_same_version_and_records_nothing(office: Office, text: str) -> None:
    first = office.publish()
    office.file(trade(110_000))
    before = events(office)
    again = office.publish(text.encode())
    assert again.status_code == 202
    assert again.headers["location"] == first.headers["location"]
    assert again.json() == first.json()
    assert events(office) == before


@on_one_database
def test_an_earlier_document_published_again_is_a_new_version(office: Office) -> None:
    publish(office, TEXT)
    publish(office, confirmed())
    assert publish(office, TEXT)["version"] == 3


def test_what_was_filed_before_a_publication_is_assessed_by_it(office: Office) -> None:
    office.file(trade(130_000), catering(3_000, number=1001), trade(110_000, number=1002, period="2023-03"))
    office.publish()
    assert office.entitlement(code(1000))["assessed_fen"] == 3 * STEP_FEN
    assert office.entitlement(code(1001))["assessed_fen"] == 2_000_000
    assert office.read("/v1/entitlements", window=WINDOW)["total"] == 2
    progress = office.read(f"/v1/policies/{POLICY}/versions/1")["assessment"]
    assert progress["done"] == progress["total"]


@on_one_database
def test_a_year_that_the_policy_does_not_cover_is_not_assessed(office: Office) -> None:
    office.file(trade(130_000, period="2023-03"))
    office.publish()
    account = office.entitlement(code(1000), "2023H1")
    assert (account["policy"], account["periods"]) == (None, [])


def test_a_new_version_assesses_anew_and_the_old_assessments_stay_in_the_log(office: Office) -> None:
    publish(office, TEXT)
    office.file(trade(130_000), catering(3_000, number=1001), trade(100_000, number=1002))
    before = events(office)
    head = before[-1]["position"]
    publish(office, confirmed())
    account = office.entitlement(code(1000))
    assert account["policy"]["version"] == 2
    (period,) = account["periods"]
    assert (period["rule_fen"], period["assessed_fen"]) == (3 * DECIDED_STEP_FEN, 3 * DECIDED_STEP_FEN)
    assert (period["open_fen"], period["open_readings"]) == (0, [])
    assert events(office)[:head] == before
    assert assessments(office) == [
        ("2024-03", 1, 3 * STEP_FEN),
        ("2024-03", 1, 2_000_000),
        ("2024-03", 1, 0),
        ("2024-03", 2, 3 * DECIDED_STEP_FEN),
    ]
    as_it_stood = office.entitlement(code(1000), position=head)
    assert as_it_stood["policy"]["version"] == 1
    assert (as_it_stood["assessed_fen"], as_it_stood["open_fen"]) == (3 * STEP_FEN, 3 * STEP_FEN)


@on_one_database
def test_each_version_explains_its_own_assessment(office: Office) -> None:
    publish(office, TEXT)
    office.file(trade(130_000))
    head = events(office)[-1]["position"]
    publish(office, confirmed())
    path = f"/v1/entitlements/{code(1000)}/{WINDOW}/2024-03"
    now, then = office.read(path), office.read(path, position=head)
    assert (now["policy"]["version"], then["policy"]["version"]) == (2, 1)
    assert (now["steps"][-1]["output"], then["steps"][-1]["output"]) == (3 * DECIDED_STEP_FEN, 3 * STEP_FEN)
    assert "营商〔2024〕21号" in now["steps"][-1]["sentence"]
    assert "奖励标准尚待明确" in then["steps"][-1]["sentence"]


@on_one_database
def test_a_lower_step_lets_through_what_the_half_year_ceiling_had_cut(office: Office) -> None:
    publish(office, TEXT)
    months = ("2024-01~02", "2024-03", "2024-04", "2024-05", "2024-06")
    office.file(*(trade(200_000, period=period) for period in months))
    assert office.entitlement(code(1000))["periods"][-1]["assessed_fen"] == 0
    publish(office, confirmed())
    account = office.entitlement(code(1000))
    assert [period["assessed_fen"] for period in account["periods"]] == [40_000_000] * 5
    assert (account["assessed_fen"], account["headroom_fen"]) == (200_000_000, 0)
    assert account["periods"][-1]["bound_by"] == []


@on_one_database
def test_a_dry_run_says_how_many_entitlements_would_change_and_by_how_much(office: Office) -> None:
    publish(office, TEXT)
    office.file(trade(130_000), trade(110_000, number=1001), catering(3_000, number=1002))
    before = events(office)
    effect = publish(office, confirmed(), dry_run="true")
    assert (effect["id"], effect["version"], effect["entitlements_changed"]) == (POLICY, 2, 2)
    assert (effect["before_fen"], effect["after_fen"]) == (4 * STEP_FEN, 4 * DECIDED_STEP_FEN)
    assert events(office) == before
    same = publish(office, TEXT, dry_run="true")
    assert (same["version"], same["entitlements_changed"]) == (1, 0)
    publish(office, confirmed())
    assert assessments(office)[3:] == [("2024-03", 2, 3 * DECIDED_STEP_FEN), ("2024-03", 2, DECIDED_STEP_FEN)]


@on_one_database
def test_a_dry_run_needs_a_key_that_sees_figures_and_a_publication_does_not(office: Office) -> None:
    publish(office, TEXT)
    office.file(trade(130_000))
    before = events(office)
    response = office.publish(confirmed().encode(), "admin-without-figures", dry_run="true")
    assert "可见单户数据的密钥" in refused(response, 403, "forbidden")["detail"]
    assert events(office) == before
    assert office.publish(confirmed().encode(), "admin-without-figures").status_code == 202
    assert office.read(f"/v1/policies/{POLICY}")["versions"][-1]["actor"] == "admin-without-figures"


def test_a_key_without_figures_is_refused_a_dry_run_whatever_the_document(office: Office) -> None:
    for content in (b"", b"policy: 1", TEXT.encode()):
        refused(office.publish(content, "admin-without-figures", dry_run="true"), 403, "forbidden")


def line_of(text: str, part: str) -> int:
    return text[: text.index(part)].count("\n") + 1


BAD = {
    "an unknown key": replaced(TEXT, "level: municipal\n", "level: municipal\nbudget: 1\n"),
    "a key twice": replaced(TEXT, "level: municipal\n", "level: municipal\nlevel: municipal\n"),
    "an unknown clause": replaced(
        TEXT,
        'industries: {prefixes: ["51", "52"], cite: "14.1"',
        'industries: {prefixes: ["51", "52"], cite: "14.9"',
    ),
    "an unknown reading": replaced(
        TEXT,
        'award: {yuan: 50000, cite: "14.1", reading: step-amount}',
        "award: {yuan: 50000, reading: none}",
    ),
    "a number without a source": replaced(
        TEXT, 'ceiling: {yuan: 500000, cite: "14.3"}', "ceiling: {yuan: 500000}"
    ),
    "a gap between bands": replaced(
        TEXT, 'below: {yuan: 2000000, cite: "14.2"}', 'below: {yuan: 1900000, cite: "14.2"}'
    ),
    "an amount with a fraction": replaced(TEXT, "yuan: 500000,", "yuan: 500000.5,"),
    "an amount in words": replaced(TEXT, "yuan: 500000,", "yuan: 五十万,"),
    "a confirmed reading without a decision": TEXT.replace("status: open", "status: confirmed", 1),
    "a date without quotes": replaced(TEXT, 'issued_on: "2024-05-31"', "issued_on: 2024-05-31"),
    "January alone": replaced(TEXT, 'first: "2024-01~02"', 'first: "2024-01"'),
    "an id with a slash": another(policy="yingkou/2024"),
    "an alias": replaced(TEXT, "level: municipal", "level: &a municipal\nother: *a"),
    "a lone surrogate in a text": replaced(TEXT, "responsible: 市商务局", 'responsible: "\\ud800"'),
    "a lone surrogate in a key": replaced(
        TEXT, "responsible: 市商务局", 'responsible: 市商务局\n"\\ud800": 1'
    ),
    "NUL in a text": replaced(TEXT, "responsible: 市商务局", 'responsible: "\\0"'),
    "a bracket left open": replaced(TEXT, "level: municipal", "level: [municipal"),
}
CHANGED_PART = {
    "an unknown key": "budget: 1",
    "a key twice": "level: municipal\n\ncovers",
    "an unknown clause": 'cite: "14.9"',
    "an unknown reading": "reading: none",
    "a number without a source": "ceiling: {yuan: 500000}",
    "an amount with a fraction": "500000.5",
    "an amount in words": "五十万",
    "a date without quotes": "issued_on: 2024-05-31",
    "an id with a slash": "policy: yingkou/2024",
    "an alias": "other: *a",
    "a lone surrogate in a text": "responsible:",
    "a lone surrogate in a key": '"\\ud800"',
    "NUL in a text": "responsible:",
}


@pytest.mark.parametrize("name", BAD)
def test_a_document_that_is_not_understood_is_refused_with_the_line(idle: Office, name: str) -> None:
    text = BAD[name]
    body = refused(idle.publish(text.encode()), 422, "policy-invalid")
    assert re.search("第[0-9]+行", body["detail"])
    if name in CHANGED_PART:
        assert f"第{line_of(text, CHANGED_PART[name])}行：" in body["detail"]
    assert refused(idle.publish(text.encode(), dry_run="true"), 422, "policy-invalid") == body
    assert events(idle) == []
    assert idle.read("/v1/policies")["items"] == []


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff",
        b"- 1",
        b"policy",
        b"\x00",
        b"[" * 50_000,
        b"{a: " * 50_000,
        b"policy: 1\n" * 2,
        TEXT.encode("gb18030"),
        b"#" * 256_001,
    ],
    ids=lambda content: repr(content[:12]),
)
def test_what_is_no_document_at_all_is_refused_with_the_line(idle: Office, content: bytes) -> None:
    detail = refused(idle.publish(content), 422, "policy-invalid")["detail"]
    assert re.search("第[0-9]+行", detail)
    assert events(idle) == []


def test_a_document_of_another_media_type_is_refused_with_415(idle: Office) -> None:
    headers = {**idle.headers("admin"), "Content-Type": "application/json"}
    response = idle.client.post("/v1/policies", content=TEXT.encode(), headers=headers)
    refused(response, 415, "unsupported-media-type")


@pytest.fixture
def two_policies(office: Office) -> Office:
    """Two policies that cover 2024, the second with the step amount decided."""
    office.file(trade(130_000), trade(110_000, number=1001))
    publish(office, TEXT)
    publish(office, another(confirmed()))
    return office


READS = (
    f"/v1/entitlements/{code(1000)}/{WINDOW}",
    f"/v1/entitlements/{code(1000)}/{WINDOW}/2024-03",
    f"/v1/entitlements?window={WINDOW}",
    f"/v1/summary?window={WINDOW}&group_by=period",
)


def read(office: Office, path: str, **params: Any) -> Any:
    extra = "&".join(f"{name}={value}" for name, value in params.items())
    return office.client.get(
        f"{path}{'&' if '?' in path else '?'}{extra}", headers=office.headers("commerce")
    )


@on_one_database
@pytest.mark.parametrize("path", READS)
def test_where_two_policies_cover_a_window_one_must_be_chosen(two_policies: Office, path: str) -> None:
    refused(read(two_policies, path), 409, "policy-ambiguous")
    assert read(two_policies, path, policy=POLICY).status_code == 200
    assert read(two_policies, path, policy="liaoning-2024-1").status_code == 200
    refused(read(two_policies, path, policy="none"), 404, "not-found")


@pytest.mark.parametrize(("policy", "step_fen"), [(POLICY, STEP_FEN), ("liaoning-2024-1", DECIDED_STEP_FEN)])
def test_the_accounts_are_per_policy(two_policies: Office, policy: str, step_fen: int) -> None:
    account, period, page, summary = (read(two_policies, path, policy=policy).json() for path in READS)
    assert account["policy"]["id"] == period["policy"]["id"] == policy
    assert account["assessed_fen"] == period["assessed_fen"] == 3 * step_fen
    assert page["assessed_fen"] == summary["assessed_fen"] == 4 * step_fen


def test_a_filing_is_assessed_by_every_policy_that_covers_it(two_policies: Office) -> None:
    answer = two_policies.file(trade(150_000, number=1002))
    assert answer["entitlements_changed"] == 2
    for policy, step_fen in ((POLICY, STEP_FEN), ("liaoning-2024-1", DECIDED_STEP_FEN)):
        account = two_policies.entitlement(code(1002), policy=policy)
        assert account["assessed_fen"] == 5 * step_fen


@on_one_database
def test_before_the_second_publication_the_choice_was_not_ambiguous(two_policies: Office) -> None:
    second = next(each for each in events(two_policies) if each["stream"] == "policy/liaoning-2024-1")
    account = two_policies.entitlement(code(1000), position=second["position"] - 1)
    assert account["policy"]["id"] == POLICY


@on_one_database
def test_a_policy_of_another_half_year_makes_nothing_ambiguous(office: Office) -> None:
    publish(office, TEXT)
    later = replaced(another(), 'first: "2024-01~02"', 'first: "2024-07"')
    publish(office, later)
    office.file(trade(130_000), trade(120_000, period="2024-07"))
    assert office.entitlement(code(1000))["policy"]["id"] == POLICY
    refused(office.get(f"/v1/entitlements/{code(1000)}/2024H2"), 409, "policy-ambiguous")


@on_one_database
def test_a_policy_from_march_on_does_not_pay_for_january_and_february(office: Office) -> None:
    narrower = replaced(TEXT, 'first: "2024-01~02"', 'first: "2024-03"')
    publish(office, narrower)
    office.file(trade(130_000, period="2024-01~02"), trade(120_000))
    periods = office.entitlement(code(1000))["periods"]
    assert [(each["period"], each["assessed_fen"]) for each in periods] == [("2024-03", 2 * STEP_FEN)]


@on_one_database
def test_a_new_version_that_no_longer_covers_a_period_takes_its_amount_back(office: Office) -> None:
    publish(office, TEXT)
    office.file(trade(130_000, period="2024-01~02"), trade(120_000))
    narrower = replaced(TEXT, 'first: "2024-01~02"', 'first: "2024-03"')
    office.publish(narrower.encode(), drop=True, reason="口径调整", document="营商发〔2024〕1号")
    account = office.entitlement(code(1000))
    assert [(each["period"], each["assessed_fen"]) for each in account["periods"]] == [
        ("2024-03", 2 * STEP_FEN)
    ]
    assert account["assessed_fen"] == 2 * STEP_FEN
