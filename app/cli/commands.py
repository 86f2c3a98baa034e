"""The commands of `duixian`. Exit codes: 0 done, 1 refused, 2 wrong usage."""

import signal
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Final, NoReturn, cast

import msgspec
import typer
from pydantic import ValidationError
from rich.console import Console
from rich.progress import Progress as ProgressBar

from app.api import presenters
from app.api.times import parse_rfc_3339, rfc_3339
from app.bootstrap import is_migrated, migrate, open_ledger
from app.cli import printing
from app.cli.files import ImportOptions, import_file
from app.cli.serving import serve_http
from app.database import reading, writing
from app.exports.problem_sheet import write_problem_sheet
from app.ingest.units import unit_code
from app.ledger.ledger import Ledger, UncertainError
from app.logs import configure_logs
from app.memory import spare_collections
from app.policies.loader import LoadedPolicy, load_policy
from app.security.keys import ROLES, create_key, list_keys, revoke_key
from app.settings import Settings
from app.use_cases.attempts import INTERRUPTED, ContentionError
from app.use_cases.explaining import explain, read_account
from app.use_cases.listing import list_accounts
from app.use_cases.projecting import NotProjectedError, follow, project_all
from app.use_cases.publishing import assess_published, publish
from app.use_cases.reading import Opened, PositionAheadError, opened
from app.use_cases.rebuilding import RebuildError, rebuild
from app.use_cases.rows import ORIGINS
from domain.events import PolicyRef, Stage
from domain.identifiers import has_uscc_shape
from domain.periods import PeriodError, Window
from domain.policy import Policy, fingerprint
from projections.queries import moments
from projections.queries.listing import ListFilter, Sort
from projections.queries.policies import published
from projections.scratch import OvertakenError

REFUSED: Final = 1
WRONG_USAGE: Final = 2
ACTOR: Final = "命令行"

app = typer.Typer(no_args_is_help=True, add_completion=False, help="兑现:社零奖励测算台账。")
policies_app = typer.Typer(no_args_is_help=True, help="政策文件:检查、发布、查看。")
keys_app = typer.Typer(no_args_is_help=True, help="接口密钥:新建、查看、停用。")
projections_app = typer.Typer(no_args_is_help=True, help="查询表:由台账重建。")
app.add_typer(policies_app, name="policy")
app.add_typer(keys_app, name="keys")
app.add_typer(projections_app, name="projections")

# A pipe has no width to fit in: names and headings stay whole.
out = Console(highlight=False, width=None if sys.stdout.isatty() else 240)
err = Console(stderr=True, highlight=False)

AsJson = Annotated[bool, typer.Option("--json", help="以JSON输出。")]
WindowAsked = Annotated[str, typer.Argument(metavar="WINDOW", help="半年,如2024H1。")]
PolicyAsked = Annotated[str | None, typer.Option("--policy", help="政策文件编号;只有一个时可省略。")]
PositionAsked = Annotated[int | None, typer.Option("--position", min=0, help="按该台账序号时的情况。")]
KnownAtAsked = Annotated[str | None, typer.Option("--known-at", help="按该时间已登记的情况(RFC 3339)。")]


def main() -> None:
    """Run the command line; what keeps a command from its end is a refusal, not a traceback."""
    spare_collections()
    try:
        configure_logs(Settings().log_format)
    except ValidationError as error:
        for each in error.errors():
            name = f"DUIXIAN_{each['loc'][0]}".upper()
            err.print(f"设置{name}无效:{each['msg']}", markup=False, soft_wrap=True)
        sys.exit(WRONG_USAGE)
    try:
        app()
    except INTERRUPTED as error:
        err.print(_unfinished(error), markup=False, soft_wrap=True)
        sys.exit(REFUSED)


