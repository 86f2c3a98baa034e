"""`duixian audit verify`: checks whether a log, in the database or exported, is complete and unaltered."""

import base64
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec
import typer

from app.archive.export_folder import ExportError, ExportFolder, read_note
from app.cli.command import Commands, shows_no_figures
from app.cli.common import REFUSED, AsJson, err, get_ledger, out, print_json, progress_bar, refuse
from app.cli.printing import print_unassessed
from app.ledger.publications import Publication
from app.runtime.settings import read_settings
from app.transparency.audit_key import AuditKeyError, read_audit_key
from app.transparency.notes import Checkpoint, NoteError, Verifier, read_checkpoint
from app.use_cases.audit.findings import CHECKS, Finding, Findings, performed
from app.use_cases.audit.verifying import KnownRoot, Verified, verify_export, verify_ledger

app = Commands()

KEPT: Final = "留存的日志校验点"
OF_EXPORT: Final = "导出件的日志校验点"

_PROOFS: Final = {"leaf-differs", "root-differs", "seal-shorter", "log-shorter", "checkpoint-differs"}
"""The findings that mean that the log differs from a seal or a checkpoint."""

KeyAsked = Annotated[str | None, typer.Option("--key", help="审计人员留存的验证公钥（name+id+base64）。")]

Trust = Literal["given", "operator"]
"""The key that verified a signature: the auditor's (`given`), or the operator's own."""


class SignedCheckpoint(msgspec.Struct, frozen=True, kw_only=True):
    """A checkpoint whose signature is valid.

    Attributes:
        name: A description of the checkpoint, in Chinese.
        origin: The name of the log.
        size: The number of events that it covers.
        key: The key that verified the signature.
    """

    name: str
    origin: str
    size: int
    key: Trust


