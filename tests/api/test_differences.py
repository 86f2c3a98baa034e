"""What changed between two moments: worked values of scenario 3, and any history against a brute force."""

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from python_calamine import CalamineWorkbook
from typer.testing import CliRunner

from app.cli.commands import app as command_line
from app.ledger.ledger import Ledger
from app.use_cases.policies import publishing
from projections.queries import differences as queries
from tests.api.rows import refused
from tests.databases import Database, Host, on_one_database
from tests.ledger.history import RandomYear, code, policy, publish_whole, trade, transaction_ends
from tests.office import NewOffice, Office, TestClock, unchanged

PATH = "/v1/audit/differences"
XIN = code(8)
WANYUAN = 1_000_000
FIRST_HALF = ("2024-01~02", "2024-03", "2024-04", "2024-05", "2024-06")
WINDOWS = ("2024H1", "2024H2")


def correction(period: str, current: int, document: str) -> dict[str, Any]:
    reason = f"企业改报{period}零售额"
    return trade(XIN, period, current, 100_000, reason=reason, origin="enterprise", document=document)


def play(office: Office, clock: TestClock) -> Office:
    """Scenario 3: 辛's half-year, corrected on 12 and on 20 August 2024 after the list of 5 August."""
    clock.set("2024-05-31T01:00:00Z")
    assert office.publish().status_code == 202
    clock.set("2024-07-10T01:00:00Z")
    office.file(*(trade(XIN, period, 200_000, 100_000) for period in FIRST_HALF))
    clock.set("2024-08-12T01:00:00Z")
    office.file(correction("2024-03", 107_000, "改报1号"), source={"name": "三月.xlsx", "sha256": "7e" * 32})
    clock.set("2024-08-20T01:00:00Z")
    office.file(correction("2024-04", 109_000, "改报2号"))
    clock.set("2025-01-01T01:00:00Z")
    return office


@pytest.fixture(scope="module")
def shared_august(new_office: NewOffice) -> Office:
    """The same for all tests."""
    clock = TestClock()
    return play(new_office(clock), clock)


@pytest.fixture
def august(shared_august: Office) -> Iterator[Office]:
    """The same, to read."""
    with unchanged(shared_august) as office:
        yield office


@pytest.fixture
def changing_august(office: Office, clock: TestClock) -> Office:
    """The same, to record more."""
    return play(office, clock)


