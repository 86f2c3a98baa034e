"""`duixian policy`: checking, publishing and listing policy documents."""

from pathlib import Path
from typing import Any

import typer

from app.api.times import rfc_3339
from app.cli import printing
from app.cli.command import Commands, actor_of, shows_no_figures
from app.cli.common import (
    REFUSED,
    AsJson,
    KnownAtAsked,
    PositionAsked,
    asked_moment,
    err,
    ledger_of,
    out,
    print_json,
    progress_bar,
    refuse,
    within_the_log,
)
from app.database import reading
from app.exports.cells import beijing
from app.policies.loader import LoadedPolicy, load_policy
from app.reasons import reason_of
from app.use_cases.projecting import project_all
from app.use_cases.publishing import assess_published, publish
from app.use_cases.reading import moment_of
from domain.events import PolicyRef
from domain.policy import Policy, fingerprint
from projections.queries.policies import PolicyVersion, published

policies_app = Commands(no_args_is_help=True, help="政策文件:检查、发布、查看。")


@policies_app.command("check")
@shows_no_figures
def policy_check(file: Path) -> None:
    """检查政策文件是否符合要求。"""
    loaded = _load(file)
    printing.print_policy(
        out, Policy(PolicyRef(loaded.typed.policy, 0, fingerprint(loaded.document)), loaded.typed)
    )


@policies_app.command("publish")
@shows_no_figures
def policy_publish(context: typer.Context, file: Path) -> None:
    """发布政策文件,并测算此前登记的全部数据。"""
    loaded, ledger = _load(file), ledger_of(context)
    result = publish(ledger, loaded, actor=actor_of(context))
    with progress_bar("测算此前登记的数据") as progress:
        assess_published(ledger, progress)
    state = "已发布" if result.is_new else "此前已发布,无变化"
    out.print(f"{result.ref.id} 版本{result.ref.version} {state}(台账序号{result.position})。")
    printing.print_policy(out, Policy(result.ref, loaded.typed))


def _load(file: Path) -> LoadedPolicy:
    try:
        text = file.read_bytes()
    except OSError as error:
        refuse(f"{file}无法读取:{reason_of(error)}。")
    loaded = load_policy(text, file=str(file))
    if isinstance(loaded, LoadedPolicy):
        return loaded
    for problem in loaded:
        err.print(str(problem), markup=False, soft_wrap=True)
    raise typer.Exit(REFUSED)


@policies_app.command("list")
@shows_no_figures
def policy_list(
    context: typer.Context,
    position: PositionAsked = None,
    known_at: KnownAtAsked = None,
    as_json: AsJson = False,
) -> None:
    """列出已发布的政策文件及各版本。"""
    asked = asked_moment(position, known_at)
    ledger = ledger_of(context)
    project_all(ledger)
    with reading(ledger.engine) as connection, within_the_log():
        at = moment_of(connection, asked)
        found = published(connection, at.position)
    if as_json:
        print_json([_version(each) for each in found])
        return
    for each in found:
        out.print(
            f"{each.ref.id} 版本{each.ref.version}:{each.title},{beijing(each.recorded_at_us)}发布",
            markup=False,
        )
    if not found:
        out.print("尚未发布政策文件。")
    out.print(printing.as_of_text(at))


def _version(each: PolicyVersion) -> dict[str, Any]:
    return {
        "id": each.ref.id,
        "version": each.ref.version,
        "sha256": each.ref.sha256,
        "title": each.title,
        "published_at": rfc_3339(each.recorded_at_us),
        "position": each.position,
    }
