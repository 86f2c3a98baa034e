"""A moment may be a plain day in Beijing: its end, now while it lasts, nothing before it has begun."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from typer.testing import CliRunner, Result

from app.cli.commands import app as command_line
from tests.api.rows import code, refused, trade
from tests.databases import on_one_database
from tests.office import NewOffice, Office, TestClock, unchanged

USCC: Final = code(1000)
AFTER: Final = "2024-04-11T16:00:00Z"
READS: Final = (
    f"/v1/entitlements/{USCC}/2024H1",
    f"/v1/entitlements/{USCC}/2024H1/2024-03",
    "/v1/entitlements?window=2024H1",
    "/v1/summary?window=2024H1&group_by=region_code",
    f"/v1/returns/{USCC}?year=2024",
    "/v1/events",
    "/v1/policies",
    "/v1/policies/yingkou-2024-14",
    "/v1/policies/yingkou-2024-14/versions/1",
    "/v1/audit/red-flags?window=2024H1",
    "/v1/audit/red-flags/groups?window=2024H1",
)
COMMANDS: Final = (
    ("entitlement", USCC, "2024H1"),
    ("list", "2024H1"),
    ("summary", "2024H1"),
    ("returns", USCC, "2024"),
    ("events",),
    ("policy", "list"),
    ("audit", "red-flags", "2024H1"),
)


def play(office: Office, clock: TestClock) -> Office:
    """A publication and a filing on 10 April (1-3), and filings at the end of 11 April and after it."""
    office.publish()
    office.file(trade(110_000))
    clock.set("2024-04-11T15:59:59.999999Z")
    office.file(trade(130_000, number=1001))
    clock.set(AFTER)
    office.file(trade(130_000, number=1002))
    return office


@pytest.fixture(scope="module")
def days_clock() -> TestClock:
    """The clock of the ledger that tests share."""
    return TestClock()


@pytest.fixture(scope="module")
def shared_days(new_office: NewOffice, days_clock: TestClock) -> Office:
    """These days, for all tests."""
    days_clock.set("2024-04-10T08:00:00Z")
    return play(new_office(days_clock), days_clock)


@pytest.fixture
def days(shared_days: Office, days_clock: TestClock) -> Iterator[Office]:
    """The same right after the last filing, to read."""
    days_clock.set(AFTER)
    with unchanged(shared_days) as office:
        yield office


def test_a_day_that_has_ended_is_its_end_in_beijing_for_every_read(days: Office) -> None:
    for path in READS:
        for day, position in (("2024-04-10", 3), ("2024-04-11", 5)):
            answer = days.read(path, known_at=day)
            assert (answer["as_of"]["position"], answer["as_of"]["day_in_progress"]) == (position, False)
            assert answer == days.read(path, position=position)


@on_one_database
def test_a_day_that_has_not_ended_answers_as_of_now_and_says_so(days: Office) -> None:
    for path in READS:
        answer, now = days.read(path, known_at="2024-04-12"), days.read(path)
        assert (answer["as_of"].pop("day_in_progress"), now["as_of"].pop("day_in_progress")) == (True, False)
        assert answer == now


@on_one_database
def test_a_day_that_has_not_begun_is_not_acceptable(days: Office, days_clock: TestClock) -> None:
    days_clock.set("2024-04-12T15:59:59.999999Z")
    for path in READS:
        refused(days.get(path, known_at="2024-04-13"), 422, "day-ahead")
    days_clock.set("2024-04-12T16:00:00Z")
    for path in READS:
        assert days.read(path, known_at="2024-04-13")["as_of"]["day_in_progress"] is True


@on_one_database
def test_where_the_log_is_ahead_of_the_clock_its_days_have_begun(days: Office, days_clock: TestClock) -> None:
    days_clock.set("2024-04-10T08:00:00Z")
    for path in READS:
        assert days.read(path, known_at="2024-04-11")["as_of"]["day_in_progress"] is False
        assert days.read(path, known_at="2024-04-12")["as_of"]["day_in_progress"] is True
        refused(days.get(path, known_at="2024-04-13"), 422, "day-ahead")


@on_one_database
def test_a_day_before_anything_was_recorded_has_nothing(days: Office) -> None:
    for day in ("2024-04-09", "0001-01-01"):
        answer = days.read("/v1/entitlements", window="2024H1", known_at=day)
        assert (answer["items"], answer["as_of"]["position"]) == ([], 0)


def test_of_differences_a_day_is_its_start_as_from_and_its_end_as_to(days: Office) -> None:
    path = "/v1/audit/differences"
    for first, last, ends in (
        ("2024-04-11", "2024-04-11", (3, 5)),
        ("2024-04-11", "2024-04-12", (3, 7)),
        ("2024-04-12", "2024-04-12", (5, 7)),
    ):
        answer = days.read(path, **{"from": first, "to": last})
        assert (answer["before"]["position"], answer["after"]["position"]) == ends
        assert answer["before"]["day_in_progress"] is False
        assert answer["after"]["day_in_progress"] is (last == "2024-04-12")
    for asked in ({"from": "2024-04-13", "to": "2024-04-13"}, {"from": "1", "to": "2024-04-13"}):
        refused(days.get(path, **asked), 422, "day-ahead")


def test_a_receipt_may_be_asked_for_by_a_day(office: Office, clock: TestClock) -> None:
    days = play(office, clock)
    path = f"/v1/audit/receipts/{USCC}/2024H1"
    by_day, by_position = days.read(path, known_at="2024-04-11"), days.read(path, position=5)
    assert by_day["checkpoint"].splitlines()[1] == by_position["checkpoint"].splitlines()[1] == "5"
    assert days.read(path, known_at="2024-04-12")["checkpoint"].splitlines()[1] == "7"
    refused(days.get(path, known_at="2024-04-13"), 422, "day-ahead")


@on_one_database
def test_a_figure_may_be_reported_in_a_leap_second(office: Office) -> None:
    office.publish()
    for reported_at, status in (
        ("2017-01-01T07:59:60+08:00", 201),
        ("2016-12-31T23:59:60.123456789Z", 201),
        ("2017-01-01T08:00:60+08:00", 422),
        (f"2016-12-31T23:59:59.{'9' * 40}Z", 422),
    ):
        row = trade(110_000, reported_at=reported_at)
        assert office.post({"unit": "qianyuan", "returns": [row]}).status_code == status


@pytest.fixture
def later(office: Office, clock: TestClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Office:
    """A ledger whose last day is in 2199: the clock of the command line has not come so far."""
    monkeypatch.setenv("DUIXIAN_DATABASE_URL", office.ledger.engine.url.render_as_string(hide_password=False))
    monkeypatch.setenv("DUIXIAN_AUDIT_KEY_FILE", str(tmp_path / "audit.key"))
    office.publish()
    office.file(trade(110_000))
    clock.set("2199-06-30T15:59:59Z")
    office.file(trade(110_000, period="2024-04"))
    return office


def run(*words: str) -> Result:
    return CliRunner().invoke(command_line, words)


@on_one_database
@pytest.mark.usefixtures("later")
def test_every_command_takes_a_day_and_says_where_it_has_not_ended() -> None:
    for words in COMMANDS:
        ended, lasting = run(*words, "--known-at", "2024-04-10"), run(*words, "--known-at", "2199-06-30")
        assert (ended.exit_code, lasting.exit_code) == (0, 0), words
        assert ("台账序号3）" in ended.stdout, "截至现在" in ended.stdout) == (True, False)
        assert "台账序号5；该日尚未结束，截至现在）" in lasting.stdout
        ahead = run(*words, "--known-at", "2199-07-01")
        assert (ahead.exit_code, ahead.stderr) == (1, "2199-07-01尚未开始（北京时间），不能查询。\n")
        wrong = run(*words, "--known-at", "2199-06-31")
        assert (wrong.exit_code, "没有这一天" in wrong.output.replace("\n", "")) == (2, True)


@on_one_database
@pytest.mark.usefixtures("later")
def test_the_differences_of_a_day_in_progress_say_so() -> None:
    told = run("audit", "differences", "2199-06-30", "2199-06-30").stdout
    assert "前一时点截至2024-04-10 16:00:00（北京时间，台账序号3）\n" in told
    assert "后一时点截至2199-06-30 23:59:59（北京时间，台账序号5；该日尚未结束，截至现在）\n" in told
    assert run("audit", "differences", "1", "2199-07-01").exit_code == 1


@on_one_database
@pytest.mark.usefixtures("later")
def test_a_receipt_of_a_day_in_progress_says_so(tmp_path: Path) -> None:
    told = {
        day: run(
            *("audit", "receipt", USCC, "2024H1", "--known-at", day, "--out", str(tmp_path / "receipt.json"))
        ).stdout
        for day in ("2024-04-10", "2199-06-30")
    }
    assert "台账序号3。" in told["2024-04-10"]
    # To sign anything seals the log, which is an event of its own.
    assert "台账序号6；该日尚未结束，截至现在。" in told["2199-06-30"]


@on_one_database
@pytest.mark.usefixtures("later")
def test_a_position_above_the_head_is_refused_by_every_command_however_large(tmp_path: Path) -> None:
    assert run("audit", "checkpoint").exit_code == 0  # The log says then, once, that it is sealed: 6.
    for words in (
        *((*words, "--position") for words in COMMANDS),
        ("events", "--after"),
        ("audit", "differences", "0"),
        ("audit", "checkpoint", "--size"),
        ("audit", "inclusion"),
        ("audit", "inclusion", "1", "--size"),
        ("audit", "consistency", "1"),
        ("audit", "receipt", USCC, "2024H1", "--position"),
        ("audit", "replay", "--from"),
        ("audit", "replay", "--to"),
        ("audit", "export", str(tmp_path / "export"), "--until"),
    ):
        for position in ("99", str(2**63)):
            result = run(*words, position)
            assert (result.exit_code, "更后的序号" in result.stderr) == (1, True), (words, result.output)


@on_one_database
@pytest.mark.usefixtures("later")
@pytest.mark.parametrize("words", [("checkpoint", "--size"), ("inclusion",), ("consistency", "1")])
def test_what_a_command_itself_recorded_behind_the_seal_is_not_proved_before_the_next(
    words: tuple[str, ...],
) -> None:
    first = run("audit", *words, "6")
    assert first.exit_code == 1
    assert "台账已封存至序号5，其后的序号尚未封存。请再次运行同一命令。" in first.stderr
    assert run("audit", *words, "6").exit_code == 0


@pytest.mark.parametrize("number", ["-1", "1.0", "1_0", "+1", "\uff11", ""])
def test_a_position_of_a_command_is_written_in_digits(number: str) -> None:
    assert run("events", f"--after={number}").exit_code == 2