def _unfinished(error: Exception) -> str:
    """What is known of a command that was kept from its end."""
    if isinstance(error, ContentionError):
        return f"其他登记正在进行,本次未完成,请重试({error})。"
    if isinstance(error, UncertainError):
        return f"登记时数据库连接中断,批次{error.batch_id}是否已登记尚不确定。请重试,已登记的不会重复登记。"
    if isinstance(error, NotProjectedError):
        return (
            f"台账已登记至序号{error.position},但数据库连接中断,查询表尚未更新。请重试,已登记的不会重复登记。"
        )
    if isinstance(error, BrokenExecutor):
        return "协助处理的进程意外终止(可能是内存不足),本次未完成。请重试,已登记的不会重复登记。"
    return f"数据库不可用:{getattr(error, 'orig', error)}"


def _refuse(message: str) -> NoReturn:
    err.print(message, markup=False, soft_wrap=True)
    raise typer.Exit(REFUSED)


def _ledger(context: typer.Context) -> Ledger:
    """The ledger of the settings, until the command ends."""
    ledger = open_ledger(Settings())
    context.call_on_close(ledger.engine.dispose)
    if not is_migrated(ledger.engine):
        _refuse("数据库结构不是当前版本,请先运行:duixian migrate")
    return ledger


def _print_json(value: Any) -> None:
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(value)).decode() + "\n")


@contextmanager
def _bar(label: str, total: int | None = None) -> Iterator[Any]:
    """A progress bar on a terminal, else nothing."""
    with ProgressBar(console=err, disable=not err.is_terminal, transient=True) as bar:
        task = bar.add_task(label, total=total)

        def progress(done: int, of: int | None = None, doing: str = "") -> None:
            bar.update(task, completed=done, total=of, description=f"{label} {doing}".rstrip())

        yield progress


@app.command()
def serve(
    context: typer.Context,
    host: Annotated[str | None, typer.Option(help="监听地址;默认取DUIXIAN_HOST。")] = None,
    port: Annotated[int | None, typer.Option(help="监听端口;默认取DUIXIAN_PORT。")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="服务进程数;默认取DUIXIAN_WORKERS。")] = None,
) -> None:
    """启动接口服务。"""
    settings = Settings()
    _ledger(context).engine.dispose()
    served = serve_http(
        host=host or settings.host,
        port=settings.port if port is None else port,
        workers=workers or settings.workers,
    )
    if not served:
        _refuse("服务进程未能启动,原因见日志。")


@app.command("project")
def project_command(
    context: typer.Context,
    once: Annotated[bool, typer.Option("--once", help="更新到台账现有的最后序号即结束。")] = False,
    as_json: AsJson = False,
) -> None:
    """跟随台账持续更新查询表,收到停止信号(SIGTERM或Ctrl+C)时结束。"""
    ledger = _ledger(context)
    if once:
        position = project_all(ledger)
    else:
        with _stop_signals() as is_stopped:
            err.print("正在跟随台账更新查询表;按Ctrl+C停止。")
            position = follow(ledger, is_stopped)
    if as_json:
        _print_json({"position": position})
    else:
        out.print(f"查询表已更新至台账序号{position}。")


@contextmanager
def _stop_signals() -> Iterator[Callable[[], bool]]:
    """Whether SIGTERM or SIGINT came, which then end nothing by themselves.

    The handler only notes it: what the signal interrupts may hold a lock that anything else could wait for.
    """
    asked: list[int] = []
    before = {
        each: signal.signal(each, lambda number, _: asked.append(number))
        for each in (signal.SIGTERM, signal.SIGINT)
    }
    try:
        yield lambda: bool(asked)
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


@app.command("migrate")
def migrate_command(context: typer.Context) -> None:
    """建立或升级数据库结构。"""
    engine = open_ledger(Settings()).engine
    context.call_on_close(engine.dispose)
    migrate(engine)
    out.print("数据库结构已是当前版本。")


