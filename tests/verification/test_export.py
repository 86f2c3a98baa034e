"""An export holds the whole log as it is stored, and exists completely or not at all."""

import base64
import gzip
import hashlib
import json
import re
import shlex
import stat
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
from pymerkle import InmemoryTree
from sqlalchemy import select

from app.archive.export_folder import ExportError
from app.ledger.ledger import Ledger
from app.ledger.tables import events
from app.runtime.database import read_transaction
from app.transparency.notes import read_checkpoint
from app.use_cases.audit.exporting import ExportOptions, export_log
from app.use_cases.reading.as_of import PositionAheadError
from domain.errors import LedgerIntegrityError
from tests.databases import Database, on_one_database
from tests.golden.schemas import SCHEMAS
from tests.ledger.history import code, file, trade
from tests.verification.alterations import alter, deleting, setting, setting_state
from tests.verification.exports import MADE_AT, SIGNER, contents, export, signing

EVENTS = 45
SHA256_OF_NOTHING = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="


def lines(folder: Path) -> list[bytes]:
    return (folder / "events.ndjson").read_bytes().splitlines()


def root_over(leaves: list[bytes]) -> str:
    """The root as computed by another implementation, in base64."""
    tree = InmemoryTree(algorithm="sha256")
    for leaf in leaves:
        tree.append_entry(leaf)
    return base64.b64encode(tree.get_root()).decode()


def test_each_line_is_the_row_of_its_position_as_it_is_stored(ledger: Ledger, tmp_path: Path) -> None:
    export(ledger, tmp_path / "out")
    with read_transaction(ledger.engine) as connection:
        rows = connection.execute(select(events).order_by(events.c.position)).all()
    written = [json.loads(line) for line in lines(tmp_path / "out")]
    assert [line["position"] for line in written] == list(range(1, EVENTS + 1))
    assert [
        (
            line["position"],
            line["stream"],
            line["version"],
            line["type"],
            line["recorded_at_us"],
            line["actor"],
            line["batch_id"],
            line["transaction_end"],
            line["data"],
        )
        for line in written
    ] == [(*row[:-1], json.loads(row.state)) for row in rows]


def test_the_manifest_says_what_is_there(ledger: Ledger, tmp_path: Path) -> None:
    export(ledger, tmp_path / "out")
    files = contents(tmp_path / "out")
    manifest = json.loads(files.pop("manifest.json"))
    leaves = lines(tmp_path / "out")
    types = [json.loads(line)["type"] for line in leaves]
    assert manifest["files"] == {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    assert (manifest["size"], manifest["first_position"], manifest["last_position"]) == (EVENTS, 1, EVENTS)
    assert manifest["root"] == root_over(leaves)
    assert manifest["event_types"] == {name: types.count(name) for name in types}
    assert (manifest["format"], manifest["made_at"]) == ("duixian-export-1", MADE_AT)
    assert (manifest["origin"], manifest["verifier_key"]) == (SIGNER.verifier.name, SIGNER.verifier.text)
    assert [
        (publication["policy"], publication["version"], publication["position"])
        for publication in manifest["publications"]
    ] == [
        ("yingkou-2024-14", 1, 6),
        ("yingkou-2024-14", 2, 27),
    ]


@on_one_database
def test_the_checkpoint_is_signed_by_the_key_of_the_ledger(ledger: Ledger, tmp_path: Path) -> None:
    export(ledger, tmp_path / "out")
    checkpoint = read_checkpoint((tmp_path / "out" / "checkpoint").read_text("utf-8"), SIGNER.verifier)
    assert checkpoint.size == EVENTS
    assert base64.b64encode(checkpoint.root).decode() == root_over(lines(tmp_path / "out"))


@on_one_database
def test_without_a_key_there_is_no_checkpoint_and_the_manifest_says_so(
    ledger: Ledger, tmp_path: Path
) -> None:
    export(ledger, tmp_path / "out", signing=None)
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_bytes())
    assert [manifest[name] for name in ("checkpoint", "origin", "verifier_key")] == [None, None, None]
    assert not (tmp_path / "out" / "checkpoint").exists()
    assert manifest["root"] == root_over(lines(tmp_path / "out"))


@on_one_database
def test_the_schemas_are_those_of_the_documentation_and_every_event_is_of_its_own(
    ledger: Ledger, tmp_path: Path
) -> None:
    export(ledger, tmp_path / "out")
    written = {path.name: path.read_bytes() for path in (tmp_path / "out" / "schemas").iterdir()}
    assert written == {path.name: path.read_bytes() for path in SCHEMAS.iterdir()}
    for line in map(json.loads, lines(tmp_path / "out")):
        schema = json.loads(written[f"{line['type']}.json"])
        jsonschema.Draft202012Validator(schema).validate(line["data"])


def test_the_same_log_makes_the_same_files_packed_or_not(ledger: Ledger, tmp_path: Path) -> None:
    for name in ("one", "other"):
        export(ledger, tmp_path / name)
        export(ledger, tmp_path / f"{name}-packed", packed=True)
    plain, packed = contents(tmp_path / "one"), contents(tmp_path / "one-packed")
    assert contents(tmp_path / "other") == plain
    assert contents(tmp_path / "other-packed") == packed
    assert gzip.decompress(packed["events.ndjson.gz"]) == plain["events.ndjson"]
    assert "events.ndjson" not in packed


