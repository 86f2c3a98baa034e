"""Replays that are started through the service and the command line."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import delete, select, update
from typer.testing import CliRunner

from app.cli.commands import app
from app.cli.replay_words import COLUMNS
from app.ledger import replay_runs
from app.ledger.ledger import Ledger
from app.ledger.replay_runs import SILENT_US, Run
from app.ledger.tables import events
from app.runtime.database import write_transaction
from app.use_cases.audit.exporting import ExportOptions, export_log
from projections.tables import LIVE
from tests.databases import Database, on_one_database
from tests.ledger.history import code, file, publish_whole, trade
from tests.office import Office, TestClock

PATIENCE_S = 30
REPLAYS = "/v1/audit/replays"


@pytest.fixture
def month(ledger: Ledger) -> Ledger:
    """One enterprise, filed in March."""
    publish_whole(ledger)
    file(ledger, trade(code(1), "2024-03", 110_000, 100_000))
    return ledger


def lower(ledger: Ledger) -> int:
    """Change the assessed amount by SQL; where."""
    with write_transaction(ledger.engine) as connection:
        query = select(events.c.position, events.c.state).where(events.c.topic == "EntitlementAssessed.2")
        position, state = connection.execute(query).one()
        data = msgspec.json.decode(bytes(state))
        data["outcome"].update(assessed_fen=4_000_000, open_fen=4_000_000)
        at = update(events).where(events.c.position == position)
        connection.execute(at.values(state=msgspec.json.encode(data)))
    return int(position)


def ask(office: Office, body: Any = None, who: str = "auditor") -> Any:
    return office.client.post(REPLAYS, json=body, headers=office.headers(who))


def ended(office: Office, location: str) -> Any:
    """The replay, when it has ended."""
    give_up_at = time.monotonic() + PATIENCE_S
    while time.monotonic() < give_up_at:
        answer = office.read(location)
        if answer["state"] != "running":
            return answer
        time.sleep(0.02)
    raise AssertionError(answer)


@pytest.mark.usefixtures("month")
def test_a_replay_is_accepted_polled_and_clean(office: Office) -> None:
    response = ask(office)
    assert response.status_code == 202, response.text
    asked = response.json()
    assert response.headers["Location"] == f"{REPLAYS}/{asked['id']}"
    assert (asked["state"], asked["asked_by"], asked["report"]) == ("running", "auditor", None)
    assert asked["asked_at"] == "2024-04-10T08:00:00Z"
    answer = ended(office, response.headers["Location"])
    assert answer["state"] == "done"
    report = answer["report"]
    assert report["is_clean"] is True
    assert (report["first"], report["last"], report["projected"], report["events"]) == (1, 3, 3, 3)
    assert report["assessments"] == 1
    assert report["rows"] == {
        "returns": 1,
        "enterprises": 1,
        "entitlements": 1,
        "accounts": 1,
        "disagreements": 0,
    }
    assert report["unassessed"] == []


@on_one_database
def test_a_mismatch_comes_with_the_steps_of_both_sides(month: Ledger, office: Office) -> None:
    position = lower(month)
    report = ended(office, ask(office, {}).headers["Location"])["report"]
    assert report["is_clean"] is False
    (mismatch,) = report["mismatches"]
    assert (mismatch["kind"], mismatch["position"]) == ("differs", position)
    assert mismatch["recorded"]["outcome"]["assessed_fen"] == 4_000_000
    assert mismatch["derived"]["outcome"]["assessed_fen"] == 5_000_000
    for side in ("recorded", "derived"):
        steps = mismatch[side]["steps"]
        assert [step["n"] for step in steps] == list(range(1, len(steps) + 1))
        growth = next(step for step in steps if step["rule"] == "growth-over")
        assert growth["inputs"]["current_fen"] == 11_000_000_000


@on_one_database
def test_a_range_is_replayed_without_the_read_models(month: Ledger, office: Office) -> None:
    lower(month)
    report = ended(office, ask(office, {"first": 1, "last": 1}).headers["Location"])["report"]
    assert (report["last"], report["projected"], report["assessments"]) == (1, None, 0)
    assert report["is_clean"] is True


def test_while_one_replay_runs_another_one_is_refused_and_told_where_it_is(
    month: Ledger, office: Office, clock: TestClock
) -> None:
    running = Run(id="other", asked_by="auditor", asked_at_us=clock.now_us, first=1, last=None)
    with write_transaction(month.engine) as connection:
        assert replay_runs.begin(connection, running, now_us=clock.now_us) is None
    response = ask(office)
    assert response.status_code == 409
    assert response.json()["code"] == "replay-running"
    assert response.headers["Location"] == f"{REPLAYS}/other"
    clock.now_us += SILENT_US + 1
    assert ask(office).status_code == 202
    assert office.read(f"{REPLAYS}/other")["state"] == "interrupted"


@on_one_database
@pytest.mark.usefixtures("month")
@pytest.mark.parametrize(
    ("body", "status", "code_said"),
    [
        ([], 422, "invalid-request"),
        ({"from": 1}, 422, "invalid-request"),
        ({"first": 0}, 422, "invalid-request"),
        ({"first": True}, 422, "invalid-request"),
        ({"first": 1.0}, 422, "invalid-request"),
        ({"first": "1"}, 422, "invalid-request"),
        ({"first": 2, "last": 1}, 422, "invalid-request"),
        ({"last": 2**63}, 422, "position-ahead"),
        ({"first": 10**30}, 422, "position-ahead"),
        ({"last": 4}, 422, "position-ahead"),
    ],
)
def test_a_replay_of_what_is_no_range_is_refused(
    office: Office, body: Any, status: int, code_said: str
) -> None:
    response = ask(office, body)
    assert (response.status_code, response.json()["code"]) == (status, code_said)


@on_one_database
@pytest.mark.usefixtures("month")
def test_what_is_no_json_and_a_replay_that_nobody_asked_for(office: Office) -> None:
    sent = office.client.post(REPLAYS, content=b"{", headers=office.headers("auditor"))
    assert (sent.status_code, sent.json()["code"]) == (400, "invalid-json")
    assert office.get(f"{REPLAYS}/none").status_code == 404


@on_one_database
@pytest.mark.parametrize("who", ["statistics", "commerce", "admin"])
def test_only_auditors_replay(office: Office, who: str) -> None:
    assert ask(office, who=who).status_code == 403
    assert office.get(f"{REPLAYS}/any", who).status_code == 403


def run(database: Database, *words: str) -> Any:
    return CliRunner().invoke(app, ["audit", "replay", *words], env={"DUIXIAN_DATABASE_URL": database.url})


@on_one_database
@pytest.mark.usefixtures("month")
def test_the_command_says_that_all_is_one_and_ends_with_0(database: Database) -> None:
    result = run(database)
    assert result.exit_code == 0, result.output
    assert "复算台账序号1至3：读取台账记录3条，比对测算记录1条，不一致0处。" in result.output
    assert "登记数据1行" in result.output
    assert "全部一致。" in result.output


@on_one_database
def test_the_command_tells_each_mismatch_and_ends_with_1(month: Ledger, database: Database) -> None:
    position = lower(month)
    result = run(database)
    assert result.exit_code == 1
    assert f"2024年3月 台账序号{position}：复算结果与记录不同" in result.output
    assert "测算金额：记录为4万元，复算为5万元" in result.output
    assert "记录：测算金额4万元（政策版本1）" in result.output
    assert "复算：测算金额5万元（政策版本1）" in result.output
    assert result.output.count("同比增长10%") == 2
    as_json = run(database, "--json")
    assert as_json.exit_code == 1
    assert json.loads(as_json.stdout)["mismatches"][0]["position"] == position


@on_one_database
@pytest.mark.usefixtures("month")
def test_a_range_that_ends_within_a_transaction_says_where_it_was_ended(database: Database) -> None:
    """Transactions end at 1 and 3."""
    result = run(database, "--to", "2")
    assert result.exit_code == 0
    assert "只复算到此前一批的末序号1；其后的部分请用--from 2复算" in result.output
    empty = run(database, "--from", "2", "--to", "2")
    assert empty.exit_code == 0
    assert "该范围内没有完整的登记批次（此前最后一批止于序号1）" in empty.output
    assert "复算台账序号2至1" not in empty.output


@on_one_database
def test_a_row_of_a_read_model_is_told_in_the_words_of_officials(month: Ledger, database: Database) -> None:
    with write_transaction(month.engine) as connection:
        state = b'{"period":"2024-04"}'
        connection.execute(update(LIVE.entitlements).values(assessed_fen=4_000_000, state=state))
        connection.execute(update(LIVE.accounts).values(name="另一企业"))
    result = run(database)
    assert result.exit_code == 1
    assert "测算金额：查询表为4万元，应为5万元" in result.output
    assert "企业名称：查询表为“另一企业”，应为“" in result.output
    assert '记录内容：查询表为“{"period":"2024-04"}”，应为“{"period":"2024-03",' in result.output
    assert "assessed_fen" not in result.output


@on_one_database
def test_what_an_assessment_says_is_told_in_the_words_of_officials(month: Ledger, database: Database) -> None:
    with write_transaction(month.engine) as connection:
        assessed = events.c.topic == "EntitlementAssessed.2"
        state = connection.scalar(select(events.c.state).where(assessed))
        data = json.loads(state or b"")
        data["outcome"] |= {"status": "not-eligible", "measure": None, "measures": [], "open_readings": []}
        altered = json.dumps(data, separators=(",", ":")).encode()
        connection.execute(update(events).where(assessed).values(state=altered))
    output = run(database).output
    assert "结论：记录为不予奖励，复算为符合条件" in output
    assert "奖项：记录为无，复算为零售增长奖励" in output
    assert "各奖项结论：记录为无，复算为零售增长奖励符合条件，限额前测算金额5万元" in output
    assert "按该记录所引的政策和数据推算（台账不保存步骤）" in output
    assert "None" not in output


def test_every_column_of_a_read_model_has_a_name_for_officials() -> None:
    columns = {column.name for table in LIVE for column in table.c} - {"id"}
    assert columns <= set(COLUMNS)


@on_one_database
@pytest.mark.usefixtures("month")
def test_the_command_refuses_what_is_no_range(database: Database) -> None:
    assert run(database, "--from", "3", "--to", "2").exit_code == 2
    ahead = run(database, "--to", "4")
    assert ahead.exit_code == 1
    assert "台账最后的序号是3" in ahead.output


@on_one_database
def test_an_export_is_replayed_without_its_database(
    month: Ledger, database: Database, tmp_path: Path
) -> None:
    position = lower(month)
    target = tmp_path / "export"
    wanted = ExportOptions(target=target, packed=False, until=None, made_at="", signing=None)
    export_log(month, wanted)
    with write_transaction(month.engine) as connection:
        connection.execute(delete(events))
    result = run(database, str(target))
    assert result.exit_code == 1
    assert "复算台账序号1至3：读取台账记录3条" in result.output
    assert f"2024年3月 台账序号{position}：复算结果与记录不同" in result.output
    assert "不一致0行。" in result.output


@on_one_database
def test_an_export_that_was_altered_is_not_replayed(
    month: Ledger, database: Database, tmp_path: Path
) -> None:
    target = tmp_path / "export"
    wanted = ExportOptions(target=target, packed=False, until=None, made_at="", signing=None)
    export_log(month, wanted)
    lines = target / "events.ndjson"
    lines.write_bytes(lines.read_bytes().replace(b"11000000000", b"12000000000"))
    result = run(database, str(target))
    assert result.exit_code == 1
    assert "无法复算" in result.output
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "无法复算" in run(database, str(empty)).output


@on_one_database
def test_an_event_that_cannot_be_read_is_told_with_its_position(
    month: Ledger, office: Office, database: Database
) -> None:
    with write_transaction(month.engine) as connection:
        connection.execute(update(events).where(events.c.position == 2).values(state=b"{"))
    shown = office.read("/v1/events", uscc=code(1))["items"]
    assert [mismatch["position"] for mismatch in shown] == [2, 3]
    assert shown[0]["data"] == {"unreadable": "序号2的内容不是ReturnFiled类型的记录"}
    assert "unreadable" not in shown[1]["data"]
    result = subprocess.run(
        [sys.executable, "-c", "from app.cli import main; main()", "events", "--uscc", code(1)],
        env={**os.environ, "DUIXIAN_DATABASE_URL": database.url},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0
    (line,) = (text for text in result.stdout.splitlines() if text.startswith("2 "))
    assert line.endswith("内容无法读取：序号2的内容不是ReturnFiled类型的记录")
    assert result.stderr == ""