@on_one_database
def test_the_three_differences_of_scenario_3_point_to_the_two_corrections(august: Office) -> None:
    answer = august.read(PATH, **{"from": "2024-08-05", "to": "2024-08-31"})
    rows = {each["period"]: each for each in answer["items"]}
    amounts = {
        period: (each["before_fen"] // WANYUAN, each["after_fen"] // WANYUAN) for period, each in rows.items()
    }
    assert amounts == {"2024-03": (50, 0), "2024-04": (50, 0), "2024-06": (0, 50)}
    assert [answer[name] // WANYUAN for name in ("before_fen", "after_fen", "difference_fen")] == [
        200,
        150,
        -50,
    ]
    assert sum(each["difference_fen"] for each in answer["items"]) == answer["difference_fen"]
    causes = {period: [causes_of(change) for change in each["changes"]] for period, each in rows.items()}
    first = ("ReturnRevised", "2024-03", "改报1号", "2024-08-12T01:00:00Z")
    second = ("ReturnRevised", "2024-04", "改报2号", "2024-08-20T01:00:00Z")
    assert causes == {"2024-03": [[first]], "2024-04": [[second]], "2024-06": [[first]]}
    (cause,) = rows["2024-06"]["changes"][0]["causes"]
    assert (cause["actor"], cause["reason"], cause["origin"]) == (
        "statistics",
        "企业改报2024-03零售额",
        "enterprise",
    )
    assert cause["source"]["name"] == "三月.xlsx"
    assert (cause["policy"], answer["next_cursor"]) == (None, None)


def causes_of(change: dict[str, Any]) -> list[tuple[str, ...]]:
    return [
        (each["type"], each["period"], each["document"], each["recorded_at"]) for each in change["causes"]
    ]


@pytest.mark.parametrize(
    ("first", "last", "periods"),
    [
        ("2024-08-11", "2024-08-11", []),
        ("2024-08-11", "2024-08-12", ["2024-03", "2024-06"]),
        ("2024-08-12", "2024-08-12", ["2024-03", "2024-06"]),
        ("2024-08-12", "2024-08-19", ["2024-03", "2024-06"]),
        ("2024-08-13", "2024-08-20", ["2024-04"]),
        ("2024-08-12T00:59:59Z", "2024-08-12T09:00:00+08:00", ["2024-03", "2024-06"]),
        ("2024-08-12T23:59:60Z", "2024-08-20T07:59:60+08:00", []),
        ("2024-07-10", "2024-07-10", list(FIRST_HALF)),
        ("0", "2024-08-31", list(FIRST_HALF)),
        ("0001-01-01", "9999-12-31t23:59:60z", list(FIRST_HALF)),
    ],
)
def test_a_day_is_its_start_as_from_and_its_end_as_to_in_beijing(
    august: Office, first: str, last: str, periods: list[str]
) -> None:
    items = august.read(PATH, **{"from": first, "to": last})["items"]
    assert [each["period"] for each in items] == periods


@pytest.mark.parametrize(("first", "last"), [("5", "5"), ("3", "9"), ("1", "10"), ("11", "11")])
def test_between_two_positions_of_one_transaction_or_before_it_ended_nothing_differs(
    august: Office, first: str, last: str
) -> None:
    answer = august.read(PATH, **{"from": first, "to": last})
    end = 11 if first == "11" else 1
    assert (answer["items"], answer["difference_fen"], answer["next_cursor"]) == ([], 0, None)
    assert (answer["before"]["position"], answer["after"]["position"]) == (end, end)


@on_one_database
@pytest.mark.parametrize(("first", "last"), [("9", "3"), ("11", "10"), ("2024-08-12", "2024-08-11")])
def test_a_first_moment_after_the_last_one_is_refused_within_a_transaction_too(
    august: Office, first: str, last: str
) -> None:
    refused(august.get(PATH, **{"from": first, "to": last}), 400, "invalid-request")
    told = run(august, first, last)
    assert (told.exit_code, "FROM晚于TO" in told.output) == (2, True)


@on_one_database
def test_a_change_that_was_undone_in_between_is_none_and_one_of_several_steps_names_them_all(
    changing_august: Office, clock: TestClock
) -> None:
    clock.set("2024-08-25T01:00:00Z")
    changing_august.file(correction("2024-04", 130_000, "改报3号"))
    clock.set("2025-01-01T01:00:00Z")
    (april,) = (
        each
        for each in changing_august.read(PATH, **{"from": "2024-08-05", "to": "2024-08-31"})["items"]
        if each["period"] == "2024-04"
    )
    assert [(each["before_fen"], each["after_fen"]) for each in april["changes"]] == [
        (50 * WANYUAN, 0),
        (0, 15 * WANYUAN),
    ]
    assert [causes_of(each)[0][2] for each in april["changes"]] == ["改报2号", "改报3号"]
    changing_august.file(correction("2024-04", 200_000, "改报4号"), correction("2024-03", 200_000, "改报5号"))
    answer = changing_august.read(PATH, **{"from": "2024-08-05", "to": "2025-01-01"})
    assert (answer["items"], answer["difference_fen"]) == ([], 0)


def test_what_was_filed_before_a_publication_changes_by_the_publication(
    office: Office, clock: TestClock
) -> None:
    office.file(trade(XIN, "2024-03", 120_000, 100_000), trade(XIN, "2024-07", 120_000, 100_000))
    clock.set("2024-05-31T01:00:00Z")
    publish_whole(office.ledger)
    clock.set("2024-09-01T01:00:00Z")
    publish_whole(office.ledger, policy(step_award_yuan=30_000))
    items = office.read(PATH, **{"from": "2024-08-31", "to": "2024-09-01"})["items"]
    assert [(each["period"], each["before_fen"], each["after_fen"]) for each in items] == [
        ("2024-03", 10 * WANYUAN, 6 * WANYUAN),
        ("2024-07", 10 * WANYUAN, 6 * WANYUAN),
    ]
    for each in items:
        ((cause,),) = (change["causes"] for change in each["changes"])
        assert (cause["type"], cause["policy"]["version"], cause["actor"]) == ("PolicyPublished", 2, "admin")
        assert cause["recorded_at"] == "2024-09-01T01:00:00Z"
    (first,) = office.read(PATH, **{"from": "0", "to": "2024-05-31"}, window="2024H1")["items"]
    assert (first["before_fen"], first["after_fen"]) == (None, 10 * WANYUAN)
    assert first["changes"][0]["causes"][0]["policy"]["version"] == 1


@on_one_database
def test_a_publication_is_named_with_the_version_that_it_took_the_place_of(
    office: Office, clock: TestClock, tmp_path: Path
) -> None:
    office.file(trade(XIN, "2024-03", 120_000, 100_000))
    for day, award in (("05-31", 50_000), ("06-01", 30_000), ("06-02", 50_000)):
        clock.set(f"2024-{day}T01:00:00Z")
        publish_whole(office.ledger, policy(step_award_yuan=award))
    (item,) = office.read(PATH, **{"from": "0", "to": "2024-06-02"})["items"]
    causes = [cause for change in item["changes"] for cause in change["causes"]]
    published = [
        (
            cause["policy_before"] and cause["policy_before"]["version"],
            cause["policy"]["version"],
            cause["policy_repeats"],
        )
        for cause in causes
    ]
    assert published == [(None, 1, None), (1, 2, None), (2, 3, 1)]
    assert causes[1]["policy_before"] == causes[0]["policy"]
    told = ["版本1（首次发布）", "版本1→版本2", "版本2→版本3（内容同版本1）"]
    printed = run(office, "0", "2024-06-02").stdout
    path = tmp_path / "差异.xlsx"
    assert run(office, "0", "2024-06-02", "--xlsx", str(path)).exit_code == 0
    _, line, _ = CalamineWorkbook.from_path(path).get_sheet_by_index(0).to_python()
    listed = [f"发布政策文件 {causes[0]['policy']['id']} {each}" for each in told]
    assert line[9] == "\n".join(listed)
    assert all(f"    {each}，经办：admin" in printed for each in listed)


def test_a_withdrawal_leaves_a_period_unassessed_and_is_the_cause(changing_august: Office) -> None:
    before = changing_august.read("/v1/events")["as_of"]["position"]
    changing_august.withdraw(trade(XIN, "2024-05", 200_000, 100_000), reason="重复登记")
    (may,) = changing_august.read(PATH, **{"from": str(before), "to": str(before + 2)})["items"]
    assert (may["period"], may["before_fen"], may["after_fen"]) == ("2024-05", 50 * WANYUAN, None)
    assert causes_of(may["changes"][0])[0][0] == "ReturnWithdrawn"


@on_one_database
def test_a_return_of_another_period_in_the_same_batch_is_no_cause(office: Office) -> None:
    publish_whole(office.ledger)
    office.file(trade(XIN, "2024-03", 110_000, 100_000), trade(XIN, "2024-04", 110_000, 100_000))
    for each in office.read(PATH, **{"from": "0", "to": "2024-04-10"})["items"]:
        ((cause,),) = (change["causes"] for change in each["changes"])
        assert cause["period"] == each["period"]


@on_one_database
@pytest.mark.parametrize(
    ("asked", "status", "problem"),
    [
        ({"to": "1"}, 400, "invalid-request"),
        ({"from": "1"}, 400, "invalid-request"),
        ({"from": "2024-08-06", "to": "2024-07-31"}, 400, "invalid-request"),
        ({"from": "yesterday", "to": "1"}, 400, "invalid-request"),
        ({"from": "1", "to": "2024-02-30"}, 400, "invalid-request"),
        ({"from": "1", "to": "0000-01-01"}, 400, "invalid-request"),
        ({"from": "-1", "to": "1"}, 400, "invalid-request"),
        ({"from": "1", "to": "9" * 40}, 422, "position-ahead"),
        ({"from": str(2**63), "to": "1"}, 422, "position-ahead"),
        ({"from": "1", "to": "9" * 5_000}, 422, "position-ahead"),
        ({"from": "1", "to": "2025-01-02"}, 422, "day-ahead"),
        ({"from": "9999-12-31", "to": "9999-12-31"}, 422, "day-ahead"),
        ({"from": "1", "to": "2024-08-20T23:59:61Z"}, 400, "invalid-request"),
        ({"from": "0", "to": "1", "window": "2024H3"}, 400, "window-invalid"),
        ({"from": "0", "to": "1", "uscc": "x"}, 400, "invalid-request"),
        ({"from": "0", "to": "1", "limit": "501"}, 400, "invalid-request"),
        ({"from": "0", "to": "1", "cursor": "WzEsMl0"}, 400, "invalid-request"),
        ({"from": "0", "to": "1", "cursor": "WzAsLTEsMCwwLCIiLCIiLCIiXQ"}, 400, "invalid-request"),
    ],
    ids=str,
)
def test_a_question_that_cannot_be_is_refused(
    august: Office, asked: dict[str, str], status: int, problem: str
) -> None:
    refused(august.get(PATH, **asked), status, problem)


@on_one_database
def test_only_auditors_read_differences(august: Office) -> None:
    for who in ("statistics", "commerce", "admin"):
        refused(august.get(PATH, who, **{"from": "0", "to": "1"}), 403, "forbidden")


@on_one_database
def test_before_anything_was_recorded_nothing_differs(office: Office) -> None:
    answer = office.read(PATH, **{"from": "0", "to": "0"})
    assert (answer["items"], answer["before_fen"], answer["after_fen"]) == ([], 0, 0)


@pytest.fixture(scope="module")
def busy_year(migrated: Database) -> Iterator[Office]:
    """A random year of many corrections and three publications, which no test changes."""
    database = migrated.copy()
    clock = TestClock()
    with pytest.MonkeyPatch.context() as patch, Office(Ledger(database.open(), clock)) as office:
        patch.setattr(publishing, "STREAMS_PER_CHUNK", 2)
        year = RandomYear(7, enterprises=5)
        for hour in range(10):
            clock.now_us += 3_600_000_000
            year.play(office.ledger, 2, published_at=(1,) if hour in {2, 4, 7} else ())
        yield office
        office.ledger.engine.dispose()
    database.drop()


@cache
def amounts_at(office: Office, position: int) -> dict[tuple[str, str, str], int]:
    """Every account of the year as the reads of accounts give it: by enterprise, half-year and period.

    Nothing is recorded in it any more, so each position is read once.
    """
    found = {}
    for window in WINDOWS:
        for n in range(1, 6):
            response = office.get(f"/v1/entitlements/{code(n)}/{window}", position=position)
            if response.status_code == 200:
                for each in response.json()["periods"]:
                    found[code(n), window, each["period"]] = each["assessed_fen"]
    return found


def pages(office: Office, **asked: Any) -> list[dict[str, Any]]:
    found = [office.read(PATH, **asked)]
    while found[-1]["next_cursor"] is not None:
        found.append(office.read(PATH, **asked, cursor=found[-1]["next_cursor"]))
    return found


EXAMPLES = {"sqlite": 8, "postgresql": 3}
"""The first ones are the same on both."""


def test_the_differences_are_those_of_every_account_read_at_both_moments(
    busy_year: Office, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    @settings(max_examples=EXAMPLES[host.kind], derandomize=True, database=None, deadline=None)
    @given(data=st.data())
    def differ_alike(data: st.DataObject) -> None:
        monkeypatch.setattr(queries, "SLICE", data.draw(st.integers(1, 9), label="rows of a slice"))
        check_differences(busy_year, data)

    differ_alike()


def check_differences(busy_year: Office, data: st.DataObject) -> None:
    """Between two moments, what the route answers is what the reads of accounts differ in."""
    ends = [0, *transaction_ends(busy_year.ledger)]
    first, last = sorted(data.draw(st.tuples(st.sampled_from(ends), st.sampled_from(ends)), label="moments"))
    limit = data.draw(st.integers(1, 7), label="limit")
    before, after = amounts_at(busy_year, first), amounts_at(busy_year, last)
    expected = {
        key: (before.get(key), after.get(key))
        for key in sorted(before.keys() | after.keys(), key=lambda key: (key[0], key[2]))
        if before.get(key) != after.get(key)
    }
    found = pages(busy_year, limit=limit, **{"from": str(first), "to": str(last)})
    items = [item for page in found for item in page["items"]]
    assert {(each["uscc"], each["window"], each["period"]): amounts_of(each) for each in items} == expected
    assert [(each["uscc"], each["period"]) for each in items] == [(key[0], key[2]) for key in expected]
    assert all(len(page["items"]) <= limit for page in found)
    sums = {(page["before_fen"], page["after_fen"], page["difference_fen"]) for page in found}
    total = sum(each["difference_fen"] for each in items)
    assert sums == {(sum(before.values()), sum(after.values()), total)}
    check_changes(items, first, last)
    for window in WINDOWS:
        check_window(busy_year, window, first, last)


def amounts_of(item: dict[str, Any]) -> tuple[int | None, int | None]:
    return item["before_fen"], item["after_fen"]


def check_changes(items: list[dict[str, Any]], first: int, last: int) -> None:
    """The changes of a difference lead from one amount to the other, each by what its transaction says."""
    for item in items:
        changes = item["changes"]
        steps = [amounts_of(each) for each in changes]
        assert [item["before_fen"], *(after for _, after in steps)] == [
            *(before for before, _ in steps),
            item["after_fen"],
        ]
        assert [each["position"] for each in changes] == sorted({each["position"] for each in changes})
        for each in changes:
            assert first < each["position"] <= last
            assert each["causes"]
            for cause in each["causes"]:
                assert cause["position"] <= each["position"]
                if cause["type"] == "PolicyPublished":
                    assert cause["policy"]["id"] == item["policy"]
                else:
                    assert cause["recorded_at"] == each["recorded_at"]
                    assert cause["period"] <= item["period"]


def check_window(office: Office, window: str, first: int, last: int) -> None:
    """The sums of a half-year are those of its summary, which are kept apart."""
    answer = office.read(PATH, window=window, **{"from": str(first), "to": str(last)})
    kept = [
        office.read("/v1/summary", window=window, group_by="period", position=at)["assessed_fen"]
        for at in (first, last)
    ]
    assert [answer["before_fen"], answer["after_fen"]] == kept
    assert {each["window"] for each in answer["items"]} <= {window}


@pytest.mark.parametrize("narrowed", ["region_code", "uscc"])
def test_the_parts_of_the_ledger_differ_by_what_the_whole_differs(busy_year: Office, narrowed: str) -> None:
    ends = transaction_ends(busy_year.ledger)
    asked = {"from": str(ends[len(ends) // 3]), "to": str(ends[-1])}
    whole = busy_year.read(PATH, limit=500, **asked)
    parts = [
        busy_year.read(PATH, limit=500, **asked, **{narrowed: each})
        for each in sorted({each[narrowed] for each in whole["items"]} | {"210802", "210803", "210881"})
        if narrowed == "region_code" or len(each) == len(XIN)
    ]
    for part in parts:
        assert sum(each["difference_fen"] for each in part["items"]) == part["difference_fen"]
    assert sum(part["difference_fen"] for part in parts) == whole["difference_fen"]
    assert sorted(each["uscc"] for part in parts for each in part["items"]) == [
        each["uscc"] for each in whole["items"]
    ]


def run(office: Office, *words: str) -> Any:
    url = office.ledger.engine.url.render_as_string(hide_password=False)
    return CliRunner().invoke(
        command_line, ["audit", "differences", *words], env={"DUIXIAN_DATABASE_URL": url}
    )


@on_one_database
def test_the_command_line_says_as_json_what_the_service_says(august: Office) -> None:
    answer = august.read(PATH, **{"from": "2024-08-05", "to": "2024-08-31"})
    del answer["next_cursor"]
    assert json.loads(run(august, "2024-08-05", "2024-08-31", "--json").stdout) == answer


@on_one_database
def test_the_command_line_tells_each_change_with_who_when_and_why(august: Office) -> None:
    lines = run(august, "2024-08-05", "2024-08-31").stdout.splitlines()
    head = august.read("/v1/events", uscc=XIN)["items"]
    march = next(each["position"] for each in head if each["type"] == "ReturnRevised")
    assert lines[0] == f"示例企业{XIN[-5:]}（{XIN}）2024年3月：50万元 → 0万元，增减-50万元"
    told = "更正登记 2024年3月 E204-1，三月.xlsx，企业改报2024-03零售额（企业改报），改报1号"
    assert lines[1] == f"    {told}，经办：statistics，2024-08-12 09:00:00，台账序号{march}"
    assert "共3项变动。测算金额合计：200万元 → 150万元，增减-50万元。" in lines
    assert lines[-2].startswith("前一时点截至2024-07-10 09:00:00（北京时间，台账序号")


@on_one_database
def test_the_sheet_of_differences_lists_them_with_their_causes_and_ends_with_the_sums(
    august: Office, tmp_path: Path
) -> None:
    path = tmp_path / "差异.xlsx"
    assert run(august, "2024-08-05", "2024-08-31", "--xlsx", str(path)).exit_code == 0
    workbook = CalamineWorkbook.from_path(path)
    assert workbook.sheet_names == ["差异清单", "说明"]
    heading, *lines, total = workbook.get_sheet_by_index(0).to_python()
    assert heading[6:9] == ["变动前测算金额（万元）", "变动后测算金额（万元）", "增减（万元）"]
    assert [line[4:5] + line[6:9] for line in lines] == [
        ["2024年3月", 50, 0, -50],
        ["2024年4月", 50, 0, -50],
        ["2024年6月", 0, 50, 50],
    ]
    assert [line[9] for line in lines] == [f"更正登记 2024年{month}月 E204-1" for month in (3, 4, 3)]
    assert [line[14] for line in lines] == ["改报1号", "改报2号", "改报1号"]
    assert heading[15:] == ["来源文件", "来源文件指纹（SHA-256）"]
    assert [line[15:] for line in lines] == [["三月.xlsx", "7e" * 32], ["", ""], ["三月.xlsx", "7e" * 32]]
    assert total[6:9] == [200, 150, -50]
    title, told = workbook.get_sheet_by_index(1).to_python()[0]
    assert title == "前一时点"
    assert "截至2024-07-10 09:00:00（北京时间，台账序号" in str(told)


@on_one_database
@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("2024-08-31", "2024-08-05"), 2),
        (("yesterday", "2024-08-05"), 2),
        (("0", "1", "--window", "2024H3"), 2),
        (("0", "1", "--uscc", "x"), 2),
        (("0", "1", "--json", "--xlsx", "a.xlsx"), 2),
        (("0", "999"), 1),
        (("0", str(2**63)), 1),
        (("0", "9999-12-31"), 1),
        (("0", "1", "--xlsx", "/nowhere/a.xlsx"), 1),
    ],
)
def test_wrong_usage_ends_with_2_and_a_refusal_with_1(
    august: Office, words: tuple[str, ...], code: int
) -> None:
    result = run(august, *words)
    assert result.exit_code == code, result.output
    assert result.stderr.strip()