@app.command("import")
def import_command(
    context: typer.Context,
    files: Annotated[list[Path], typer.Argument(metavar="FILE…", help=".xlsx或CSV,直报平台导出的格式。")],
    unit: Annotated[str, typer.Option(help="文件中金额的单位:元、千元或万元。")],
    period: Annotated[str | None, typer.Option(help="所属期,如2024-03;文件已写明的可省略。")] = None,
    stage: Annotated[str, typer.Option(help="final(审定数)或preliminary(初报数)。")] = "final",
    reason: Annotated[str | None, typer.Option(help="更正原因,用于文件中未写原因的行。")] = None,
    origin: Annotated[str | None, typer.Option(help="更正来源:enterprise、returned或enforcement。")] = None,
    document: Annotated[str | None, typer.Option(help="依据文号。")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="只试算,不登记。")] = False,
    problems: Annotated[Path | None, typer.Option(help="把审核问题清单写入此.xlsx文件。")] = None,
    as_json: AsJson = False,
) -> None:
    """登记文件中的数据:整份核对无误才登记。"""
    options = _import_options(unit, period, stage, reason, origin, document, dry_run=dry_run)
    ledger = _ledger(context)
    project_all(ledger)
    done = []
    for path in files:
        with _bar(path.name) as progress:
            imported = import_file(ledger, path, options, actor=ACTOR, progress=progress)
        done.append(imported)
        if not as_json:
            printing.print_import(out, imported, dry_run=dry_run)
        printing.print_lines(err, imported.lines)
        if imported.answer is None:
            break
    if problems is not None:
        _write_problems(problems, [line for each in done for line in each.lines])
    if as_json:
        _print_json([{"file": each.name, "answer": each.answer, "lines": each.lines} for each in done])
    if done[-1].answer is None:
        left = files[len(done) :]
        if left:
            err.print(f"其后的文件未处理:{'、'.join(path.name for path in left)}", markup=False)
        raise typer.Exit(REFUSED)


def _import_options(
    unit: str,
    period: str | None,
    stage: str,
    reason: str | None,
    origin: str | None,
    document: str | None,
    *,
    dry_run: bool,
) -> ImportOptions:
    try:
        code = unit_code(unit)
    except ValueError as error:
        raise typer.BadParameter("单位应为元、千元或万元。", param_hint="--unit") from error
    if stage not in {"final", "preliminary"}:
        raise typer.BadParameter("应为final或preliminary。", param_hint="--stage")
    if origin is not None and origin not in ORIGINS:
        raise typer.BadParameter(f"应为{'、'.join(ORIGINS)}之一。", param_hint="--origin")
    return ImportOptions(
        unit=code,
        period=period,
        stage=cast("Stage", stage),
        reason=reason,
        origin=origin,
        document=document,
        dry_run=dry_run,
    )


def _write_problems(path: Path, lines: list[Any]) -> None:
    try:
        write_problem_sheet(path, lines)
    except OSError as error:
        _refuse(f"审核问题清单无法写入{path}:{error.strerror}。请关闭已打开的文件或换一个位置。")
    err.print(f"审核问题清单已写入{path},共{len(lines)}行。", markup=False)


@app.command()
def entitlement(
    context: typer.Context,
    uscc: Annotated[str, typer.Argument(help="统一社会信用代码。")],
    window: WindowAsked,
    explained: Annotated[bool, typer.Option("--explain", help="逐期说明理由。")] = False,
    policy: PolicyAsked = None,
    position: PositionAsked = None,
    known_at: KnownAtAsked = None,
    as_json: AsJson = False,
) -> None:
    """查询一家企业半年的奖励测算结果。"""
    if not has_uscc_shape(uscc):
        raise typer.BadParameter("应为18位数字和大写字母。", param_hint="USCC")
    ledger, half = _ledger(context), _window(window)
    project_all(ledger)
    with reading(ledger.engine) as connection:
        books = _books(connection, half, policy, position, known_at)
        account = read_account(connection, uscc, half, books)
        if account is None:
            _refuse(f"{uscc}在{Window.parse(half).chinese}没有登记过数据。")
        reasons = [
            found
            for each in (account.periods if explained else ())
            if (found := explain(connection, account, each.period, withheld=False)) is not None
        ]
    if as_json:
        answer = presenters.entitlement(account).model_dump()
        if explained:
            answer["periods"] = [
                presenters.explained_period(each, withheld=False).model_dump() for each in reasons
            ]
        _print_json(answer)
        return
    printing.print_account(out, account, books)
    for each in reasons:
        printing.print_steps(out, each)


