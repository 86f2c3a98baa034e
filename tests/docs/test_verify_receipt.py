"""The verifier of receipts: one file, nothing of this project, and it finds whatever is altered."""

import ast
import base64
import importlib.util
import json
import subprocess
import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.answers.proofs import receipt_answer
from app.ledger.ledger import Ledger
from app.runtime.database import read_transaction
from app.transparency.merkle import inclusion_proof, root
from app.transparency.notes import NoteError, Signer, read_checkpoint
from app.transparency.sealing import seal
from app.use_cases.audit.receipts import write_receipt
from app.use_cases.upkeep.projecting import project_all
from tests.builders import edited, loaded, text_with_limits
from tests.databases import Database, on_one_database, only_on_sqlite
from tests.docs.codes import ROOT
from tests.golden.golden import read_golden, restore
from tests.ledger.history import catering, code, file, opened_copy, policy, publish_whole, trade, withdraw
from tests.ledger.trees import InMemory
from tests.office import TestClock

SCRIPT = ROOT / "docs" / "verify_receipt.py"
SIGNER = Signer("duixian.example/log", bytes(range(32)))
KEY = SIGNER.verifier.text
USCC = code(1)
POLICY = "yingkou-2024-14"
Limits = tuple[tuple[str, int], ...]


def receipt_of(ledger: Ledger) -> bytes:
    """A real receipt: corrections, a withdrawal, two versions of the policy, others in between."""
    file(ledger, trade(USCC, "2024-03", 120_000, 100_000), trade(code(2), "2024-03", 120_000, 100_000))
    publish_whole(ledger)
    file(ledger, catering(USCC, "2024-04", 4_000, 2_000), trade(USCC, "2024-08", 120_000, 100_000))
    file(ledger, trade(USCC, "2024-03", 150_000, 100_000, reason="企业改报"))
    file(ledger, trade(code(2), "2024-05", 120_000, 100_000), trade(USCC, "2024-05", 120_000, 100_000))
    withdraw(ledger, USCC, "2024-05", "E204-1")
    publish_whole(ledger, policy(40_000))
    seal(ledger)
    with read_transaction(ledger.engine) as connection:
        receipt = write_receipt(ledger, connection, uscc=USCC, window="2024H1")
    assert receipt is not None
    return msgspec.json.encode(receipt_answer(receipt, SIGNER).model_dump())


@pytest.fixture(scope="module")
def receipt(migrated: Database) -> bytes:
    """The receipt of a ledger that is no more."""
    with opened_copy(migrated, TestClock()) as ledger:
        return receipt_of(ledger)


