"""`duixian audit`, as auditors and operators type it."""

import json
import stat
import subprocess
import sys

import pytest
from sqlalchemy import delete

from app.ledger.tables import events
from app.runtime.database import open_engine, write_transaction
from app.transparency.notes import Verifier, read_checkpoint
from tests.cli.test_commands import E204_1, JIA, Desk, desk, trade
from tests.databases import Database, on_one_database, only_on_sqlite
from tests.docs.codes import ROOT

__all__ = ["desk"]  # pytest looks for fixtures in the module.

POLICY = ROOT / "domain" / "policies" / "yingkou-2024-14.yaml"


@pytest.fixture
def stocked(desk: Desk) -> Desk:
    """A policy, a month, an audit key, and a log that is sealed."""
    desk.run("policy", "publish", POLICY)
    month = desk.csv("2024年3月 E204-1.csv", E204_1, trade(JIA, "123456", "100000"))
    desk.run("import", month, "--unit", "千元")
    desk.run("audit", "key", "--name", "duixian.example/log")
    desk.run("project", "--once")  # The fourth record says that the log was sealed.
    return desk


@on_one_database
def test_a_key_is_made_once_for_its_owner_alone_and_only_its_public_part_is_shown(desk: Desk) -> None:
    shown = desk.run("audit", "key", "--name", "duixian.example/log").stdout
    assert Verifier.parse(shown.rstrip("\n")).name == "duixian.example/log"
    path = desk.folder / "data" / "audit.key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    kept = path.read_text(encoding="utf-8")
    assert kept.startswith("PRIVATE+KEY+duixian.example/log+")
    assert "不会覆盖" in desk.run("audit", "key", code=1).output
    assert path.read_text(encoding="utf-8") == kept


