"""The policy that comes with the ledger: the article word for word, and every reading of it."""

import hashlib
import json
from typing import Any

import msgspec
import pytest
import yaml

from app.use_cases.policies.loader import YINGKOU_2024_14, LoadedPolicy, load_policy
from domain.errors import LedgerIntegrityError
from domain.events import PolicyRef
from domain.periods import Period, Window
from domain.policy.checks import document_problems
from domain.policy.document import PolicyDocument, canonical_form, fingerprint
from domain.policy.policy import policy_from_log
from tests.builders import SHIPPED_TEXT, edited, loaded, policy_of
from tests.oracle import PERIODS_OF_WINDOW

ARTICLE_14 = (
    "深度挖掘限上企业潜力，对在库限额以上批发和零售企业，2024年各月度零售额增速高于8%的，月度零售额增量每达1000万元，"
    "给予不超过5万元奖励。对在库限额以上住宿和餐饮企业，2024年各月度餐饮收入增量100万元—200万元（不含）的，给予2万元奖励，"
    "餐饮收入增量每达100万元再给予一定额度奖励。每家企业以上奖励的月度上限为50万元；符合多种奖励条件的，取金额最高值，"
    "每半年获得奖励累计不超过200万元。"
)

READINGS = {
    "whole-steps": "text",
    "step-amount": "open",
    "catering-band": "text",
    "catering-tail": "open",
    "catering-item": "text",
    "growth-exact": "text",
    "base": "text",
    "undetermined-base": "open",
    "january-february": "open",
    "months": "text",
    "industry": "text",
    "negative": "text",
    "highest": "text",
    "order": "text",
    "rounding": "text",
    "preliminary": "open",
    "stacking": "open",
}

SHIPPED = loaded(SHIPPED_TEXT)
SHA256 = hashlib.sha256(
    json.dumps(SHIPPED.document, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()
).hexdigest()


def test_the_clauses_are_the_article_word_for_word() -> None:
    assert all(clause.text in ARTICLE_14 for clause in SHIPPED.typed.clauses)
    assert "".join(clause.text for clause in SHIPPED.typed.clauses) == ARTICLE_14


def test_every_reading_is_there_with_its_status() -> None:
    assert {reading.id: reading.status for reading in SHIPPED.typed.readings} == READINGS
    assert all(reading.decision is None for reading in SHIPPED.typed.readings)
    assert policy_of().open_readings == {name for name, status in READINGS.items() if status == "open"}


def test_it_says_what_it_is() -> None:
    document = SHIPPED.typed
    assert (document.policy, document.document_number, document.article) == (
        "yingkou-2024-14",
        "营政发〔2024〕9号",
        "第14条",
    )
    assert (document.issuer, document.issued_on, document.responsible, document.level) == (
        "营口市人民政府",
        "2024-05-31",
        "市商务局",
        "municipal",
    )
    assert [(measure.id, measure.form, measure.item) for measure in document.measures] == [
        ("retail-growth", "E204-1", "retail_sales"),
        ("catering-increment", "S204-1", "catering_revenue"),
    ]
    assert [(limit.per, limit.ceiling.yuan) for limit in policy_of().limits] == [
        ("month", 500_000),
        ("half-year", 2_000_000),
    ]


def test_it_covers_the_eleven_periods_of_2024_and_no_other() -> None:
    policy = policy_of()
    for window, periods in PERIODS_OF_WINDOW.items():
        assert policy.has_account(Window.parse(window))
        assert all(policy.covers_period(Period.parse(period)) for period in periods)
    for period in ("2023-12", "2025-01~02", "2025-03"):
        assert not policy.covers_period(Period.parse(period))
    for window in ("2023H2", "2025H1"):
        assert not policy.has_account(Window.parse(window))


def test_a_clause_is_cited_by_its_place_and_without_one_the_article_is() -> None:
    assert policy_of().place("14.3") == "第14条"
    text = edited(SHIPPED_TEXT, ('- id: "14.3"\n    place: 第14条', '- id: "14.3"\n    place: 第14条第3句'))
    assert policy_of(text).place("14.3") == "第14条第3句"
    assert policy_of(text).place(None) == "第14条"


def test_it_is_identified_by_the_hash_of_its_sorted_json() -> None:
    assert fingerprint(SHIPPED.document) == SHA256
    assert json.loads(canonical_form(SHIPPED.document)) == SHIPPED.document


@pytest.mark.parametrize(
    "text",
    [
        SHIPPED_TEXT.encode("utf-8"),
        SHIPPED_TEXT.encode("utf-8-sig"),
        SHIPPED_TEXT.replace("\n", "\r\n"),
        "# 另一条注释\n" + SHIPPED_TEXT.replace("\n\n", "\n# 注释\n\n"),
        "".join(line for line in SHIPPED_TEXT.splitlines(keepends=True) if not line.startswith("#")),
        "---\n" + SHIPPED_TEXT + "...\n",
        SHIPPED_TEXT.replace("basis_points: 800", "'basis_points' : 800"),
        yaml.safe_dump(SHIPPED.document, sort_keys=True),
        yaml.safe_dump(SHIPPED.document, sort_keys=False, allow_unicode=True, width=40),
        yaml.safe_dump(SHIPPED.document, default_flow_style=True, allow_unicode=True),
        json.dumps(SHIPPED.document),
        json.dumps(dict(reversed(SHIPPED.document.items())), ensure_ascii=False, indent=1),
    ],
    ids=[
        *("bytes", "byte-order-mark", "crlf", "more-comments", "no-comments", "document-marks", "quoted-key"),
        *("sorted", "folded", "flow", "json", "reversed"),
    ],
)
def test_comments_order_of_keys_and_formatting_do_not_change_its_hash(text: str | bytes) -> None:
    assert fingerprint(loaded(text).document) == SHA256


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("yuan: 50000, cite", "yuan: 49999, cite"),
        ("basis_points: 800", "basis_points: 801"),
        ("level: municipal", "level: provincial"),
        ("responsible: 市商务局", "responsible: 市商务局 局"),
        ('["51", "52"]', '["52", "51"]'),
    ],
)
def test_any_change_of_what_it_says_changes_its_hash(old: str, new: str) -> None:
    assert fingerprint(loaded(edited(SHIPPED_TEXT, (old, new))).document) != SHA256


