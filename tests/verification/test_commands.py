"""Exporting, verifying and restoring by the commands of operators and auditors."""

import pytest

from app.ledger.ledger import Ledger
from tests.cli.test_commands import Desk, desk
from tests.databases import Database, on_one_database
from tests.verification.alterations import alter, seal_again, setting, truncating

__all__ = ["desk"]  # pytest finds an imported fixture by its name.

EVENTS = 45
WITH_SEAL = EVENTS + 1
"""The number of events with the record of the seal."""


@pytest.fixture
def key(desk: Desk) -> str:
    """The verifier key that an auditor keeps, and a checkpoint in `kept`."""
    verifier_key = desk.run("audit", "key", "--name", "duixian.example/log").stdout.strip()
    desk.run("project", "--once")  # This adds a record of the seal.
    desk.run("audit", "checkpoint", "--out", "kept")
    return verifier_key


def test_a_ledger_is_exported_verified_and_restored(
    desk: Desk, key: str, migrated: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert f"台账序号1至{WITH_SEAL}" in desk.run("audit", "export", "out").stdout
    verified = desk.run("audit", "verify", "out", "--key", key, "--checkpoint", "kept").stdout
    assert f"含{WITH_SEAL}条记录，签名有效，依据给出的验证公钥" in verified
    assert "结论：未发现问题。" in verified
    before = desk.json("list", "2024H1")
    assert "数据库中已有台账记录" in desk.run("audit", "restore", "out", code=1).output

    empty = migrated.copy()
    monkeypatch.setenv("DUIXIAN_DATABASE_URL", empty.url)
    restored = desk.json("audit", "restore", "out", "--key", key)
    assert restored == {"size": WITH_SEAL, "root": desk.json("audit", "verify", "out")["root"]}
    assert desk.json("list", "2024H1") == before
    assert desk.json("audit", "verify", "--checkpoint", "kept", "--key", key)["clean"]
    empty.drop()


@on_one_database
def test_an_export_without_a_key_says_so_and_one_that_ends_earlier_says_where(desk: Desk) -> None:
    assert "duixian audit key" in desk.run("audit", "export", "out").stdout
    manifest = desk.json("audit", "export", "packed", "--gzip", "--until", "20")
    assert (manifest["size"], manifest["checkpoint"]) == (9, None)
    assert (desk.folder / "packed" / "events.ndjson.gz").exists()


@on_one_database
def test_an_export_that_is_not_possible_is_refused_with_a_reason(desk: Desk, ledger: Ledger) -> None:
    desk.run("audit", "export", "out")
    assert "已存在" in desk.run("audit", "export", "out", code=1).output
    assert (
        f"最后的序号是{WITH_SEAL}"
        in desk.run("audit", "export", "more", "--until", str(WITH_SEAL + 1), code=1).output
    )
    assert "无法写入" in desk.run("audit", "export", "nowhere/out", code=1).output
    alter(ledger, setting(23, actor="另一人"))
    assert "duixian audit verify" in desk.run("audit", "export", "altered", code=1).output
    assert sorted(path.name for path in desk.folder.iterdir()) == ["out"]


@on_one_database
def test_an_alteration_is_reported_with_its_position_and_code(desk: Desk, ledger: Ledger) -> None:
    alter(ledger, setting(23, actor="另一人"))
    result = desk.run("audit", "verify", code=1)
    assert "leaf-differs 记录与封存时的指纹一致：1处不符" in result.stderr
    assert "序号23的记录与封存时的记录指纹不符" in result.stderr
    assert "结论：发现问题" in result.stdout
    report = desk.run("audit", "verify", "--json", code=1).stdout
    assert '"code": "leaf-differs"' in report


@on_one_database
def test_a_cut_end_is_found_by_the_checkpoint_that_was_kept(desk: Desk, key: str, ledger: Ledger) -> None:
    alter(ledger, truncating(41))
    seal_again(ledger)
    assert "未与审计人员留存的日志校验点比对" in desk.run("audit", "verify").stdout
    result = desk.run("audit", "verify", "--checkpoint", "kept", "--key", key, code=1)
    assert "留存的日志校验点含46条记录，现有41条，缺少5条" in result.stderr
    desk.run("audit", "export", "out")  # The export records the seal again.
    assert "缺少4条" in desk.run("audit", "verify", "out", "--checkpoint", "kept", code=1).stderr


@on_one_database
@pytest.mark.usefixtures("key")
def test_the_report_says_that_the_operators_own_key_is_no_substitute(desk: Desk) -> None:
    result = desk.run("audit", "verify", "--checkpoint", "kept").stdout
    assert "运行方自己的公钥（不能代替审计人员留存的公钥）" in result


@on_one_database
def test_a_kept_checkpoint_of_another_key_is_a_finding(desk: Desk, key: str) -> None:
    (desk.folder / "data" / "audit.key").unlink()
    desk.run("audit", "key", "--name", "duixian.example/log")
    assert "signature-invalid" in desk.run("audit", "verify", "--checkpoint", "kept", code=1).stderr
    desk.run("audit", "verify", "--checkpoint", "kept", "--key", key)


@on_one_database
@pytest.mark.parametrize(
    "words",
    [
        ("audit", "verify", "--key", "x"),
        ("audit", "verify", "--key", "{key}"),
        ("audit", "verify", "nowhere"),
        ("audit", "verify", "kept"),
        ("audit", "verify", "--checkpoint", "nowhere"),
        ("audit", "verify", "--checkpoint", "binary"),
        ("audit", "restore", "nowhere"),
        ("audit", "export", "out", "--until", "-1"),
        ("audit", "export"),
    ],
    ids=" ".join,
)
def test_wrong_usage_ends_with_two(desk: Desk, key: str, words: tuple[str, ...]) -> None:
    (desk.folder / "binary").write_bytes(b"\xff\xfe")
    desk.run(*(word.format(key=key) for word in words), code=2)


@on_one_database
def test_an_altered_export_is_not_restored(
    desk: Desk, migrated: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.run("audit", "export", "out")
    path = desk.folder / "out" / "events.ndjson"
    path.write_bytes(path.read_bytes().replace("甲商贸".encode(), "乙商贸".encode(), 1))
    empty = migrated.copy()
    monkeypatch.setenv("DUIXIAN_DATABASE_URL", empty.url)
    refused = desk.run("audit", "restore", "out", code=1)
    assert "root-differs" in refused.stderr
    assert "未恢复" in refused.stderr
    assert desk.json("list", "2024H1")["total"] == 0
    empty.drop()


@on_one_database
def test_an_incomplete_verification_does_not_report_success(desk: Desk) -> None:
    desk.run("audit", "export", "out")
    (desk.folder / "out" / "manifest.json").write_text("{}", encoding="utf-8")
    result = desk.run("audit", "verify", "out", code=1)
    assert "manifest-differs" in result.stderr
    assert "核验无误" not in result.stdout
    assert "结论：发现问题" in result.stdout
