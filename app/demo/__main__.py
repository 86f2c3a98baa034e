"""`make run`: serves a ledger with the Yingkou policy and two sample years."""

import hashlib
import sys
from contextlib import closing
from pathlib import Path

from sqlalchemy import Connection, make_url

from app.bootstrap import complete, migrate, open_ledger
from app.cli.files import ImportOptions, import_file
from app.cli.printing import wanyuan
from app.cli.proofs import DEFAULT_ORIGIN
from app.cli.serving import serve_http
from app.cli.terminal import Terminal, bold, progress_on
from app.demo.sample import SampleFile, write_sample
from app.ledger.ledger import Ledger
from app.runtime.database import read_transaction, write_transaction
from app.runtime.logs import configure_logs
from app.runtime.memory import spare_collections
from app.runtime.new_files import new_file
from app.runtime.private_files import make_private_folder
from app.runtime.settings import read_settings
from app.security.disclosures import DisclosureLog, Entry
from app.security.keys import Role, create_key, list_keys
from app.transparency.audit_key import AuditKeyError, make_audit_key, read_audit_key
from app.transparency.sealing import seal
from app.use_cases.policies.loader import YINGKOU_2024_14, LoadedPolicy, load_policy
from app.use_cases.policies.publishing import assess_published, publish
from app.use_cases.reading.as_of import NOW, PolicyAsOf, choose_policy
from app.use_cases.reading.listing import list_accounts, summarise
from app.use_cases.upkeep.projecting import project_all
from app.use_cases.upkeep.sealing import record_seal
from domain.events import Return
from domain.periods import Window
from domain.regions import region_name
from domain.words import CEILINGS, cut_name
from projections.projector import ENTRIES_PER_BATCH
from projections.queries.accounts import periods
from projections.queries.listing import ListFilter

WINDOWS = ("2024H1", "2024H2")
ACTOR = "示例"
DEMO_USERS: tuple[tuple[str, Role, bool], ...] = (
    ("统计局示例", "statistics", False),
    ("商务局示例", "commerce", False),
    ("商务局示例（可见单户数据）", "commerce", True),
    ("审计局示例", "auditor", False),
    ("管理员示例", "admin", False),
)

console = Terminal(soft_wrap=True)


def main() -> None:
    """Prepare the sample ledger as far as needed, print a summary, and serve it."""
    settings = read_settings()
    spare_collections()
    configure_logs(settings.log_format)
    ledger = open_ledger(settings)
    migrate(ledger.engine)
    complete(ledger)
    home = _home(settings.database_url)
    make_private_folder(home)
    _publish(ledger)
    _import_sample(ledger, home / "sample")
    keys = _keys(ledger, home / "demo-keys.txt")
    verifier_key = _verifier_key(settings.audit_key_file)
    seal(ledger)
    record_seal(ledger, verifier_key)
    project_all(ledger)
    _summary(ledger)
    for line in ("", *keys, "", "校验点验证公钥（请审计人员自行留存）：", f"  {verifier_key}"):
        console.print(line)
    address = f"http://{settings.host}:{settings.port}"
    console.print(bold(f"打开 {address}/docs"), " 查看接口；按Ctrl+C停止。", sep="")
    ledger.engine.dispose()
    serve_http(settings, host=settings.host, port=settings.port, workers=1)


def _home(database_url: str) -> Path:
    """The folder of an SQLite database, so that each database has keys of its own; `data` for PostgreSQL."""
    parsed = make_url(database_url)
    is_file = parsed.get_backend_name() == "sqlite" and parsed.database not in {None, "", ":memory:"}
    return Path(parsed.database or "").parent if is_file else Path("data")


def _publish(ledger: Ledger) -> None:
    loaded = load_policy(YINGKOU_2024_14.read_bytes(), file=YINGKOU_2024_14.name)
    if not isinstance(loaded, LoadedPolicy):
        sys.exit("\n".join(str(problem) for problem in loaded))
    published = publish(ledger, loaded, actor=ACTOR)
    assess_published(ledger)
    state = "已发布" if published.is_new else "此前已发布"
    console.print(
        f"政策《{loaded.typed.title}》{loaded.typed.article}：{state}，版本{published.ref.version}。"
    )


def _import_sample(ledger: Ledger, folder: Path) -> None:
    """Import the sample months in the order of filing, except those that are registered already."""
    files = write_sample(folder)
    registered = _registered_files(ledger)
    waiting = [file for file in files if hashlib.sha256(file.path.read_bytes()).hexdigest() not in registered]
    filed = revised = 0
    with progress_on(console) as bar:
        for file in bar.track(waiting, description="登记示例数据"):
            answer = _import(ledger, file)
            filed, revised = filed + answer[0], revised + answer[1]
    if waiting:
        console.print(
            f"示例数据：登记{len(waiting)}个文件，新登记{filed}行，更正{revised}行（文件在{folder}）。"
        )
    else:
        console.print(f"示例数据：{len(files)}个文件此前已全部登记，没有重复登记。")


