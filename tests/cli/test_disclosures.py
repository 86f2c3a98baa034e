"""The command line has a name, and what it shows or writes of single units is recorded before."""

import getpass
import inspect
import os
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from app.cli import command
from app.cli.command import MAY_SHOW_FIGURES
from app.cli.commands import app
from app.cli.common import UNFINISHED, describe_cause
from app.runtime.limits import DISCLOSURES_KEPT_DAYS
from app.security.disclosures import DisclosureError, open_disclosures
from app.security.tables import disclosures
from app.transparency.audit_key import make_audit_key
from app.use_cases.policies.loader import YINGKOU_2024_14
from tests.cli.test_commands import E204_1, JIA, Desk, trade
from tests.command_line import COMMANDS
from tests.databases import Database, on_one_database

NAME = "张三"


@pytest.fixture
def desk(tmp_path: Path, database: Database, monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DUIXIAN_DATABASE_URL", database.url)
    monkeypatch.setenv("LOGNAME", "zhangsan")
    make_audit_key(tmp_path / "data" / "audit.key", "duixian.example/log")
    return Desk(tmp_path)


def entries(desk: Desk, *words: str) -> list[dict[str, Any]]:
    """What is recorded, the oldest first."""
    found: list[dict[str, Any]] = desk.json("audit", "disclosures", *words)
    return found[::-1]


def test_every_command_is_marked_and_takes_a_name() -> None:
    assert len(COMMANDS) > 20
    for path, registered in COMMANDS.items():
        assert inspect.unwrap(registered.callback) in MAY_SHOW_FIGURES, path
        assert "--as" in {option for param in registered.params for option in param.opts}, path


def test_a_command_that_is_not_marked_cannot_be_added() -> None:
    def unmarked() -> None:
        pass

    with pytest.raises(KeyError):
        command.Commands().command("unmarked")(unmarked)


def test_a_command_that_does_not_say_what_it_shows_does_not_end_well() -> None:
    group = command.Commands()

    def forgetful() -> None:
        pass

    group.command("forgetful")(command.shows_figures(forgetful))
    result = CliRunner().invoke(group, [])
    assert isinstance(result.exception, RuntimeError)
    assert result.exit_code == 1


def shown(desk: Desk) -> dict[str, tuple[str, ...]]:
    """By its name, a command that shows figures, or writes them to a file."""
    again = desk.csv("2024年3月.csv", E204_1, trade(JIA, "123456", "100000"))
    return {
        "import": ("import", str(again), "--unit", "千元", "--dry-run"),
        "entitlement": ("entitlement", JIA, "2024H1", "--explain"),
        "returns": ("returns", JIA, "2024"),
        "events": ("events", "--uscc", JIA),
        "audit inclusion": ("audit", "inclusion", "2"),
        "audit receipt": ("audit", "receipt", JIA, "2024H1", "--out", "receipt.json"),
        "audit red-flags": ("audit", "red-flags", "2024H1", "--xlsx", "flags.xlsx"),
        "audit export": ("audit", "export", "export"),
    }


@on_one_database
def test_what_a_command_shows_or_writes_leaves_a_row_with_the_name_of_who_ran_it(desk: Desk) -> None:
    desk.run("policy", "publish", YINGKOU_2024_14, "--as", NAME)
    before = desk.csv("2023年3月.csv", E204_1, trade(JIA, "150000", "90000"))
    month = desk.csv("2024年3月.csv", E204_1, trade(JIA, "123456", "100000"))
    desk.run("import", before, month, "--unit", "千元", "--as", NAME)
    assert [(entry["route"], entry["count"]) for entry in entries(desk)] == [("duixian import", 1)]
    trials = shown(desk)
    marked = {path.partition(" ")[2] for path, command in COMMANDS.items() if _may_show(command)}
    assert trials.keys() == marked - {"audit replay"}  # A ledger whose replay is clean shows none.
    for words in trials.values():
        seen = len(entries(desk))
        desk.run(*words, "--as", NAME)
        (row,) = entries(desk)[seen:]
        route = f"duixian {' '.join(word for word in words[: 1 + (words[0] == 'audit')])}"
        assert (row["kind"], row["actor"], row["route"]) == ("figures", f"命令行：{NAME}", route)
        assert row["count"] >= 1
        assert (row["uscc"] == JIA) == (words[0] != "import" and words[:2] not in _OF_MANY), words
        assert row["key"] is None
    quiet = len(entries(desk))
    for words in (("list", "2024H1"), ("entitlement", JIA, "2024H1"), ("audit", "replay"), ("keys", "list")):
        desk.run(*words)
    assert len(entries(desk)) == quiet


_OF_MANY = {("audit", "red-flags"), ("audit", "export")}


def _may_show(found: Any) -> bool:
    return MAY_SHOW_FIGURES[inspect.unwrap(found.callback)]


@on_one_database
def test_the_name_is_that_given_else_that_of_the_login_and_stands_in_the_log(desk: Desk) -> None:
    desk.run("policy", "publish", YINGKOU_2024_14)
    month = desk.csv("2024年3月.csv", E204_1, trade(JIA, "123456", "100000"))
    desk.run("import", month, "--unit", "千元", "--as", f" {NAME} ")
    items = desk.json("events")["items"]
    assert [item["actor"] for item in items] == ["命令行：zhangsan", f"命令行：{NAME}", f"命令行：{NAME}"]


@on_one_database
@pytest.mark.parametrize("name", ["", " ", "张\x1b[31m三", "张\u202e三", "长" * 101])
def test_a_name_that_cannot_stand_in_a_line_is_wrong_usage(desk: Desk, name: str) -> None:
    desk.run("policy", "publish", YINGKOU_2024_14, "--as", name, code=2)


@on_one_database
def test_without_a_login_name_a_name_has_to_be_given(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 2**31 - 7)
    with pytest.raises((KeyError, OSError)):
        getpass.getuser()
    assert "--as" in desk.run("policy", "publish", YINGKOU_2024_14, code=1).stderr
    desk.run("list", "2024H1")
    desk.run("policy", "publish", YINGKOU_2024_14, "--as", NAME)


@on_one_database
def test_keys_are_recorded_when_they_are_made_and_revoked(desk: Desk) -> None:
    desk.run("keys", "create", "--role", "commerce", "--with-figures", "--name", "商务局", "--as", NAME)
    desk.run("keys", "create", "--role", "auditor", "--name", "商务局", "--as", NAME, code=1)
    desk.run("keys", "revoke", "商务局", "--as", "李四")
    desk.run("keys", "revoke", "商务局", "--as", "李四", code=1)
    found = [(entry["kind"], entry["actor"], entry["key"], entry["query"]) for entry in entries(desk)]
    assert found == [
        ("key-created", f"命令行：{NAME}", "商务局", "commerce(with figures)"),
        ("key-revoked", "命令行：李四", "商务局", None),
    ]


@on_one_database
def test_no_key_has_a_name_of_the_command_line(desk: Desk) -> None:
    desk.run("keys", "create", "--role", "auditor", "--name", "命令行：张三", code=2)
    assert entries(desk) == []


def test_where_it_cannot_be_recorded_nothing_is_shown_and_nothing_written(
    desk: Desk, database: Database
) -> None:
    month = desk.csv("2024年3月.csv", E204_1, trade(JIA, "123456", "100000"))
    desk.run("import", month, "--unit", "千元")
    engine = database.open()
    log_engine = open_disclosures(engine)
    with log_engine.begin() as connection:
        disclosures.drop(connection)
    for words in (("returns", JIA, "2024"), ("audit", "export", "export")):
        result = desk.runner.invoke(app, words)
        assert isinstance(result.exception, DisclosureError), words
        assert isinstance(result.exception, UNFINISHED)
        assert "查阅记录无法写入" in describe_cause(result.exception)
        assert "123456" not in result.output
    assert not (desk.folder / "export").exists()
    created = desk.runner.invoke(app, ("keys", "create", "--role", "auditor", "--name", "审计"))
    assert isinstance(created.exception, DisclosureError)
    assert desk.json("keys", "list") == []
    log_engine.dispose()
    engine.dispose()


def test_removing_old_rows_leaves_a_row_and_young_ones_are_refused(desk: Desk) -> None:
    month = desk.csv("2024年3月.csv", E204_1, trade(JIA, "123456", "100000"))
    desk.run("import", month, "--unit", "千元")
    desk.run("returns", JIA, "2024")
    refused = desk.run("audit", "remove-disclosures", "2999-01-01", "--as", NAME, code=1)
    assert str(DISCLOSURES_KEPT_DAYS) in refused.stderr
    desk.run("audit", "remove-disclosures", "2024-01-01", "--as", NAME)
    kept, removed = entries(desk)
    assert (kept["kind"], removed["kind"], removed["count"]) == ("figures", "removed", 0)
    assert (removed["actor"], removed["query"]) == (f"命令行：{NAME}", "before=2023-12-31T16:00:00Z")


def test_the_list_is_told_in_lines_and_filtered(desk: Desk) -> None:
    month = desk.csv("2024年3月.csv", E204_1, trade(JIA, "123456", "100000"))
    desk.run("import", month, "--unit", "千元")
    assert "没有查阅记录" in desk.run("audit", "disclosures").stdout
    desk.run("returns", JIA, "2024", "--as", NAME)
    desk.run("returns", JIA, "2024", "--as", "李四")
    (line,) = desk.run("audit", "disclosures", "--who", f"命令行：{NAME}").stdout.splitlines()
    who, what = f"经办：命令行：{NAME}", f"duixian returns，{JIA}，uscc={JIA} year=2024，1条"
    assert line.endswith(f"查阅单户数据，{who}，{what}")
    assert [entry["actor"] for entry in entries(desk, "--uscc", JIA)] == [f"命令行：{NAME}", "命令行：李四"]
    assert entries(desk, "--until", "2024-01-01") == entries(desk, "--since", "2999-01-01") == []
    desk.run("audit", "disclosures", "--since", "yesterday", code=2)
