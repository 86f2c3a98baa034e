"""Files that cannot be read are named, and later ones are imported."""

import json
import os
from pathlib import Path

import pytest

from app.ledger.ledger import Ledger
from tests.cli.test_commands import BING, E204_1, JIA, Desk, trade
from tests.databases import Database
from tests.importing.files import number_of_facts
from tests.ingest import hostile
from tests.ledger.history import publish_whole


@pytest.fixture
def desk(tmp_path: Path, database: Database, monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DUIXIAN_DATABASE_URL", database.url)
    return Desk(tmp_path)


def test_what_cannot_be_read_is_named_and_the_next_file_is_begun(desk: Desk, ledger: Ledger) -> None:
    publish_whole(ledger)
    bomb = hostile.write_changed(
        desk.folder / "2024年5月.xlsx", hostile.CHANGES["a cell that contradicts its row"]
    )
    lock = desk.folder / "~$2024年3月.xlsx"
    lock.write_bytes(b"\x05clerk")
    pipe = desk.folder / "管道.csv"
    os.mkfifo(pipe)
    march = desk.csv("2024年3月.csv", E204_1, trade(JIA, "123456", "100000"))
    april = desk.csv("2024年4月.csv", E204_1, trade(BING, "123456", "100000"))
    files = [bomb, desk.folder / "没有.csv", march, lock, pipe, desk.folder, Path("/dev/zero"), april]
    result = desk.run("import", *files, "--unit", "千元", code=1)
    for path in (bomb, files[1], lock, pipe, desk.folder, Path("/dev/zero")):
        assert f"{path.name} [审核错误] file-" in result.stderr
    assert "此前已完成的文件：2024年3月.csv、2024年4月.csv" in result.stderr
    assert "未处理" not in result.stderr
    assert number_of_facts(ledger) == 2


def test_what_cannot_be_read_is_refused_in_the_data_too(desk: Desk, ledger: Ledger) -> None:
    publish_whole(ledger)
    march = desk.csv("2024年3月.csv", E204_1, trade(JIA, "123456", "100000"))
    result = desk.run("import", desk.folder, march, "--unit", "千元", "--json", code=1)
    refused, done = json.loads(result.stdout)
    assert (refused["state"], [line["code"] for line in refused["lines"]]) == ("refused", ["file-unreadable"])
    assert (done["state"], done["answer"]["filed"]) == ("done", 1)
    assert number_of_facts(ledger) == 1