def _registered_files(ledger: Ledger) -> set[str]:
    """The SHA-256 of the files that the returns in the log came from."""
    found: set[str] = set()
    after = 0
    with read_transaction(ledger.engine) as connection:
        while entries := ledger.entries(connection, after=after, limit=ENTRIES_PER_BATCH):
            after = entries[-1].position
            sources = (entry.event.source for entry in entries if isinstance(entry.event, Return))
            found.update(source.sha256 for source in sources if source is not None and source.sha256)
    return found


def _import(ledger: Ledger, file: SampleFile) -> tuple[int, int]:
    options = ImportOptions(
        unit="qianyuan", period=file.period, stage="preliminary" if file.stage == "preliminary" else "final"
    )
    imported = import_file(ledger, file.path, options, actor=ACTOR)
    if imported.answer is None:
        sys.exit("\n".join(f"{line.file} 第{line.row}行：{line.message}" for line in imported.lines))
    return imported.answer.filed, imported.answer.revised


def _keys(ledger: Ledger, path: Path) -> list[str]:
    """The keys of the demo users. Only a demo may keep them in a file, next to the database."""
    with read_transaction(ledger.engine) as connection:
        present = {key.name for key in list_keys(connection)}
    tokens = dict(line.split(" ", 1) for line in _read_lines(path))
    for name, role, with_figures in DEMO_USERS:
        if name not in present:
            _record_key(ledger, name, role)
            with write_transaction(ledger.engine) as connection:
                token = create_key(
                    connection, name=name, role=role, with_figures=with_figures, now_us=ledger.clock()
                )
            tokens[name] = token or ""
    lines = [f"{name} {tokens.get(name, '（密钥文件已删除）')}" for name, _, _ in DEMO_USERS]
    with new_file(path) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return [f"示例用户的密钥（也在{path}）：", *(f"  {line}" for line in lines)]


def _record_key(ledger: Ledger, name: str, role: Role) -> None:
    with closing(DisclosureLog(ledger.engine, ledger.clock)) as log:
        log.record(Entry(kind="key-created", actor=ACTOR, route="make run", key=name, query=role))


def _verifier_key(path: Path) -> str:
    """The public key that verifies checkpoints; the key that signs them is created if there is none."""
    try:
        signer = read_audit_key(path) or make_audit_key(path, DEFAULT_ORIGIN)
    except AuditKeyError as error:
        sys.exit(str(error))
    return signer.verifier.text


def _read_lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


def _summary(ledger: Ledger) -> None:
    with read_transaction(ledger.engine) as connection:
        for window in WINDOWS:
            policy_as_of = choose_policy(ledger, connection, window, None, NOW)
            if isinstance(policy_as_of, PolicyAsOf):
                _print_window(connection, window, policy_as_of)


def _print_window(connection: Connection, window: str, policy_as_of: PolicyAsOf) -> None:
    policy = policy_as_of.policy_id or ""
    list_filter = ListFilter(policy=policy, window=window)
    listed = list_accounts(
        connection, list_filter, policy_as_of, sort="-assessed_fen", limit=10, after=None, totals=True
    )
    groups = summarise(connection, window, "period", policy_as_of)
    total = listed.totals
    limits = dict.fromkeys(limit for group in groups for limit in group.capped)
    cuts = [f"{cut_name(limit)}{sum(group.capped[limit] for group in groups)}期" for limit in limits]
    console.print()
    console.print(
        bold(Window.parse(window).chinese),
        f"：{0 if total is None else total.total}户，"
        f"测算金额{wanyuan(sum(group.assessed_fen for group in groups))}，"
        f"其中依据待明确口径{wanyuan(sum(group.open_fen for group in groups))}，"
        f"初报数{wanyuan(sum(group.preliminary_fen for group in groups))}；{'，'.join(cuts)}。最高十户：",
        sep="",
    )
    for account in [listed_account.account for listed_account in listed.accounts]:
        bound = {
            name
            for period in periods(connection, policy, account.uscc, window, policy_as_of.moment.position)
            if period.assessed.outcome is not None
            for name in period.assessed.outcome.capped_by
        }
        ceilings = "、".join(text for name, text in CEILINGS.items() if name in bound)
        cut = f"，因{ceilings}核减" if bound else ""
        console.print(
            f"  {account.uscc} {account.name}（{region_name(account.region_code)}）："
            f"{wanyuan(account.assessed_fen)}，其中口径待明确{wanyuan(account.open_fen)}{cut}"
        )


if __name__ == "__main__":
    main()
