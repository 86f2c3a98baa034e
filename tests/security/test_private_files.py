"""Files with figures or keys can be read only by their owner, whatever the umask."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.bootstrap import migrate
from app.demo.cases import SPECIAL
from app.demo.sample import write_sample
from app.runtime.database import open_engine, write_transaction
from app.runtime.private_files import make_private_folder, open_private
from app.transparency.audit_key import make_audit_key
from tests.cli.test_commands import E204_1, JIA, Desk, desk, trade
from tests.databases import only_on_sqlite

__all__ = ["desk"]


@pytest.fixture(params=[0o000, 0o022, 0o277], ids=oct)
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def modes(folder: Path) -> dict[str, int]:
    """The permissions of a folder and of everything in it."""
    return {
        str(path.relative_to(folder.parent)): path.stat().st_mode & 0o777
        for path in [folder, *folder.rglob("*")]
    }


@pytest.mark.usefixtures("umask")
def test_a_new_database_its_logs_and_the_folders_above_it_are_its_owners_alone(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 'new' / 'data' / 'ledger.db'}")
    migrate(engine)
    with write_transaction(engine) as connection:
        connection.exec_driver_sql("DELETE FROM log_seal")
        permissions = modes(tmp_path / "new")
    engine.dispose()
    assert permissions == {
        "new": 0o700,
        "new/data": 0o700,
        **{f"new/data/ledger.db{suffix}": 0o600 for suffix in ("", "-wal", "-shm", "-disclosures", "-gate")},
    }


@pytest.mark.usefixtures("umask")
def test_a_key_and_its_folder_are_their_owners_alone(tmp_path: Path) -> None:
    make_audit_key(tmp_path / "keys" / "audit.key", "duixian.example/log")
    assert modes(tmp_path / "keys") == {"keys": 0o700, "keys/audit.key": 0o600}


def test_the_samples_are_their_owners_alone(tmp_path: Path) -> None:
    write_sample(tmp_path / "sample", enterprises=len(SPECIAL))
    (folder, *files) = modes(tmp_path / "sample").values()
    assert folder == 0o700
    assert set(files) == {0o600}


@only_on_sqlite
def test_sheets_receipts_and_exports_are_their_owners_alone(desk: Desk) -> None:
    before = os.umask(0o000)
    try:
        make_audit_key(desk.folder / "data" / "audit.key", "duixian.example/log")
        month = desk.csv("2024年3月.csv", E204_1, trade(JIA, "123456", "100000"))
        desk.run("import", month, "--unit", "千元", "--problems", "problems.xlsx")
        desk.run("audit", "receipt", JIA, "2024H1", "--out", "receipt.json")
        desk.run("audit", "checkpoint", "--out", "checkpoint")
        desk.run("audit", "red-flags", "2024H1", "--xlsx", "flags.xlsx")
        desk.run("audit", "differences", "0", "1", "--xlsx", "differences.xlsx")
        desk.run("audit", "export", "export")
    finally:
        os.umask(before)
    for name in ("problems.xlsx", "receipt.json", "checkpoint", "flags.xlsx", "differences.xlsx"):
        assert (desk.folder / name).stat().st_mode & 0o777 == 0o600, name
    permissions = modes(desk.folder / "export")
    assert {name: mode for name, mode in permissions.items() if mode not in {0o600, 0o700}} == {}


def test_a_file_that_is_there_keeps_the_permissions_that_its_owner_gave_it(tmp_path: Path) -> None:
    path = tmp_path / "sheet.xlsx"
    path.write_bytes(b"long before")
    path.chmod(0o640)
    with open_private(path) as file:
        file.write(b"now")
    assert (path.stat().st_mode & 0o777, path.read_bytes()) == (0o640, b"now")
    with pytest.raises(FileExistsError):
        open_private(path, "x")


def test_a_folder_is_made_once_and_a_file_in_its_place_is_refused(tmp_path: Path) -> None:
    make_private_folder(tmp_path / "a" / "b")
    make_private_folder(tmp_path / "a" / "b")
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        make_private_folder(tmp_path / "file")
