"""`duixian audit`: what auditors need."""

from typing import ClassVar

from app.cli.command import Commands
from app.cli.lazy import LazyGroup


class AuditGroup(LazyGroup):
    """The commands of `duixian audit`."""

    modules: ClassVar = {
        "key": "proofs",
        "checkpoint": "proofs",
        "inclusion": "proofs",
        "consistency": "proofs",
        "receipt": "proofs",
        "replay": "replays",
        "differences": "differences",
        "disagreements": "disagreements",
        "red-flags": "red_flags",
        "disclosures": "disclosures",
        "remove-disclosures": "disclosures",
        "export": "exporting",
        "verify": "verifying",
        "restore": "restoring",
    }


app = Commands(
    cls=AuditGroup,
    no_args_is_help=True,
    help="审计：校验点、证明、核验凭据、复算、变动、疑点、查阅记录、导出、核验。",
)