@pytest.fixture(scope="module")
def verifier() -> ModuleType:
    """The script as a module."""
    spec = importlib.util.spec_from_file_location("verify_receipt", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run(path: Path, key: str = KEY) -> subprocess.CompletedProcess[str]:
    """Run the script as an auditor does: nothing of this project can be imported."""
    return subprocess.run(
        [sys.executable, "-I", SCRIPT, path, "--key", key],
        cwd=path.parent,
        env={"PYTHONUTF8": "1"},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )


def test_it_imports_the_standard_library_and_cryptography_alone() -> None:
    tree = ast.parse(SCRIPT.read_text(encoding="utf-8"))
    imported = {
        name.partition(".")[0]
        for node in ast.walk(tree)
        for name in (
            [each.name for each in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert imported - set(sys.stdlib_module_names) == {"cryptography"}


def test_a_receipt_verifies_offline_and_its_amounts_are_told(receipt: bytes, tmp_path: Path) -> None:
    path = tmp_path / "receipt.json"
    path.write_bytes(receipt)
    done = run(path)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"核验通过：{USCC} 2024年上半年" in done.stdout
    # March: 5 whole steps of 40,000 yuan; April: 20,000 yuan and as much again for the tail; May withdrawn.
    assert "2024年3月：20万元，其中依据待明确口径20万元" in done.stdout
    assert "2024年4月：4万元，其中依据待明确口径2万元" in done.stdout
    assert "合计24万元" in done.stdout
    assert "2024年5月" not in done.stdout


EXTENSIONS = ("an extension\n", "one\ntwo 3\n")


@only_on_sqlite
@pytest.mark.parametrize("more", [*EXTENSIONS, "\nafter an empty line\n", "no end"])
def test_lines_that_extend_a_checkpoint_are_taken_here_as_by_the_software(
    receipt: bytes, verifier: ModuleType, more: str
) -> None:
    given = json.loads(receipt)
    given["checkpoint"] = SIGNER.sign(SIGNER.verifier.verified(given["checkpoint"]) + more)
    for verify, refusal in (
        (lambda: verifier.verify(json.dumps(given).encode(), KEY), verifier.NotVerifiedError),
        (lambda: read_checkpoint(given["checkpoint"], SIGNER.verifier), NoteError),
    ):
        with nullcontext() if more in EXTENSIONS else pytest.raises(refusal):
            verify()


@on_one_database
def test_another_key_than_the_one_that_was_kept_is_refused(receipt: bytes, tmp_path: Path) -> None:
    path = tmp_path / "receipt.json"
    forger = Signer("duixian.example/log", bytes(32)).verifier.text
    path.write_bytes(receipt)
    assert run(path, forger).returncode == 1
    path.write_bytes(receipt.replace(KEY.encode(), forger.encode()))
    done = run(path, forger)
    assert done.returncode == 1
    assert "核验未通过：校验点没有该公钥的签名" in done.stderr


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"[" * 100_000, b'{"a":1,"a":2}', b"\xff"])
def test_what_is_no_receipt_is_refused_without_a_traceback(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "receipt.json"
    path.write_bytes(content)
    done = run(path)
    assert done.returncode == 1
    assert done.stderr.startswith("核验未通过：")
    assert len(done.stderr.splitlines()) == 1


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    assert run(tmp_path / "none.json").returncode == 1


@only_on_sqlite
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_receipt_with_any_byte_altered_is_found(
    receipt: bytes, verifier: ModuleType, data: st.DataObject
) -> None:
    at = data.draw(st.integers(0, len(receipt) - 1))
    other = data.draw(st.integers(0, 255).filter(lambda each: each != receipt[at]))
    altered = receipt[:at] + bytes([other]) + receipt[at + 1 :]
    try:
        verifier.verify(altered, KEY)
    except verifier.NotVerifiedError:
        return
    assert json.loads(altered) == json.loads(receipt), "another text of the same value is no alteration"


def leaf(event: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(event["leaf"])
    return found


def without(place: Callable[[dict[str, Any]], bool]) -> Callable[[dict[str, Any]], None]:
    """Leave out the first event like this."""

    def change(receipt: dict[str, Any]) -> None:
        receipt["events"].remove(next(each for each in receipt["events"] if place(leaf(each))))

    return change


def end_with_the_first_version(receipt: dict[str, Any]) -> None:
    """Leave out all that became of the policy after its first version was assessed."""
    kept = [
        each
        for each in receipt["events"]
        if not leaf(each)["stream"].startswith("policy/") or leaf(each)["version"] <= 2
    ]
    assert [leaf(each)["type"] for each in kept if "policy/" in leaf(each)["stream"]] == [
        "PolicyPublished",
        "PolicyAssessed",
    ]
    receipt["events"] = kept


def add_to_sum(receipt: dict[str, Any]) -> None:
    receipt["accounts"][0]["assessed_fen"] += 1


def add_to_period(receipt: dict[str, Any]) -> None:
    add_to_sum(receipt)
    receipt["accounts"][0]["periods"][0]["assessed_fen"] += 1


def drop_period(receipt: dict[str, Any]) -> None:
    dropped = receipt["accounts"][0]["periods"].pop()
    receipt["accounts"][0]["assessed_fen"] -= dropped["assessed_fen"]


def drop_account(receipt: dict[str, Any]) -> None:
    receipt["accounts"] = []


def repeat_account(receipt: dict[str, Any]) -> None:
    receipt["accounts"] *= 2


def swap_proofs(receipt: dict[str, Any]) -> None:
    first, second = receipt["events"][:2]
    first["proof"], second["proof"] = second["proof"], first["proof"]


def repeat_event(receipt: dict[str, Any]) -> None:
    receipt["events"].append(receipt["events"][0])


def another_window(receipt: dict[str, Any]) -> None:
    receipt["window"] = "2024H2"


def another_enterprise(receipt: dict[str, Any]) -> None:
    receipt["uscc"] = code(2)


def a_further_field(receipt: dict[str, Any]) -> None:
    receipt["approved_fen"] = 1


@only_on_sqlite
@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            without(lambda event: event["stream"].startswith("returns/") and event["version"] == 2),
            "版本不连续",
        ),
        (without(lambda event: event["stream"].startswith("entitlement/")), "版本不连续"),
        (without(lambda event: event["type"] == "PolicyPublished"), "版本不连续"),
        (without(lambda event: event["type"] == "PolicyAssessed"), "版本不连续"),
        (end_with_the_first_version, "政策文件"),
        (add_to_sum, "合计金额"),
        (add_to_period, "各期金额"),
        (drop_period, "各期金额"),
        (drop_account, "记录序列与该企业"),
        (repeat_account, "记录序列与该企业"),
        (swap_proofs, "不在校验点内"),
        (repeat_event, "版本不连续"),
        (another_window, "记录序列与该企业"),
        (another_enterprise, "记录序列与该企业"),
        (a_further_field, "approved_fen"),
    ],
)
def test_what_was_left_out_or_added_is_found_and_named(
    receipt: bytes, verifier: ModuleType, change: Callable[[dict[str, Any]], None], told: str
) -> None:
    altered = json.loads(receipt)
    change(altered)
    with pytest.raises(verifier.NotVerifiedError, match=told):
        verifier.verify(json.dumps(altered).encode(), KEY)


ASSESSED = "EntitlementAssessed.2"


def altered_leaf(kind: str, old: str, new: str) -> Callable[[dict[str, Any]], None]:
    """Change the text of the last event of a type."""

    def change(receipt: dict[str, Any]) -> None:
        event = [each for each in receipt["events"] if leaf(each)["type"] == kind][-1]
        assert old in event["leaf"]
        event["leaf"] = event["leaf"].replace(old, new)

    return change


def written(ledger: Ledger, uscc: str, window: str) -> bytes:
    """The receipt of a window, of all that is sealed now."""
    seal(ledger)
    with read_transaction(ledger.engine) as connection:
        receipt = write_receipt(ledger, connection, uscc=uscc, window=window)
    assert receipt is not None
    return msgspec.json.encode(receipt_answer(receipt, SIGNER).model_dump())


@pytest.mark.parametrize(
    ("limits", "window", "expected"),
    [
        ((("month", 500_000), ("quarter", 600_000)), "2024Q1", ("2024年第一季度", "合计60万元")),
        ((("year", 900_000),), "2024", ("2024年", "合计90万元")),
        ((("month", 500_000), ("policy", 1_200_000)), "2024~2025", ("2024—2025年", "合计120万元")),
    ],
)
def test_the_receipt_of_a_window_of_any_length_verifies(
    ledger: Ledger, verifier: ModuleType, limits: Limits, window: str, expected: tuple[str, str]
) -> None:
    text = edited(text_with_limits(*limits, policy_id="other-limits"), ('last: "2024-12"', 'last: "2025-06"'))
    for period in ("2024-01~02", "2024-03", "2025-03"):
        file(ledger, trade(USCC, period, 200_000, 100_000))
    publish_whole(ledger, loaded(text))
    lines = verifier.verify(written(ledger, USCC, window), KEY)
    name, total = expected
    assert lines[0] == f"核验通过：{USCC} {name}"
    assert total in "".join(lines)


def test_the_receipt_of_assessments_of_earlier_days_verifies(ledger: Ledger, verifier: ModuleType) -> None:
    restore(ledger, read_golden())
    project_all(ledger)
    content = written(ledger, code(1), "2024H1")
    assert verifier.verify(content, KEY)[0] == f"核验通过：{code(1)} 2024年上半年"
    altered = json.loads(content)
    for event in altered["events"]:
        event["leaf"] = event["leaf"].replace('"E204-1","version":', '"S204-1","version":')
    with pytest.raises(verifier.NotVerifiedError, match="所用数据"):
        verifier.verify(json.dumps(signed_anew(altered)).encode(), KEY)


def signed_anew(receipt: dict[str, Any]) -> dict[str, Any]:
    """The receipt as the holder of the key could sign it after a change of events: proofs and root fit."""
    by_position = {leaf(each)["position"]: each for each in receipt["events"]}
    size = max(by_position)
    tree = InMemory([by_position.get(at, {"leaf": ""})["leaf"].encode() for at in range(1, size + 1)])
    for position, event in by_position.items():
        proof = inclusion_proof(tree, index=position - 1, size=size)
        event["proof"] = [base64.b64encode(each).decode() for each in proof]
    return {**receipt, "checkpoint": SIGNER.sign_checkpoint(size=size, root=root(tree, size))}


@only_on_sqlite
@pytest.mark.parametrize(
    ("change", "told"),
    [
        (altered_leaf("PolicyPublished", "营口市人民政府", "营口市政府"), "与其指纹不符"),
        (altered_leaf("PolicyPublished", '"version":2,"sha256"', '"version":3,"sha256"'), "与其指纹不符"),
        (altered_leaf("PolicyAssessed", '"version":2}', '"version":1}'), "不是当时的最新版本"),
        (altered_leaf("PolicyAssessed", f'"{POLICY}"', '"another"'), "不是当时的最新版本"),
        (altered_leaf(ASSESSED, '"sha256":"', '"sha256":"0'), "所引政策文件"),
        (altered_leaf(ASSESSED, f'"id":"{POLICY}"', '"id":"another"'), "所引政策文件"),
        (
            altered_leaf(ASSESSED, '/2024","version":', '/2024","version":9'),
            "所用数据",
        ),
        (altered_leaf(ASSESSED, '"period":"2024-03"', '"period":"2024-09"'), "不是该期间"),
        (altered_leaf(ASSESSED, '"period":"2024-03"', '"period":"2024-06"'), "所用数据"),
        (altered_leaf(ASSESSED, '"assessed_fen":', '"assessed_fen":1'), "各期金额"),
        (altered_leaf(ASSESSED, '"data":{', '"data":{"period":1,'), "有效的JSON"),
        (altered_leaf("ReturnFiled", '"actor":"statistics"', '"actor":null'), "actor"),
    ],
)
def test_even_who_holds_the_key_cannot_sign_events_that_contradict_each_other(
    receipt: bytes, verifier: ModuleType, change: Callable[[dict[str, Any]], None], told: str
) -> None:
    altered = json.loads(receipt)
    assert verifier.verify(json.dumps(signed_anew(altered)).encode(), KEY)
    change(altered)
    with pytest.raises(verifier.NotVerifiedError, match=told):
        verifier.verify(json.dumps(signed_anew(altered)).encode(), KEY)
