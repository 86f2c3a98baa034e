"""New files and folders appear complete or not at all; the next writer removes what a killed one left."""

import multiprocessing
import os
import signal
import stat
from functools import partial
from pathlib import Path

import pytest

from app.runtime.new_files import check_writable, new_file, partial_folder, temporary_folder
from app.transparency.audit_key import make_audit_key


def write(target: Path, text: str = "new") -> None:
    with new_file(target) as path:
        path.write_text(text, encoding="utf-8")


def write_half(target: Path) -> None:
    with new_file(target) as path:
        path.write_text("half", encoding="utf-8")
        raise ZeroDivisionError


def write_and_die(target: Path) -> None:
    with new_file(target) as path:
        path.write_text("half", encoding="utf-8")
        os.kill(os.getpid(), signal.SIGKILL)


def leave(target: Path) -> Path:
    """The folder that a killed writer leaves."""
    before = set(target.parent.iterdir())
    process = multiprocessing.get_context("spawn").Process(target=partial(write_and_die, target))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    (left,) = set(target.parent.iterdir()) - before
    return left


def test_the_leftover_of_a_killed_writer_is_private_and_the_next_writer_removes_it(tmp_path: Path) -> None:
    target = tmp_path / "清单.xlsx"
    left = leave(target)
    assert stat.S_IMODE(left.stat().st_mode) == 0o700
    others = [tmp_path / ".清单.xlsx-0123456.partial", tmp_path / ".别的-01234567.partial"]
    for folder in others:
        folder.mkdir()
    write(target)
    assert sorted(tmp_path.iterdir()) == sorted([target, *others])
    assert target.read_text(encoding="utf-8") == "new"


def test_the_folder_of_a_running_writer_is_not_removed(tmp_path: Path) -> None:
    target = tmp_path / "a.json"
    with new_file(target) as first:
        first.write_text("first", encoding="utf-8")
        write(target, "second")
        assert target.read_text(encoding="utf-8") == "second"
    assert target.read_text(encoding="utf-8") == "first"
    assert list(tmp_path.iterdir()) == [target]


def test_a_leftover_that_cannot_be_removed_is_named_with_advice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "a.json"
    left = leave(target)

    def without_locks(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr("fcntl.flock", without_locks)
    with pytest.raises(OSError, match="手工删除") as caught:
        write(target)
    assert str(left) in str(caught.value.strerror)
    left_alone = list(left.iterdir())
    assert [path.name for path in left_alone] == ["a.json"]


def test_an_error_while_writing_keeps_the_existing_file(tmp_path: Path) -> None:
    target = tmp_path / "a.json"
    write(target, "old")
    with pytest.raises(ZeroDivisionError):
        write_half(target)
    assert list(tmp_path.iterdir()) == [target]
    assert target.read_text(encoding="utf-8") == "old"


def test_a_new_file_is_private_and_a_replaced_one_keeps_its_permissions(tmp_path: Path) -> None:
    target, shared = tmp_path / "a.json", tmp_path / "b.json"
    shared.write_text("old", encoding="utf-8")
    shared.chmod(0o640)
    for path in (target, shared):
        write(path)
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert stat.S_IMODE(shared.stat().st_mode) == 0o640


def test_a_link_stays_and_the_file_behind_it_is_replaced(tmp_path: Path) -> None:
    target, link = tmp_path / "a.json", tmp_path / "link.json"
    link.symlink_to(target)
    write(link)
    assert link.is_symlink()
    assert target.read_text(encoding="utf-8") == "new"


def test_a_pipe_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reading = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    write(pipe)
    assert os.read(reading, 10) == b"new"
    os.close(reading)
    assert pipe.is_fifo()


def test_a_target_that_cannot_be_written_is_refused_before_any_work(tmp_path: Path) -> None:
    for target, error in ((tmp_path, IsADirectoryError), (tmp_path / "no" / "a.xlsx", FileNotFoundError)):
        with pytest.raises(error):
            check_writable(target)
    check_writable(tmp_path / "a.xlsx")
    assert list(tmp_path.iterdir()) == []


def test_the_next_work_removes_a_temporary_folder_that_was_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    leave(tmp_path / "duixian-replay")
    with temporary_folder("duixian-replay") as folder:
        assert list(tmp_path.iterdir()) == [folder]
    assert list(tmp_path.iterdir()) == []


def test_a_renamed_folder_stays(tmp_path: Path) -> None:
    with partial_folder(tmp_path / "out") as folder:
        (folder / "a").touch()
        folder.rename(tmp_path / "out")
    assert [path.name for path in tmp_path.rglob("*")] == ["out", "a"]


def test_an_existing_key_is_not_replaced_and_an_incomplete_one_is_none(tmp_path: Path) -> None:
    path = tmp_path / "audit.key"
    leave(path)
    make_audit_key(path, "duixian.example/log")
    kept = path.read_bytes()
    with pytest.raises(FileExistsError):
        make_audit_key(path, "duixian.example/log")
    assert path.read_bytes() == kept
    assert list(tmp_path.iterdir()) == [path]