def test_the_text_is_kept_as_it_was_submitted() -> None:
    result = load_policy(YINGKOU_2024_14.read_bytes(), file="policy.yaml")
    assert isinstance(result, LoadedPolicy)
    assert result.text == SHIPPED_TEXT
    assert document_problems(result.typed) == []


def test_a_policy_is_read_back_from_the_log_as_it_was_published() -> None:
    ref = PolicyRef("yingkou-2024-14", 1, SHA256)
    stored: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(SHIPPED.document))
    policy = policy_from_log(ref, stored)
    assert policy.document == SHIPPED.typed
    assert policy.ref == ref


def test_a_document_that_was_altered_in_the_log_is_refused() -> None:
    altered = {**SHIPPED.document, "level": "provincial"}
    with pytest.raises(LedgerIntegrityError, match="yingkou-2024-14 版本1的内容已被改动"):
        policy_from_log(PolicyRef("yingkou-2024-14", 1, SHA256), altered)


@pytest.mark.parametrize(
    ("altered", "reason"),
    [
        ({"colour": "red"}, "unknown field `colour`"),
        ({"limits": [{"per": "week"}]}, "Invalid enum value 'week'"),
        ({"covers": {"first": "2024-01", "last": "2024-12"}}, "所属期“2024-01”不能单独登记"),
    ],
)
def test_a_document_in_the_log_that_says_nothing_valid_is_refused(
    altered: dict[str, Any], reason: str
) -> None:
    document = {**SHIPPED.document, **altered}
    with pytest.raises(LedgerIntegrityError, match=f"yingkou-2024-14 版本2不是有效的政策文件：.*{reason}"):
        policy_from_log(PolicyRef("yingkou-2024-14", 2, fingerprint(document)), document)


def test_a_document_that_is_recorded_stays_readable_whatever_is_asked_of_later_ones() -> None:
    """A version that could be published before ceilings had a bound."""
    document: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(SHIPPED.document))
    document["limits"][1]["ceiling"]["yuan"] = 10**15 - 1
    assert document_problems(msgspec.convert(document, PolicyDocument)) != []
    policy = policy_from_log(PolicyRef("yingkou-2024-14", 1, fingerprint(document)), document)
    assert policy.longer_limits[0].ceiling.yuan == 10**15 - 1
