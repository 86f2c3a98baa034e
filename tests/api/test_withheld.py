"""Single-unit statistics are shown to whom the law lets see them, and to no one else."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.api.rows import catering, code, refused, trade
from tests.databases import on_one_database
from tests.office import NewOffice, Office, TestClock, unchanged

pytestmark = on_one_database

WINDOW = "2024H1"
STATISTICAL = ("base", "growth-over", "whole-steps", "no-whole-step", "band", "tail", "below-bands")
CASES: dict[str, list[dict[str, Any]]] = {
    "an award": [trade("123456.7", "101234.5")],
    "growth under the gate": [trade("107890.3", "101234.5")],
    "growth exactly at the gate": [trade("109080", "101000")],
    "no whole step": [trade("109333.3", "101234.5")],
    "a decrease": [trade("92345.6", "101234.5")],
    "the month ceiling": [trade("345678.9", "101234.5")],
    "no base": [trade("123456.7", None)],
    "a negative base": [trade("123456.7", "-4321.9")],
    "a catering band": [catering("4876.3", "3765.4")],
    "a catering tail": [catering("9876.3", "3765.4")],
    "below the bands": [catering("4321.9", "3765.4")],
    "both forms": [trade("123456.7", "101234.5"), catering("9876.3", "3765.4")],
}


def figures_of(row: dict[str, Any]) -> tuple[int, int | None]:
    """The current and the prior-year figure in fen, from thousands of yuan with one decimal."""
    (figure,) = row["figures"].values()
    current, prior = (None if each is None else round(float(each) * 10) * 10_000 for each in figure.values())
    assert current is not None
    return current, prior


def telling(rows: list[dict[str, Any]]) -> set[str]:
    """The numbers from which a figure follows: figures, increments and gaps, in fen, yuan and 万元."""
    amounts = set()
    for row in rows:
        current, prior = figures_of(row)
        amounts |= {current}
        if prior is not None:
            amounts |= {prior, current - prior, prior * 108 // 100 - current, prior * 108 // 100}
            amounts |= {10**9 - (current - prior), 10**8 - (current - prior), (current - prior) % 10**9}
    found = set()
    for fen in {abs(amount) for amount in amounts} - {0}:
        for unit in (1, 100, 1_000_000):
            whole, rest = divmod(fen, unit)
            digits = str(rest).zfill(len(str(unit)) - 1).rstrip("0")
            found.add(f"{whole}.{digits}" if rest else str(whole))
    return found


def numbers(text: str) -> set[str]:
    return set(re.findall(r"[0-9]+(?:\.[0-9]+)?", text))


def explained(office: Office, who: str) -> Any:
    return office.read(f"/v1/entitlements/{code(1000)}/{WINDOW}/2024-03", who)


@pytest.fixture(scope="module", params=list(CASES.values()), ids=list(CASES))
def shared(new_office: NewOffice, request: pytest.FixtureRequest) -> tuple[Office, list[dict[str, Any]]]:
    office = new_office(TestClock())
    office.publish()
    office.file(*request.param)
    return office, request.param


@pytest.fixture
def filed(shared: tuple[Office, list[dict[str, Any]]]) -> Iterator[tuple[Office, list[dict[str, Any]]]]:
    office, rows = shared
    with unchanged(office):
        yield office, rows


def test_a_commerce_key_sees_no_figure_and_nothing_from_which_one_follows(
    filed: tuple[Office, list[dict[str, Any]]],
) -> None:
    office, rows = filed
    answer = explained(office, "commerce")
    assert answer["figures_withheld"] is True
    assert any(step["rule"] in STATISTICAL for step in answer["steps"])
    for step in answer["steps"]:
        assert step["figures_withheld"] is True
        if step["rule"] in STATISTICAL:
            assert (step["inputs"], step["output"], step["shortfall_fen"]) == (None, None, None)
            assert not re.search(r"[0-9.]+%(?<!8%)", step["sentence"])
            assert "尚差" not in step["sentence"]
            assert "恰等于该数" not in step["sentence"]
        assert step["sentence"]
    assert not numbers(json.dumps(answer, ensure_ascii=False)) & telling(rows)


@pytest.mark.parametrize("who", ["commerce-with-figures", "auditor", "admin"])
def test_who_may_see_figures_sees_them(filed: tuple[Office, list[dict[str, Any]]], who: str) -> None:
    office, rows = filed
    answer = explained(office, who)
    assert answer["figures_withheld"] is False
    shown = [step for step in answer["steps"] if step["rule"] in STATISTICAL]
    assert all(step["inputs"] for step in shown)
    inputs = {value for step in shown for value in step["inputs"].values()}
    for row in rows:
        current, prior = figures_of(row)
        assert current in inputs or (prior is not None and current - prior in inputs)
    sentences = "".join(step["sentence"] for step in shown)
    assert numbers(sentences) & telling(rows)


def test_the_verdict_and_the_amounts_are_the_same_for_both(
    filed: tuple[Office, list[dict[str, Any]]],
) -> None:
    office, _ = filed
    withheld, open_ = explained(office, "commerce"), explained(office, "auditor")
    for answer in (withheld, open_):
        del answer["figures_withheld"], answer["steps"]
    assert withheld == open_


def test_the_steps_are_the_same_for_both_but_for_what_is_withheld(
    filed: tuple[Office, list[dict[str, Any]]],
) -> None:
    office, _ = filed
    names = ("n", "rule", "measure", "cite", "reading", "met")
    withheld, open_ = (
        [{name: step[name] for name in names} for step in explained(office, who)["steps"]]
        for who in ("commerce", "auditor")
    )
    assert withheld == open_


def test_no_other_answer_to_a_commerce_key_holds_a_figure(filed: tuple[Office, list[dict[str, Any]]]) -> None:
    office, rows = filed
    answers = [office.read(f"/v1/entitlements/{code(1000)}/{WINDOW}", "commerce")]
    answers.append(office.read("/v1/entitlements", "commerce", window=WINDOW))
    answers += [
        office.read("/v1/summary", "commerce", window=WINDOW, group_by=dimension)
        for dimension in ("region_code", "industry", "period", "measure")
    ]
    for answer in answers:
        assert not numbers(json.dumps(answer, ensure_ascii=False)) & telling(rows)


@pytest.mark.parametrize("who", ["commerce", "commerce-with-figures"])
def test_a_commerce_key_reads_neither_returns_nor_the_log(office: Office, who: str) -> None:
    office.publish()
    office.file(trade(110_000))
    for path in (f"/v1/returns/{code(1000)}?year=2024", "/v1/events"):
        response = office.client.get(path, headers=office.headers(who))
        assert "10000000000" not in refused(response, 403, "forbidden")["detail"]


@pytest.mark.parametrize("who", ["commerce", "admin-without-figures"])
def test_every_key_without_figures_reads_the_same(
    filed: tuple[Office, list[dict[str, Any]]], who: str
) -> None:
    office, _ = filed
    path = f"/v1/entitlements/{code(1000)}/{WINDOW}"
    assert office.read(f"{path}/2024-03", who) == explained(office, "commerce")
    assert office.read(path, who) == office.read(path, "commerce")


def test_the_withheld_sentence_keeps_the_conclusion(office: Office) -> None:
    office.publish()
    office.file(trade("107890.3", "101234.5"))
    sentence = explained(office, "commerce")["steps"][-1]["sentence"]
    assert "不高于8%，不符合增速条件" in sentence
    assert "隐去" in sentence