@on_one_database
def test_the_file_of_the_key_is_that_of_the_setting(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DUIXIAN_AUDIT_KEY_FILE", "secret/log.key")
    answer = desk.json("audit", "key")
    assert answer["file"] == "secret/log.key"
    assert (desk.folder / "secret" / "log.key").exists()
    assert Verifier.parse(answer["verifier_key"]).name == answer["origin"]


@on_one_database
@pytest.mark.parametrize("name", ["", "a b", "a+b"])
def test_a_name_that_no_note_can_carry_is_wrong_usage(desk: Desk, name: str) -> None:
    desk.run("audit", "key", "--name", name, code=2)
    assert not (desk.folder / "data" / "audit.key").exists()


@on_one_database
def test_without_a_key_or_with_a_broken_one_the_command_says_what_to_do(desk: Desk) -> None:
    assert "duixian audit key" in desk.run("audit", "checkpoint", code=1).output
    (desk.folder / "data").mkdir(exist_ok=True)
    (desk.folder / "data" / "audit.key").write_bytes(b"\xff")
    assert "签名密钥不可用" in desk.run("audit", "inclusion", "1", code=1).output


@on_one_database
def test_a_checkpoint_is_shown_written_and_read_again(stocked: Desk) -> None:
    shown = stocked.run("audit", "checkpoint").stdout
    answer = stocked.json("audit", "checkpoint")
    assert read_checkpoint(shown, Verifier.parse(answer["verifier_key"])).size == answer["size"] == 4
    output = stocked.run("audit", "checkpoint", "--out", "checkpoint.txt").stdout
    assert output == "日志校验点已写入checkpoint.txt，含台账记录4条。\n"
    assert (stocked.folder / "checkpoint.txt").read_text(encoding="utf-8") == shown
    assert stocked.json("audit", "checkpoint", "--size", "2")["size"] == 2
    assert "最后的序号是4" in stocked.run("audit", "checkpoint", "--size", "5", code=1).output
    assert "无法写入" in stocked.run("audit", "checkpoint", "--out", ".", code=1).output


@on_one_database
def test_proofs_are_told_and_given_as_json(stocked: Desk) -> None:
    output = stocked.run("audit", "inclusion", "2").stdout
    answer = stocked.json("audit", "inclusion", "2")
    assert answer["leaf"] in output.replace("\n", "")
    assert all(proof in output for proof in answer["proof"])
    assert output.endswith(answer["checkpoint"])
    assert "最后的序号是4" in stocked.run("audit", "inclusion", "5", code=1).output
    assert "最后的序号是2" in stocked.run("audit", "inclusion", "3", "--size", "2", code=1).output
    stocked.run("audit", "inclusion", "0", code=2)
    output = stocked.run("audit", "consistency", "1", "3").stdout
    answer = stocked.json("audit", "consistency", "1", "3")
    assert "前1条台账记录原样包含在前3条内" in output
    assert answer["first_root"] in output
    assert answer["second_root"] in output
    stocked.run("audit", "consistency", "3", "1", code=2)
    assert "最后的序号是4" in stocked.run("audit", "consistency", "1", "9", code=1).output


@on_one_database
def test_a_receipt_verifies_with_the_key_that_was_kept(stocked: Desk) -> None:
    output = stocked.run("audit", "receipt", JIA, "2024H1", "--out", "receipt.json").stdout
    assert output == "核验凭据已写入receipt.json，含台账记录3条及其证明，截至台账序号4。\n"
    kept = stocked.json("audit", "checkpoint")["verifier_key"]
    verified = subprocess.run(
        [sys.executable, "-I", ROOT / "docs" / "verify_receipt.py", "receipt.json", "--key", kept],
        cwd=stocked.folder,
        env={"PYTHONUTF8": "1"},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert verified.returncode == 0, verified.stderr
    assert "2024年3月：10万元" in verified.stdout
    shown = json.loads(stocked.run("audit", "receipt", JIA, "2024H1").stdout)
    assert shown == json.loads((stocked.folder / "receipt.json").read_text(encoding="utf-8"))


@on_one_database
def test_a_receipt_before_anything_was_known_is_empty_and_verifies(stocked: Desk) -> None:
    stocked.run("audit", "receipt", JIA, "2024H1", "--position", "0", "--out", "empty.json")
    kept = json.loads((stocked.folder / "empty.json").read_text(encoding="utf-8"))["verifier_key"]
    ended = subprocess.run(
        [sys.executable, "-I", ROOT / "docs" / "verify_receipt.py", "empty.json", "--key", kept],
        cwd=stocked.folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert "没有测算记录" in ended.stdout
    for wrong in (["--position", "999"], ["--position", "1", "--known-at", "2024-04-10T00:00:00Z"]):
        code = 1 if len(wrong) == 2 else 2
        stocked.run("audit", "receipt", JIA, "2024H1", *wrong, code=code)


@on_one_database
def test_a_receipt_of_nothing_is_refused(stocked: Desk) -> None:
    assert "没有登记过数据" in stocked.run("audit", "receipt", JIA, "2024H2", code=1).output
    stocked.run("audit", "receipt", "123", "2024H1", code=2)
    stocked.run("audit", "receipt", JIA, "2024H3", code=2)


@only_on_sqlite
def test_a_log_with_a_gap_is_told_without_a_traceback(stocked: Desk, database: Database) -> None:
    engine = open_engine(database.url)
    with write_transaction(engine) as connection:
        connection.execute(delete(events).where(events.c.position == 4))
    engine.dispose()
    result = subprocess.run(
        [sys.executable, "-c", "from app.cli import main; main()", "audit", "checkpoint"],
        cwd=stocked.folder,
        env={"PYTHONPATH": str(ROOT), "PYTHONUTF8": "1", "DUIXIAN_DATABASE_URL": database.url},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert result.returncode == 1
    assert result.stderr == (
        "台账数据前后不符，本次未完成。请保留数据库现状并报告。"
        "详情：台账缺少序号4的记录，其后至序号4。请运行duixian audit verify核验，从备份恢复\n"
    )