class VerificationReport(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a verification.

    Attributes:
        subject: What was verified.
        clean: Whether there are no findings.
        size: The number of events; None if the database cannot be read to its end.
        root: The root over all events, in base64.
        sealed: The number of events compared with the tiles; None for an export, which has none.
        told: The number of events that were sealed according to the log itself.
        proven: The position up to which a seal or a signed checkpoint proves that nothing was altered; later
            events were only checked for consistency.
        checkpoints: The checkpoints that the log was compared with.
        checks: Every check that was completed, and all findings.
        unassessed: The publications whose assessment is not complete, which is not a finding.
    """

    subject: Literal["ledger", "export"]
    clean: bool
    size: int | None
    root: str | None
    sealed: int | None
    told: int | None
    proven: int
    checkpoints: list[SignedCheckpoint]
    checks: list[Finding]
    unassessed: list[Publication]


class Witnesses:
    """The checkpoints that a log is compared with, all signed by the same key.

    Args:
        verifier: The key; None if there is none.
        key: The owner of the key.
        findings: Collects invalid signatures.
    """

    def __init__(self, verifier: Verifier | None, key: Trust, findings: Findings) -> None:
        self.known: list[KnownRoot] = []
        self.signed: list[SignedCheckpoint] = []
        self._verifier = verifier
        self._key = key
        self._findings = findings

    def hear(self, name: str, note: str) -> Checkpoint | None:
        """Add the checkpoint of a note; note a finding and return None if the key did not sign it."""
        if self._verifier is None:
            self._findings.note("signature-invalid", None, f"没有验证公钥，无法核对{name}的签名。")
            return None
        try:
            checkpoint = read_checkpoint(note, self._verifier)
        except NoteError as error:
            message = f"{name}不是由{self._verifier.name}的密钥签署的，或已被改动（{error}）。"
            self._findings.note("signature-invalid", None, message)
            return None
        size, root = checkpoint.size, checkpoint.root
        self.known.append(KnownRoot(code="checkpoint-differs", name=name, size=size, root=root))
        self.signed.append(SignedCheckpoint(name=name, origin=checkpoint.origin, size=size, key=self._key))
        return checkpoint


@app.command("verify")
@shows_no_figures
def audit_verify(
    context: typer.Context,
    export: Annotated[
        Path | None,
        typer.Argument(
            metavar="EXPORT", exists=True, file_okay=False, help="导出件文件夹；省略则核验数据库。"
        ),
    ] = None,
    kept: Annotated[
        Path | None,
        typer.Option("--checkpoint", exists=True, dir_okay=False, help="审计人员以前留存的日志校验点文件。"),
    ] = None,
    key: KeyAsked = None,
    as_json: AsJson = False,
) -> None:
    """核验台账或导出件是否完整、未被改动。发现问题时退出码为1。"""
    verifier, note = given_verifier(key), None if kept is None else _kept_note(kept)
    if export is not None:
        report = verify_folder(export, verifier, note)
    elif key is not None and note is None:
        raise typer.BadParameter("验证公钥用于核对日志校验点，请同时用--checkpoint给出。", param_hint="--key")
    else:
        report = _verify_database(context, verifier, note)
    if as_json:
        print_json(report)
    else:
        _print_report(report)
    if not report.clean:
        raise typer.Exit(REFUSED)


def given_verifier(key: str | None) -> Verifier | None:
    """Parse the auditor's key."""
    try:
        return None if key is None else Verifier.parse(key.strip())
    except NoteError as error:
        message = f"不是验证公钥，应为name+id+base64（{error}）。"
        raise typer.BadParameter(message, param_hint="--key") from error


def _kept_note(path: Path) -> str:
    try:
        return read_note(path)
    except (OSError, ValueError) as error:
        raise typer.BadParameter(f"{path}无法读取（{error}）。", param_hint="--checkpoint") from error


def _verify_database(
    context: typer.Context, verifier: Verifier | None, note: str | None
) -> VerificationReport:
    ledger, findings = get_ledger(context), Findings()
    witnesses = Witnesses(verifier or _own_verifier(), _trust(verifier), findings)
    if note is not None:
        witnesses.hear(KEPT, note)
    with progress_bar("核验台账") as progress:
        verified = verify_ledger(ledger, witnesses.known, findings, progress)
    return _report("ledger", verified, witnesses, findings, signed=note is not None)


def _own_verifier() -> Verifier | None:
    """The operator's own key; None if there is none."""
    try:
        signer = read_audit_key(read_settings().audit_key_file)
    except AuditKeyError as error:
        refuse(f"签名密钥不可用：{error}")
    return None if signer is None else signer.verifier


def _trust(verifier: Verifier | None) -> Trust:
    return "operator" if verifier is None else "given"


def verify_folder(path: Path, verifier: Verifier | None, note: str | None) -> VerificationReport:
    """Verify an export.

    Args:
        path: The folder of the export.
        verifier: The auditor's key; None uses the key in the export.
        note: An earlier checkpoint that the auditor has kept.
    """
    try:
        folder = ExportFolder(path)
    except ExportError as error:
        findings = Findings()
        findings.note("manifest-differs", None, f"{error}。")
        witnesses = Witnesses(verifier, _trust(verifier), findings)
        return _report("export", None, witnesses, findings, signed=False)
    return verify_opened(folder, verifier, note)


def verify_opened(folder: ExportFolder, verifier: Verifier | None, note: str | None) -> VerificationReport:
    """Verify an export whose manifest has been read; the other arguments are those of `verify_folder`."""
    findings = Findings()
    witnesses = Witnesses(verifier or _verifier_in(folder), _trust(verifier), findings)
    if note is not None:
        witnesses.hear(KEPT, note)
    signed = _hear_export(folder, witnesses, findings)
    if verifier is not None and not signed and note is None:
        findings.note("signature-invalid", None, "导出件没有日志校验点，无法用验证公钥核对。")
    with progress_bar("核验导出件") as progress:
        verified = verify_export(folder, witnesses.known, findings, progress)
    return _report("export", verified, witnesses, findings, signed=signed or note is not None)


def _verifier_in(folder: ExportFolder) -> Verifier | None:
    """The key in the manifest of an export; None if there is none."""
    try:
        return None if folder.manifest.verifier_key is None else Verifier.parse(folder.manifest.verifier_key)
    except NoteError:
        return None


def _hear_export(folder: ExportFolder, witnesses: Witnesses, findings: Findings) -> bool:
    """Add the checkpoint of an export; return whether it has one."""
    try:
        note = folder.checkpoint()
    except ExportError as error:
        findings.note("file-differs", None, f"{error}。")
        return True
    if note is None:
        return False
    checkpoint = witnesses.hear(OF_EXPORT, note)
    said = folder.manifest.origin, folder.manifest.size
    if checkpoint is not None and said != (checkpoint.origin, checkpoint.size):
        findings.note("manifest-differs", None, "导出清单的台账名称（origin）或记录数（size）与校验点不符。")
    return True


def _report(
    subject: Literal["ledger", "export"],
    verified: Verified | None,
    witnesses: Witnesses,
    findings: Findings,
    *,
    signed: bool,
) -> VerificationReport:
    found = {finding.code: finding for finding in findings}
    made = () if verified is None else [code for code in CHECKS if performed(code, subject, signed=signed)]
    return VerificationReport(
        subject=subject,
        clean=not found,
        size=None if verified is None else verified.size,
        root=None if verified is None else base64.b64encode(verified.root).decode(),
        sealed=None if verified is None else verified.sealed,
        told=None if verified is None else verified.sealed_by_log,
        proven=_proven(verified, witnesses, found),
        checkpoints=witnesses.signed,
        checks=[found.get(code, Finding(code, 0, ())) for code in CHECKS if code in found or code in made],
        unassessed=[] if verified is None else verified.unassessed,
    )


def _proven(verified: Verified | None, witnesses: Witnesses, found: Iterable[str]) -> int:
    """The position up to which seals and checkpoints prove the log; 0 if one of them contradicts it."""
    if verified is None or not _PROOFS.isdisjoint(found):
        return 0
    return max([verified.sealed or 0, *(root.size for root in witnesses.known)])


def _print_report(report: VerificationReport) -> None:
    if report.size is not None:
        out.print(f"共{report.size}条台账记录。")
    if report.sealed is not None:
        out.print(f"已与封存时的记录指纹逐条比对{report.sealed}条。")
    if report.told:
        out.print(f"台账自身记载前{report.told}条曾经封存，并已与所记总校验值（Merkle树根）比对。")
    for checkpoint in report.checkpoints:
        whose = (
            "给出的验证公钥"
            if checkpoint.key == "given"
            else "运行方自己的公钥（不能代替审计人员留存的公钥）"
        )
        out.print(
            f"{checkpoint.name}：{checkpoint.origin}，含{checkpoint.size}条记录，签名有效，依据{whose}。",
        )
    passed = [CHECKS[finding.code] for finding in report.checks if not finding.count]
    if passed:
        out.print(f"核验无误：{'、'.join(passed)}。")
    if not any(checkpoint.name == KEPT for checkpoint in report.checkpoints):
        out.print(
            "未与审计人员留存的日志校验点比对：能改动全部数据的人也能改动其中的指纹，"
            "末尾若连同封存一并被截去，台账本身也看不出来。",
        )
    print_findings(report)
    print_unassessed(out, report.unassessed)
    out.print(_conclusion(report))


def _conclusion(report: VerificationReport) -> str:
    if not report.clean:
        return "结论：发现问题，详见上列各项。"
    rest = (report.size or 0) - report.proven
    if not rest:
        return "结论：未发现问题。"
    by = "封存" if report.subject == "ledger" else "日志校验点"
    upto = f"{by}至序号{report.proven}；其后{rest}条" if report.proven else f"没有{by}：全部{rest}条"
    return f"结论：未发现问题。{upto}未经封存，只核验了前后一致，不能证明未被改动。"


def print_findings(report: VerificationReport) -> None:
    """Print the findings on standard error."""
    for finding in report.checks:
        if not finding.count:
            continue
        err.print(f"{finding.code} {CHECKS[finding.code]}：{finding.count}处不符")
        for place in finding.places:
            err.print(f"  {place.message}")
        if finding.count > len(finding.places):
            err.print(f"  其余{finding.count - len(finding.places)}处从略。")
