"""`duixian audit`: what auditors need."""

import typer

from app.cli import red_flags

audit_app = typer.Typer(no_args_is_help=True, help="审计:疑点清单。")


@audit_app.callback()
def audit() -> None:
    """审计:疑点清单。"""


audit_app.command("red-flags")(red_flags.audit_red_flags)