@app.command("list")
def list_command(
    context: typer.Context,
    window: WindowAsked,
    region_code: Annotated[str | None, typer.Option("--region", help="处理地代码。")] = None,
    industry: Annotated[str | None, typer.Option(help="行业代码的前几位。")] = None,
    measure: Annotated[str | None, typer.Option(help="奖项,如retail-growth。")] = None,
    status: Annotated[str | None, typer.Option(help="eligible、undetermined或not-eligible。")] = None,
    stage: Annotated[str | None, typer.Option(help="final或preliminary。")] = None,
    q: Annotated[str | None, typer.Option(help="企业名称或代码的开头。")] = None,
    sort: Annotated[str, typer.Option(help="-assessed_fen、assessed_fen或uscc。")] = "-assessed_fen",
    limit: Annotated[int, typer.Option(min=1, max=1_000_000, help="最多列出几户。")] = 50,
    policy: PolicyAsked = None,
    position: PositionAsked = None,
    known_at: KnownAtAsked = None,
    as_json: AsJson = False,
) -> None:
    """列出半年内登记过数据的企业。"""
    if sort not in {"-assessed_fen", "assessed_fen", "uscc"}:
        raise typer.BadParameter("应为-assessed_fen、assessed_fen或uscc。", param_hint="--sort")
    ledger, half = _ledger(context), _window(window)
    project_all(ledger)
    with reading(ledger.engine) as connection:
        books = _books(connection, half, policy, position, known_at)
        wanted = ListFilter(
            policy=None if books.version is None else books.version.ref.id,
            window=half,
            region_code=region_code,
            industry=industry,
            measure=measure,
            status=status,
            stage=stage,
            q=q,
        )
        order = cast("Sort", sort)
        listed = list_accounts(connection, wanted, books, sort=order, limit=limit, after=None, totals=True)
        shown, after = listed.accounts, listed.next_after
        while after is not None and len(shown) < limit:  # Under a filter a page may end early.
            page = list_accounts(
                connection, wanted, books, sort=order, limit=limit - len(shown), after=after, totals=False
            )
            shown, after = shown + page.accounts, page.next_after
    if as_json:
        _print_json(
            {
                "items": shown,
                "total": None if listed.totals is None else listed.totals.total,
                "assessed_fen": None if listed.totals is None else listed.totals.assessed_fen,
                "as_of": presenters.as_of(books.moment).model_dump(),
            }
        )
        return
    printing.print_list(out, shown, listed.totals, books)


def _window(text: str) -> str:
    try:
        return str(Window.parse(text))
    except PeriodError as error:
        raise typer.BadParameter(str(error), param_hint="WINDOW") from error


def _books(
    connection: Any, window: str, policy: str | None, position: int | None, known_at: str | None
) -> Opened:
    if position is not None and known_at is not None:
        raise typer.BadParameter("--position与--known-at只能给一个。")
    try:
        known_at_us = None if known_at is None else parse_rfc_3339(known_at)
    except ValueError as error:
        raise typer.BadParameter("应如2024-08-05T18:00:00+08:00。", param_hint="--known-at") from error
    try:
        books = opened(connection, window, policy, position, known_at_us)
    except PositionAheadError as error:
        _refuse(f"台账最后的序号是{error.head},不能查询更后的序号。")
    if books == "policy-unknown":
        _refuse(f"没有发布过编号为{policy}的政策文件。")
    if books == "policy-ambiguous":
        _refuse("有多个政策文件覆盖该半年,请用--policy指定。")
    if isinstance(books, str):
        raise TypeError(books)
    return books


@policies_app.command("check")
def policy_check(file: Path) -> None:
    """检查政策文件是否符合要求。"""
    loaded = _load(file)
    printing.print_policy(
        out, Policy(PolicyRef(loaded.typed.policy, 0, fingerprint(loaded.document)), loaded.typed)
    )


@policies_app.command("publish")
def policy_publish(context: typer.Context, file: Path) -> None:
    """发布政策文件,并测算此前登记的全部数据。"""
    loaded, ledger = _load(file), _ledger(context)
    result = publish(ledger, loaded, actor=ACTOR)
    with _bar("测算此前登记的数据") as progress:
        assess_published(ledger, progress)
    state = "已发布" if result.is_new else "此前已发布,无变化"
    out.print(f"{result.ref.id} 版本{result.ref.version} {state}(台账序号{result.position})。")
    printing.print_policy(out, Policy(result.ref, loaded.typed))


