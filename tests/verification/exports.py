"""Exports for tests, signed by a key that the tests keep."""

from pathlib import Path
from typing import Any

from app.archive.export_folder import Manifest
from app.ledger.ledger import Ledger
from app.transparency.notes import Signer
from app.use_cases.audit.exporting import ExportOptions, Signing, export_log

SIGNER = Signer("duixian.example/log", bytes(range(32)))
MADE_AT = "2024-09-01T00:00:00Z"


def signing(signer: Signer = SIGNER) -> Signing:
    """Signing with a key."""
    return Signing(
        signer.verifier.name,
        signer.verifier.text,
        lambda size, root: signer.sign_checkpoint(size=size, root=root),
    )


def export(ledger: Ledger, target: Path, **changes: Any) -> Manifest:
    """Export a ledger: uncompressed, complete and signed, unless `changes` say otherwise."""
    usual = {"packed": False, "until": None, "made_at": MADE_AT, "signing": signing()}
    return export_log(ledger, ExportOptions(target=target, **{**usual, **changes}))


def contents(folder: Path) -> dict[str, bytes]:
    """The files of a folder by their names in it."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
