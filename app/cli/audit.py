"""`duixian audit`: what auditors need."""

from app.cli import (
    differences,
    disagreements,
    disclosures,
    exporting,
    proofs,
    red_flags,
    replays,
    restoring,
    verifying,
)
from app.cli.command import Commands

audit_app = Commands(
    no_args_is_help=True, help="审计：校验点、证明、核验凭据、复算、变动、疑点、查阅记录、导出、核验。"
)
audit_app.command("key")(proofs.audit_key)
audit_app.command("checkpoint")(proofs.audit_checkpoint)
audit_app.command("inclusion")(proofs.audit_inclusion)
audit_app.command("consistency")(proofs.audit_consistency)
audit_app.command("receipt")(proofs.audit_receipt)
audit_app.command("replay")(replays.audit_replay)
audit_app.command("differences")(differences.audit_differences)
audit_app.command("disagreements")(disagreements.audit_disagreements)
audit_app.command("red-flags")(red_flags.audit_red_flags)
audit_app.command("disclosures")(disclosures.audit_disclosures)
audit_app.command("remove-disclosures")(disclosures.audit_remove_disclosures)
audit_app.command("export")(exporting.audit_export)
audit_app.command("verify")(verifying.audit_verify)
audit_app.command("restore")(restoring.audit_restore)