def _load(file: Path) -> LoadedPolicy:
    try:
        text = file.read_bytes()
    except OSError as error:
        _refuse(f"{file}无法读取:{error.strerror}。")
    loaded = load_policy(text, file=str(file))
    if isinstance(loaded, LoadedPolicy):
        return loaded
    for problem in loaded:
        err.print(str(problem), markup=False, soft_wrap=True)
    raise typer.Exit(REFUSED)


@policies_app.command("list")
def policy_list(context: typer.Context, as_json: AsJson = False) -> None:
    """列出已发布的政策文件及各版本。"""
    ledger = _ledger(context)
    project_all(ledger)
    with reading(ledger.engine) as connection:
        found = published(connection, moments.now(connection).position)
    if as_json:
        _print_json(
            [
                {
                    "id": each.ref.id,
                    "version": each.ref.version,
                    "sha256": each.ref.sha256,
                    "title": each.title,
                }
                for each in found
            ]
        )
        return
    for each in found:
        out.print(
            f"{each.ref.id} 版本{each.ref.version}:{each.title},{printing.beijing(each.recorded_at_us)}发布",
            markup=False,
        )
    if not found:
        out.print("尚未发布政策文件。")


@keys_app.command("create")
def keys_create(
    context: typer.Context,
    role: Annotated[str, typer.Option(help="statistics、commerce、auditor或admin。")],
    name: Annotated[str, typer.Option(help="持有人的名称;台账中记为经办人。")],
    with_figures: Annotated[bool, typer.Option("--with-figures", help="商务局密钥可见单户数据。")] = False,
) -> None:
    """新建密钥;只显示这一次。"""
    if role not in ROLES:
        raise typer.BadParameter(f"应为{'、'.join(ROLES)}之一。", param_hint="--role")
    if not name.strip() or not name.isprintable() or len(name) > 100:  # noqa: PLR2004 - a line of a list
        raise typer.BadParameter("应为1至100个可显示的字符。", param_hint="--name")
    ledger = _ledger(context)
    with writing(ledger.engine) as connection:
        token = create_key(connection, name=name, role=role, with_figures=with_figures, now_us=ledger.clock())
    if token is None:
        _refuse(f"名称“{name}”已用过。台账以名称记录经办人,请换一个名称。")
    sys.stdout.write(token + "\n")


@keys_app.command("list")
def keys_list(context: typer.Context, as_json: AsJson = False) -> None:
    """列出全部密钥(不显示密钥本身)。"""
    with reading(_ledger(context).engine) as connection:
        keys = list_keys(connection)
    if as_json:
        _print_json(keys)
        return
    for key in keys:
        figures = ",可见单户数据" if key.role == "commerce" and key.with_figures else ""
        state = "" if key.revoked_at_us is None else f",{printing.beijing(key.revoked_at_us)}停用"
        out.print(
            f"{key.name}({key.role}{figures}){rfc_3339(key.created_at_us)[:10]}新建{state}", markup=False
        )


@keys_app.command("revoke")
def keys_revoke(context: typer.Context, name: str) -> None:
    """停用密钥。"""
    ledger = _ledger(context)
    with writing(ledger.engine) as connection:
        revoked = revoke_key(connection, name, now_us=ledger.clock())
    if not revoked:
        _refuse(f"没有名称为“{name}”的有效密钥。")
    out.print(f"{name}已停用。", markup=False)


@projections_app.command("rebuild")
def projections_rebuild(context: typer.Context) -> None:
    """由台账重建全部查询表。"""
    ledger = _ledger(context)
    try:
        with _bar("重建查询表") as progress:
            position = rebuild(ledger, progress)
    except OvertakenError:
        _refuse("另一项重建已经开始,本次未完成;查询表未受影响。")
    except RebuildError:
        _refuse("查询表一直被占用,本次未能切换;查询表未受影响,请稍后重试。")
    out.print(f"查询表已由台账重建,至序号{position}。")
