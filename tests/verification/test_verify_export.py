"""An export that was altered anywhere is found altered with a kept key or checkpoint."""

import base64
import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.archive.export_folder import ExportFolder
from app.cli.verifying import VerificationReport, verify_folder
from app.ledger.ledger import Ledger
from app.ledger.lines import canonical, parse
from app.runtime.limits import EXPORT_LINE_MAX_BYTES, MANIFEST_MAX_BYTES
from app.transparency.notes import Signer, Verifier
from app.use_cases.audit.findings import Findings
from app.use_cases.audit.verifying import verify_export
from tests.databases import Database, only_on_sqlite
from tests.verification.exports import SIGNER, export

EVENTS = 45
OTHER = Signer(SIGNER.verifier.name, bytes(range(1, 33)))

pytestmark = only_on_sqlite


@pytest.fixture(scope="module")
def exported(played: Database, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Exports that no test alters: uncompressed, packed, earlier and unsigned."""
    copied = played.copy()
    ledger = Ledger(copied.open())
    folder = tmp_path_factory.mktemp("exports")
    export(ledger, folder / "plain")
    export(ledger, folder / "packed", packed=True)
    export(ledger, folder / "earlier", until=21)
    export(ledger, folder / "unsigned", signing=None)
    ledger.engine.dispose()
    copied.drop()
    return folder


@pytest.fixture
def folder(exported: Path, tmp_path: Path) -> Iterator[Path]:
    """A copy of the uncompressed export, to alter."""
    yield shutil.copytree(exported / "plain", tmp_path / "copy")
    shutil.rmtree(tmp_path / "copy")


def verify(
    folder: Path, verifier: Verifier | None = SIGNER.verifier, kept: str | None = None
) -> VerificationReport:
    return verify_folder(folder, verifier, kept)


def codes(report: VerificationReport) -> set[str]:
    found = {check.code for check in report.checks if check.count}
    assert report.clean == (not found)
    return found


def change_manifest(folder: Path, change: Callable[[Any], object]) -> None:
    path = folder / "manifest.json"
    manifest = json.loads(path.read_bytes())
    change(manifest)
    path.write_text(json.dumps(manifest), encoding="utf-8")


def update_sums(folder: Path) -> None:
    """Update the manifest with the current hashes of the files."""

    def change(manifest: Any) -> None:
        for name in manifest["files"]:
            manifest["files"][name] = hashlib.sha256((folder / name).read_bytes()).hexdigest()

    change_manifest(folder, change)


@pytest.mark.parametrize("name", ["plain", "packed", "earlier"])
def test_an_unaltered_export_is_clean(exported: Path, name: str) -> None:
    report = verify(exported / name)
    assert report.clean
    assert report.size == (21 if name == "earlier" else EVENTS)
    assert [(checkpoint.origin, checkpoint.size, checkpoint.key) for checkpoint in report.checkpoints] == [
        ("duixian.example/log", report.size, "given")
    ]


def test_without_a_key_the_one_of_the_export_is_used_and_the_report_says_whose_it_is(exported: Path) -> None:
    report = verify(exported / "plain", None)
    assert report.clean
    assert [checkpoint.key for checkpoint in report.checkpoints] == ["operator"]


def test_an_unsigned_export_is_clean_unless_a_key_is_given(exported: Path) -> None:
    assert verify(exported / "unsigned", None).clean
    assert codes(verify(exported / "unsigned")) == {"signature-invalid"}


def test_the_checkpoint_of_an_earlier_export_holds_for_a_later_one_and_not_the_other_way(
    exported: Path,
) -> None:
    earlier, later = ((exported / name / "checkpoint").read_text("utf-8") for name in ("earlier", "plain"))
    assert verify(exported / "plain", kept=earlier).clean
    assert verify(exported / "unsigned", kept=earlier).clean
    assert codes(verify(exported / "earlier", kept=later)) == {"log-shorter"}


@settings(deadline=None, max_examples=24, derandomize=True)
@given(at=st.integers(0, 100_000), flipped=st.integers(1, 255), name=st.sampled_from(["plain", "packed"]))
def test_any_byte_of_the_events_that_changes_is_found(
    exported: Path, tmp_path_factory: pytest.TempPathFactory, name: str, at: int, flipped: int
) -> None:
    folder = shutil.copytree(exported / name, tmp_path_factory.mktemp("flipped") / name)
    (path,) = folder.glob("events.*")
    written = bytearray(path.read_bytes())
    written[at % len(written)] ^= flipped
    path.write_bytes(written)
    assert "file-differs" in codes(verify(folder))
    if name == "plain":
        update_sums(folder)
        assert codes(verify(folder)) >= {"root-differs", "checkpoint-differs"}
    shutil.rmtree(folder)


@settings(deadline=None, max_examples=12, derandomize=True)
@given(
    name=st.sampled_from(["checkpoint", "README.md", "schemas/ReturnFiled.json"]),
    at=st.integers(0, 100_000),
    flipped=st.integers(1, 255),
)
def test_any_byte_of_another_file_that_changes_is_found(
    exported: Path, tmp_path_factory: pytest.TempPathFactory, name: str, at: int, flipped: int
) -> None:
    folder = shutil.copytree(exported / "plain", tmp_path_factory.mktemp("flipped") / "plain")
    written = bytearray((folder / name).read_bytes())
    written[at % len(written)] ^= flipped
    (folder / name).write_bytes(written)
    assert "file-differs" in codes(verify(folder))
    shutil.rmtree(folder)


def _without_checkpoint(manifest: Any) -> None:
    manifest["checkpoint"] = None
    del manifest["files"]["checkpoint"]


MANIFESTS: dict[str, tuple[Callable[[Any], object], set[str]]] = {
    "size": (lambda m: m.update(size=EVENTS - 1), {"manifest-differs", "root-differs"}),
    "a size above": (lambda m: m.update(size=EVENTS + 1), {"manifest-differs", "log-shorter"}),
    "a size below nothing": (lambda m: m.update(size=-1), {"manifest-differs"}),
    "first position": (lambda m: m.update(first_position=2), {"manifest-differs"}),
    "last position": (lambda m: m.update(last_position=44), {"manifest-differs"}),
    "root": (lambda m: m.update(root="A" * 43 + "="), {"root-differs"}),
    "a root that is none": (lambda m: m.update(root="!"), {"manifest-differs"}),
    "origin": (lambda m: m.update(origin="elsewhere.example/log"), {"manifest-differs"}),
    "types": (lambda m: m["event_types"].update(ReturnFiled=1), {"manifest-differs"}),
    "a publication": (lambda m: m["publications"].pop(), {"manifest-differs"}),
    "where a publication is": (
        lambda m: m["publications"][0].update(position=7),
        {"manifest-differs"},
    ),
    "a sum": (lambda m: m["files"].update({"README.md": "0" * 64}), {"file-differs"}),
    "a file that is not there": (lambda m: m["files"].update(more="0" * 64), {"file-differs"}),
    "a file outside": (lambda m: m["files"].update({"../../etc/passwd": "0" * 64}), {"file-differs"}),
    "no events": (lambda m: m["files"].pop("events.ndjson"), {"file-differs"}),
    "no checkpoint": (_without_checkpoint, {"signature-invalid", "file-differs"}),
    "the same publication twice": (
        lambda m: m["publications"].append(m["publications"][0]),
        {"manifest-differs"},
    ),
    "more done than there is": (lambda m: m["publications"][0].update(done=99), {"manifest-differs"}),
    "no end of an assessment": (
        lambda m: m["publications"][0].update(assessed_at=None),
        {"manifest-differs"},
    ),
    "the end of an assessment": (
        lambda m: m["publications"][0].update(assessed_at=8),
        {"manifest-differs"},
    ),
    "done before anything": (lambda m: m["publications"][0].update(after_stream=""), {"manifest-differs"}),
    "after no stream": (lambda m: m["publications"][0].update(after_stream="\0"), {"manifest-differs"}),
    "an unknown field of a publication": (
        lambda m: m["publications"][0].update(more=1),
        {"manifest-differs"},
    ),
    "a huge size": (lambda m: m.update(size=10**30), {"manifest-differs"}),
    "the largest size": (lambda m: m.update(size=2**63 - 1), {"manifest-differs", "log-shorter"}),
    "a size that is text": (lambda m: m.update(size="45"), {"manifest-differs"}),
    "a size with a fraction": (lambda m: m.update(size=45.0), {"manifest-differs"}),
    "a size that is true": (lambda m: m.update(size=True), {"manifest-differs"}),
    "events both plain and packed": (
        lambda m: m["files"].update({"events.ndjson.gz": "0" * 64}),
        {"file-differs", "manifest-differs", "log-shorter"},
    ),
    "a checkpoint that is not among the files": (lambda m: m["files"].pop("checkpoint"), {"file-differs"}),
    "another format": (lambda m: m.update(format="duixian-export-2"), {"manifest-differs"}),
    "an unknown field": (lambda m: m.update(more=1), {"manifest-differs"}),
}


@pytest.mark.parametrize("name", MANIFESTS)
def test_a_manifest_that_was_edited_is_found(folder: Path, name: str) -> None:
    change, expected = MANIFESTS[name]
    change_manifest(folder, change)
    assert codes(verify(folder)) == expected


@pytest.mark.parametrize(
    "text", [b"", b"{", b"\xff", b"[]", b"[" * 100_000, b"{}"], ids=lambda text: str(text[:9])
)
def test_a_file_that_is_not_a_manifest_is_found(folder: Path, text: bytes) -> None:
    (folder / "manifest.json").write_bytes(text)
    assert codes(verify(folder)) == {"manifest-differs"}
    (folder / "manifest.json").unlink()
    assert codes(verify(folder)) == {"manifest-differs"}


@pytest.mark.parametrize("name", ["size", "README.md"])
def test_a_manifest_with_a_duplicate_key_is_found(folder: Path, name: str) -> None:
    path = folder / "manifest.json"
    written = path.read_text("utf-8")
    assert written.count(f'"{name}":') == 1
    path.write_text(written.replace(f'"{name}":', f'"{name}": 1, "{name}":'), "utf-8")
    (finding,) = (check for check in verify(folder).checks if check.count)
    assert finding.places[0].message == f"manifest.json中“{name}”重复。"


def test_a_manifest_that_is_too_long_is_found(folder: Path) -> None:
    (folder / "manifest.json").write_bytes(b" " * MANIFEST_MAX_BYTES + b"{}")
    assert codes(verify(folder)) == {"manifest-differs"}


@pytest.mark.parametrize("name", ["more.txt", "schemas/More.json", "more/README.md", ".hidden"])
def test_a_file_that_does_not_belong_to_an_export_is_named(folder: Path, name: str) -> None:
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_bytes(b"")
    (finding,) = (check for check in verify(folder).checks if check.count)
    assert (finding.code, finding.places[0].message) == (
        "file-differs",
        f"{name}不在清单中，不属于本导出件。",
    )


def test_a_file_that_is_missing_is_named(folder: Path) -> None:
    (folder / "schemas" / "ReturnFiled.json").unlink()
    (finding,) = (check for check in verify(folder).checks if check.count)
    assert finding.code == "file-differs"
    assert finding.places[0].message.startswith("schemas/ReturnFiled.json无法读取")


@pytest.mark.parametrize("size", [0, EVENTS - 1, EVENTS, 2**63 - 1])
def test_progress_never_passes_its_total_whatever_the_manifest_says(folder: Path, size: int) -> None:
    change_manifest(folder, lambda manifest: manifest.update(size=size))
    steps: list[tuple[int, int]] = []
    verify_export(ExportFolder(folder), [], Findings(), lambda done, total: steps.append((done, total)))
    assert all(done <= total for done, total in steps)
    assert steps[-1] == (EVENTS, EVENTS)


GARBAGE = {
    "lines that are no signatures": "garbage\n",
    "a signature that is no base64": "\u2014 duixian.example/log !!!!\n",
    "a signature of nothing": "\u2014 duixian.example/log AAAA\n",
    "no end of a line": "\u2014 duixian.example/log AAAAAAAA",
    "a control character": "\u2014 duixian.example/log AAAA\x07AAAA\n",
    "far too many signatures": "\u2014 other.example/log AAAAAAAA\n" * 1_000,
    "more than a note can have": "\u2014 other.example/log AAAAAAAA\n" * 100_000,
}


@pytest.mark.parametrize("name", GARBAGE)
def test_a_checkpoint_with_garbage_among_its_signatures_is_found(folder: Path, name: str) -> None:
    with (folder / "checkpoint").open("ab") as file:
        file.write(GARBAGE[name].encode())
    update_sums(folder)
    assert codes(verify(folder)) <= {"signature-invalid", "file-differs"}
    assert not verify(folder).clean


def test_a_checkpoint_that_witnesses_signed_too_is_clean(folder: Path) -> None:
    with (folder / "checkpoint").open("ab") as file:
        file.write("\u2014 witness.example/w AAAAAAAA\n".encode() * 16)
    update_sums(folder)
    assert verify(folder).clean


def test_a_checkpoint_of_another_key_is_found_by_the_key_that_was_kept(folder: Path) -> None:
    root = base64.b64decode(json.loads((folder / "manifest.json").read_bytes())["root"])
    forged = OTHER.sign_checkpoint(size=EVENTS, root=root)
    (folder / "checkpoint").write_text(forged, encoding="utf-8")
    update_sums(folder)
    assert codes(verify(folder)) == {"signature-invalid"}
    assert codes(verify(folder, None)) == {"signature-invalid"}
    change_manifest(folder, lambda manifest: manifest.update(verifier_key=OTHER.verifier.text))
    assert verify(folder, None).clean  # Without a kept key, one learns only that the export is consistent.
    assert codes(verify(folder)) == {"signature-invalid"}


@pytest.mark.parametrize("text", [b"", b"\xff\xfe", b"duixian.example/log\n45\n"], ids=str)
def test_a_file_that_is_not_a_checkpoint_is_found(folder: Path, text: bytes) -> None:
    (folder / "checkpoint").write_bytes(text)
    update_sums(folder)
    assert codes(verify(folder)) & {"signature-invalid", "file-differs"}


def test_a_history_rewritten_by_the_holder_of_the_key_is_found_by_a_checkpoint_that_was_kept(
    folder: Path, exported: Path
) -> None:
    written = (folder / "events.ndjson").read_bytes().splitlines()
    row = parse(written[12])
    written[12] = canonical(row._replace(state=row.state.replace(b"20000000000", b"10000000000")))
    _write(folder, written, SIGNER)
    assert verify(folder).clean
    earlier = (exported / "earlier" / "checkpoint").read_text("utf-8")
    assert codes(verify(folder, kept=earlier)) == {"checkpoint-differs"}


def _write(folder: Path, written: list[bytes], signer: Signer) -> None:
    """Write lines as an export that the holder of the key would sign."""
    (folder / "events.ndjson").write_bytes(b"".join(line + b"\n" for line in written))
    root = base64.b64decode(str(verify(folder).root))
    (folder / "checkpoint").write_text(signer.sign_checkpoint(size=len(written), root=root), "utf-8")
    change_manifest(folder, lambda manifest: manifest.update(root=base64.b64encode(root).decode()))
    update_sums(folder)


LINES: dict[str, tuple[Callable[[list[bytes]], object], dict[str, list[int]]]] = {
    "one left out": (
        lambda written: written.pop(13),
        {"position-gap": [14], "version-gap": [42], "reference-missing": [20, 34]},
    ),
    "one twice": (
        lambda written: written.insert(3, written[3]),
        {"position-gap": [4], "version-gap": [4]},
    ),
    "two swapped": (
        lambda written: written.insert(3, written.pop(4)),
        {"position-gap": [4, 4], "time-regresses": [4], "transaction-broken": [4]},
    ),
    "an empty one": (lambda written: written.append(b""), {"row-invalid": [46]}),
    "not canonical": (
        lambda written: written.__setitem__(44, written[44].replace(b":45,", b": 45,", 1)),
        {"row-invalid": [45]},
    ),
    "a time that no database holds": (
        lambda written: written.__setitem__(44, canonical(parse(written[44])._replace(recorded_at_us=2**63))),
        {"row-invalid": [45]},
    ),
    "a text that no database holds": (
        lambda written: written.__setitem__(44, canonical(parse(written[44])._replace(actor="a\0"))),
        {"row-invalid": [45]},
    ),
}


@pytest.mark.parametrize("name", LINES)
def test_what_is_wrong_with_the_lines_is_named_though_the_holder_of_the_key_signed_them(
    folder: Path, name: str
) -> None:
    change, expected = LINES[name]
    written = (folder / "events.ndjson").read_bytes().splitlines()
    change(written)
    _write(folder, written, SIGNER)
    found = {check.code: [place.position for place in check.places] for check in verify(folder).checks}
    assert {name: found[name] for name in expected} == expected


def test_a_line_without_an_end_does_not_fill_the_memory(folder: Path) -> None:
    with (folder / "events.ndjson").open("ab") as file:
        file.write(b"1" * (EXPORT_LINE_MAX_BYTES + 1))
    assert codes(verify(folder)) == {"file-differs"}


@pytest.mark.parametrize("kept_bytes", [0, 9, 500])
def test_packed_events_that_are_cut_off_are_found(exported: Path, tmp_path: Path, kept_bytes: int) -> None:
    folder = shutil.copytree(exported / "packed", tmp_path / "copy")
    path = folder / "events.ndjson.gz"
    path.write_bytes(path.read_bytes()[:kept_bytes])
    update_sums(folder)
    assert codes(verify(folder)) & {"file-differs", "log-shorter"}


def test_a_folder_that_is_not_an_export_is_found(exported: Path) -> None:
    assert codes(verify(exported)) == {"manifest-differs"}