@pytest.mark.parametrize(("until", "size"), [(0, 0), (2, 0), (3, 3), (20, 9), (21, 21), (44, 43), (45, 45)])
def test_an_export_ends_with_the_last_transaction_that_had_ended(
    ledger: Ledger, tmp_path: Path, until: int, size: int
) -> None:
    whole, part = tmp_path / "whole", tmp_path / "part"
    export(ledger, whole)
    manifest = export(ledger, part, until=until)
    assert manifest.size == size
    assert lines(part) == lines(whole)[:size]
    assert manifest.root == (root_over(lines(part)) if size else SHA256_OF_NOTHING)
    assert {publication.position for publication in manifest.publications} == {
        at for at in (6, 27) if at <= size
    }


@on_one_database
def test_a_position_above_the_head_is_refused(ledger: Ledger, tmp_path: Path) -> None:
    with pytest.raises(PositionAheadError):
        export(ledger, tmp_path / "out", until=EVENTS + 1)
    assert list(tmp_path.iterdir()) == []


def test_the_log_of_an_empty_ledger_is_an_empty_file(migrated: Database, tmp_path: Path) -> None:
    copied = migrated.copy()
    ledger = Ledger(copied.open())
    manifest = export(ledger, tmp_path / "out")
    ledger.engine.dispose()
    copied.drop()
    assert (manifest.size, manifest.first_position, manifest.last_position) == (0, None, None)
    assert manifest.root == SHA256_OF_NOTHING
    assert lines(tmp_path / "out") == []


def test_events_recorded_while_it_is_written_are_not_in_it(ledger: Ledger, tmp_path: Path) -> None:
    recorded = []

    def record(_done: int, _total: int) -> None:
        recorded.append(file(ledger, trade(code(9), "2024-09", 110_000, 100_000)).position)

    options = ExportOptions(
        target=tmp_path / "out", packed=False, until=None, made_at=MADE_AT, signing=signing()
    )
    manifest = export_log(ledger, options, record)
    assert recorded == [EVENTS + 2]
    assert (manifest.size, len(lines(tmp_path / "out"))) == (EVENTS, EVENTS)
    assert export(ledger, tmp_path / "later").size == EVENTS + 2


@on_one_database
def test_only_its_owner_can_read_an_export(ledger: Ledger, tmp_path: Path) -> None:
    export(ledger, tmp_path / "out")
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == 0o700


@on_one_database
def test_an_existing_target_is_not_touched(ledger: Ledger, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("kept", encoding="utf-8")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file").write_text("kept", encoding="utf-8")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    before = sorted(tmp_path.rglob("*"))
    for name in ("file", "folder", "link"):
        with pytest.raises(ExportError):
            export(ledger, tmp_path / name)
    assert sorted(tmp_path.rglob("*")) == before
    (tmp_path / "empty").mkdir()
    export(ledger, tmp_path / "empty")
    assert (tmp_path / "empty" / "manifest.json").exists()


@on_one_database
def test_an_export_that_is_interrupted_leaves_nothing(ledger: Ledger, tmp_path: Path) -> None:
    def interrupt(_done: int, _total: int) -> None:
        assert len(list(tmp_path.iterdir())) == 1
        assert not (tmp_path / "out").exists()
        raise KeyboardInterrupt

    options = ExportOptions(
        target=tmp_path / "out", packed=False, until=None, made_at=MADE_AT, signing=signing()
    )
    with pytest.raises(KeyboardInterrupt):
        export_log(ledger, options, interrupt)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "alteration",
    [
        setting(23, actor="另一人"),
        deleting(14, 14),
        deleting(42, 45),
        setting_state(13, b'{"form"', b'{\n"form"'),
    ],
    ids=["altered", "one deleted", "cut off", "two lines"],
)
def test_a_log_that_differs_from_its_seal_is_not_exported(
    ledger: Ledger, tmp_path: Path, alteration: object
) -> None:
    assert callable(alteration)
    alter(ledger, alteration)
    with pytest.raises(LedgerIntegrityError):
        export(ledger, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@on_one_database
def test_the_readme_of_an_export_says_how_to_check_it_without_this_software(
    ledger: Ledger, tmp_path: Path
) -> None:
    folder = tmp_path / "out"
    manifest = export(ledger, folder)
    readme = (folder / "README.md").read_text(encoding="utf-8")
    program = re.search(r"```python\n(.*?)```", readme, re.DOTALL)
    sums, unpack, leaf = (
        re.search(pattern, readme, re.MULTILINE)
        for pattern in (r"^ +(sha256sum .*)$", r"`(gunzip .*?)`", r"^ +(\{ printf .*)$")
    )
    assert program is not None
    assert sums is not None
    assert unpack is not None
    assert leaf is not None

    printed = subprocess.run(
        [sys.executable, "-I", "-c", program.group(1)], cwd=folder, capture_output=True, text=True, check=True
    )
    assert printed.stdout.strip() == manifest.root
    listed = dict(line.split()[::-1] for line in _shell(sums.group(1), folder).splitlines())
    assert listed == {name: digest for name, digest in manifest.files.items() if name != "README.md"}
    seventh = hashlib.sha256(b"\0" + lines(folder)[6]).hexdigest()
    assert _shell(leaf.group(1), folder).split()[0] == seventh

    export(ledger, tmp_path / "packed", packed=True)
    _shell(unpack.group(1), tmp_path / "packed")
    assert lines(tmp_path / "packed") == lines(folder)


def _shell(command: str, folder: Path) -> str:
    assert shlex.split(command)
    return subprocess.run(
        ["/bin/sh", "-c", command], cwd=folder, capture_output=True, text=True, check=True
    ).stdout
