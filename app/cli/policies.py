"""`duixian policy`: checking, publishing and listing policy documents."""

from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from app.cli import printing
from app.cli.command import Commands, actor_of, shows_no_figures
from app.cli.common import (
    REFUSED,
    AsJson,
    KnownAtOption,
    PositionOption,
    asked_moment,
    bring_up,
    err,
    get_ledger,
    out,
    print_json,
    progress_bar,
    read_as_of,
    refuse,
)
from app.cli.printing import wanyuan
from app.ledger.ledger import Ledger
from app.runtime.reasons import reason_of
from app.runtime.times import beijing, rfc_3339
from app.use_cases.filing.rows import TEXT_MAX_CHARS, printable
from app.use_cases.policies.loader import LoadedPolicy, load_policy
from app.use_cases.policies.publishing import (
    CoverageNarrowsError,
    Drop,
    NothingDroppedError,
    assess_published,
    preview_withdrawal,
    publish,
    withdraw_policy,
)
from domain.events import PolicyRef
from domain.periods import period_of
from domain.policy.document import fingerprint
from domain.policy.policy import Policy
from projections.queries.policies import PolicyVersion, published

app = Commands(no_args_is_help=True, help="政策文件：检查、发布、查看。")


@app.command("check")
@shows_no_figures
def policy_check(file: Path) -> None:
    """检查政策文件是否符合要求。"""
    loaded = _load(file)
    printing.print_policy(
        out, Policy(PolicyRef(loaded.typed.policy, 0, fingerprint(loaded.document)), loaded.typed)
    )


@app.command("publish")
@shows_no_figures
def policy_publish(
    context: typer.Context,
    file: Path,
    drop: Annotated[bool, typer.Option("--drop", help="确认新版本少覆盖一些所属期，其测算归零。")] = False,
    reason: Annotated[str | None, typer.Option(help="少覆盖的原因；与--drop同用。")] = None,
    document: Annotated[str | None, typer.Option(help="少覆盖的依据文号；与--drop同用。")] = None,
) -> None:
    """发布政策文件，并测算此前登记的全部数据。"""
    loaded = _load(file)
    meant = _drop(reason, document) if drop else None
    ledger = get_ledger(context)
    bring_up(ledger)
    try:
        result = publish(ledger, loaded, actor=actor_of(context), drop=meant)
    except CoverageNarrowsError as error:
        _refuse_narrowing(error)
    except NothingDroppedError:
        refuse("该版本覆盖前一版本的全部所属期，没有可以取消的；请不带--drop发布。")
    _assess(ledger)
    state = "已发布" if result.is_new else "此前已发布，无变化"
    out.print(f"{result.ref.id} 版本{result.ref.version} {state}（台账序号{result.position}）。")
    printing.print_policy(out, Policy(result.ref, loaded.typed))


@app.command("withdraw")
@shows_no_figures
def policy_withdraw(
    context: typer.Context,
    policy: Annotated[str, typer.Argument(metavar="POLICY", help="政策编号，如yingkou-2024-14。")],
    reason: Annotated[str, typer.Option(help="撤销的原因。")],
    document: Annotated[str, typer.Option(help="撤销的依据文号。")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="只试算，不登记。")] = False,
) -> None:
    """撤销政策：已废止，或发布有误；其各期测算归零。"""
    meant, ledger = _drop(reason, document), get_ledger(context)
    bring_up(ledger)
    if dry_run:
        effect = preview_withdrawal(ledger, policy)
        if effect is None:
            refuse(f"没有有效的政策{policy}。")
        out.print(
            f"{policy} 版本{effect.version}：试算（未登记）。"
            f"撤销将变动测算结果{effect.entitlements_changed}期，"
            f"测算金额{wanyuan(effect.before_fen)} → {wanyuan(effect.after_fen)}。",
        )
        return
    result = withdraw_policy(ledger, policy, meant, actor=actor_of(context))
    if result is None:
        refuse(f"没有有效的政策{policy}。")
    _assess(ledger)
    out.print(f"{policy} 版本{result.ref.version} 已撤销（台账序号{result.position}）。")


def _assess(ledger: Ledger) -> None:
    with progress_bar("测算此前登记的数据") as progress:
        assess_published(ledger, progress)


def _drop(reason: str | None, document: str | None) -> Drop:
    for name, given in (("--reason", reason), ("--document", document)):
        if given is None or not given.strip() or printable(given) != given:
            problem = f"须填写不超过{TEXT_MAX_CHARS}字、可以显示的文字。"
            raise typer.BadParameter(problem, param_hint=name)
    return Drop((reason or "").strip(), (document or "").strip())


def _refuse_narrowing(error: CoverageNarrowsError) -> NoReturn:
    err.print("该版本不再覆盖前一版本的部分所属期，已测算的金额将归零：")
    for period in error.lost:
        err.print(
            f"  {period_of(period.period).chinese}：{period.enterprises}户，{wanyuan(period.assessed_fen)}"
        )
    refuse(
        "确须缩小的，用--drop、--reason（原因）和--document（依据文号）发布；另一年度或另一办法，请用新的政策编号。"
    )


def _load(file: Path) -> LoadedPolicy:
    try:
        text = file.read_bytes()
    except OSError as error:
        refuse(f"{file}无法读取：{reason_of(error)}。")
    loaded = load_policy(text, file=str(file))
    if isinstance(loaded, LoadedPolicy):
        return loaded
    for problem in loaded:
        err.print(str(problem))
    raise typer.Exit(REFUSED)


@app.command("list")
@shows_no_figures
def policy_list(
    context: typer.Context,
    position: PositionOption = None,
    known_at: KnownAtOption = None,
    as_json: AsJson = False,
) -> None:
    """列出已发布的政策文件及各版本。"""
    asked = asked_moment(position, known_at)
    with read_as_of(get_ledger(context), asked) as (connection, at):
        found = published(connection, at.position)
    if as_json:
        print_json([_version(row) for row in found])
        return
    for row in found:
        out.print(
            f"{row.ref.id} 版本{row.ref.version}：{row.title}，{beijing(row.recorded_at_us)}发布",
        )
    if not found:
        out.print("尚未发布政策文件。")
    out.print(printing.as_of_text(at))


def _version(version: PolicyVersion) -> dict[str, Any]:
    return {
        "id": version.ref.id,
        "version": version.ref.version,
        "sha256": version.ref.sha256,
        "title": version.title,
        "published_at": rfc_3339(version.recorded_at_us),
        "position": version.position,
    }
