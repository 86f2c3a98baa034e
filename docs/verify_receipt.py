"""Verifies a receipt (核验凭据) of Duixian offline: with the standard library and `cryptography` alone.

    python verify_receipt.py receipt.json --key VKEY

`VKEY` is the verifier key of the log (`name+id+base64`) as you kept it yourself; the one inside the receipt
is not trusted. Exit codes: 0 everything fits, 1 something does not, 2 wrong usage.

It shows that the events of the receipt are in the log that the key signed, unaltered and with no version left
out, and that the amounts which the receipt states are those of the last assessments. It does not show that no
later event followed, for which a later receipt is needed, nor that the policy was applied rightly: the replay
of the log (复算) does.

Formats: c2sp.org/signed-note and tlog-checkpoint; proofs by RFC 9162, section 2.1.3.2.
"""

import argparse
import base64
import hashlib
import json
import re
import sys
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

LINE_FIELDS = {
    "position": int,
    "stream": str,
    "version": int,
    "type": str,
    "recorded_at_us": int,
    "actor": str,
    "batch_id": str,
    "transaction_end": int,
    "data": dict,
}
RETURN_TYPES = {"ReturnFiled", "ReturnRevised", "ReturnWithdrawn"}
HASH_BYTES = 32


class NotVerifiedError(Exception):
    """A check failed; the message says in Chinese what is wrong, and where."""


def main() -> None:
    """Verify the receipt that the command line names, and print what was verified."""
    parser = argparse.ArgumentParser(description="脱机核验兑现台账的核验凭据。")
    parser.add_argument("receipt", type=Path, help="核验凭据文件（JSON）")
    parser.add_argument("--key", required=True, help="自行留存的台账验证公钥")
    arguments = parser.parse_args()
    try:
        lines = verify(arguments.receipt.read_bytes(), arguments.key)
    except OSError as error:
        sys.exit(f"核验未通过：{arguments.receipt}无法读取：{error.strerror}")
    except NotVerifiedError as error:
        sys.exit(f"核验未通过：{error}")
    sys.stdout.write("\n".join(lines) + "\n")


def verify(content: bytes, verifier_key: str) -> list[str]:
    """Verify a receipt; return the lines of the report, in Chinese.

    Args:
        content: The bytes of the receipt.
        verifier_key: As it was kept.

    Raises:
        NotVerifiedError: A check failed.
    """
    receipt = parsed(content, "核验凭据")
    fields = ("uscc", str), ("window", str), ("accounts", list), ("events", list), ("checkpoint", str)
    uscc, window, accounts, given, note, named_key = taken(
        receipt, dict([*fields, ("verifier_key", str)]), "核验凭据"
    )
    if named_key != verifier_key:
        raise NotVerifiedError("核验凭据所附的验证公钥与留存的公钥不同")
    origin, size, root = verified_checkpoint(note, verifier_key)
    events = [verified_event(item, n, size, root) for n, item in enumerate(given, 1)]
    streams = complete_streams(events)
    policies = [account_policy(account, n) for n, account in enumerate(accounts, 1)]
    check_stream_names(set(streams), uscc, window, policies)
    documents = {policy: verified_documents(streams[f"policy/{policy}"], policy) for policy in policies}
    for policy, account in zip(policies, accounts, strict=True):
        assessed = streams[f"entitlement/{policy}/{uscc}/{window}"]
        for event in assessed:
            check_assessment(event, policy, documents[policy], streams, (uscc, window))
        check_amounts(account, assessed, policy)
    return report(uscc, window, accounts, streams, f"{origin}，台账记录{size}条")


def report(uscc: str, window: str, accounts: list[Any], streams: dict[str, list[Any]], log: str) -> list[str]:
    """Write the lines of the report."""
    count = sum(map(len, streams.values()))
    lines = [
        f"核验通过：{uscc} {chinese_window(window)}",
        f"1. 日志校验点的签名与留存的公钥相符（{log}）。",
        f"2. 凭据所载{count}条记录均原样包含在该校验点内。",
        f"3. {len(streams)}个记录序列的版本自1起连续。",
        "4. 测算所依据的政策文件与其指纹相符，所用数据均在凭据内。",
        "5. 凭据所列金额与凭据所载各期最后一次测算相符：",
    ]
    for account in accounts:
        lines.append(f"   政策{account['policy']}：合计{wanyuan(account['assessed_fen'])}")
        lines += [
            f"     {chinese(period['period'])}：{wanyuan(period['assessed_fen'])}，"
            f"其中依据待明确口径{wanyuan(period['open_fen'])}"
            for period in account["periods"]
        ]
    if not accounts:
        lines.append("   没有测算记录。")
    lines.append(
        "未核验：凭据所列之后有无其他记录，无论在校验点之内或之后（须核验整份导出件）；测算是否符合政策（须复算）。"
    )
    return lines


def chinese_window(window: str) -> str:
    """A window as an official writes it: `2024年上半年`, `2024年第二季度`, `2024—2025年`."""
    year, rest = window[:4], window[4:]
    if rest.startswith("-"):
        return chinese(window)
    names = {"": "年", "H1": "年上半年", "H2": "年下半年"}
    names |= {f"Q{n}": f"年第{name}季度" for n, name in enumerate("一二三四", 1)}
    return year + names.get(rest, f"—{rest[1:]}年")


def chinese(period: str) -> str:
    """Format a period as officials write it: `2024年3月`, `2024年1—2月`."""
    year, months = period.split("-")
    return f"{year}年{'—'.join(str(int(month)) for month in months.split('~'))}月"


def wanyuan(fen: int) -> str:
    """Format an amount of fen in 万元, exactly."""
    whole, rest = divmod(abs(fen), 1_000_000)
    digits = f"{whole}.{rest:06d}".rstrip("0").rstrip(".")
    return f"{'-' if fen < 0 else ''}{digits}万元"


def parsed(content: bytes | str, where: str) -> Any:
    """Parse a JSON text; duplicate keys are refused."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(pairs)) != len(pairs):
            raise ValueError("a key stands twice")
        return dict(pairs)

    try:
        return json.loads(content, object_pairs_hook=unique)
    except (ValueError, RecursionError) as error:
        raise NotVerifiedError(f"{where}不是有效的JSON：{error}") from error


def taken(value: Any, fields: dict[str, type], where: str, *, others: bool = False) -> list[Any]:
    """Return the values of an object, which must have these fields, and no others unless `others` is set."""
    if not isinstance(value, dict):
        raise NotVerifiedError(f"{where}应为JSON对象")
    for name, kind in fields.items():
        if type(value.get(name)) is not kind:
            raise NotVerifiedError(f"{where}的{name}缺失或类型不符")
    unknown = set() if others else value.keys() - fields.keys()
    if unknown:
        raise NotVerifiedError(f"{where}有不认识的项：{min(unknown)}")
    return [value[name] for name in fields]


def from_base64(text: str, where: str) -> bytes:
    """Decode base64, which must be in canonical form."""
    try:
        decoded = base64.b64decode(text, validate=True)
    except ValueError as error:
        raise NotVerifiedError(f"{where}不是有效的base64") from error
    if base64.b64encode(decoded).decode() != text:
        raise NotVerifiedError(f"{where}不是规范的base64")
    return decoded


def verified_checkpoint(note: str, verifier_key: str) -> tuple[str, int, bytes]:
    """Verify the signature of a checkpoint; return its origin, size and root."""
    name, key_id, public = parsed_key(verifier_key)
    text, _, signatures = note.rpartition("\n\n")
    signed = [
        from_base64(encoded, "校验点的签名")
        for signer, encoded in re.findall(r"^— (\S+) (\S+)$", signatures, re.MULTILINE)
        if signer == name
    ]
    ours = [signature[4:] for signature in signed if signature[:4] == key_id]
    if len(ours) != 1 or not signatures.endswith("\n"):
        raise NotVerifiedError("校验点没有该公钥的签名")
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(ours[0], f"{text}\n".encode())
    except (InvalidSignature, UnicodeEncodeError) as error:
        raise NotVerifiedError("校验点的签名不符：校验点被改动，或不是该公钥所签") from error
    match = re.fullmatch(r"(.+)\n(0|[1-9][0-9]{0,18})\n(.+)(?:\n.+)*", text, re.ASCII)
    if match is None or match.group(1) != name:
        raise NotVerifiedError("校验点不是该台账的校验点")
    return name, int(match.group(2)), from_base64(match.group(3), "校验点的总校验值（Merkle树根）")


def parsed_key(text: str) -> tuple[str, bytes, bytes]:
    """Parse a verifier key; return its name, id and bytes, of which the id must match the others."""
    name, key_id, encoded = [*text.split("+", 2), "", ""][:3]
    key = from_base64(encoded, "验证公钥")
    expected = hashlib.sha256(name.encode("utf-8", "replace") + b"\n" + key).digest()[:4]
    if len(key) != 1 + HASH_BYTES or key[0] != 1 or key_id != expected.hex():
        raise NotVerifiedError("验证公钥不完整或被改动")
    return name, expected, key[1:]


def verified_event(given: Any, number: int, size: int, root: bytes) -> dict[str, Any]:
    """Verify that a leaf is in the tree of the checkpoint; return its event."""
    where = f"第{number}条记录"
    leaf, proof = taken(given, {"leaf": str, "proof": list}, where)
    event = parsed(leaf, where)
    position, *_ = taken(event, LINE_FIELDS, where)
    where = f"{where}（台账序号{position}）"
    if not all(isinstance(text, str) for text in proof):
        raise NotVerifiedError(f"{where}的证明应为文本")
    hashes = [from_base64(text, f"{where}的证明") for text in proof]
    try:
        leaf_hash = hashlib.sha256(b"\x00" + leaf.encode()).digest()
    except UnicodeEncodeError as error:
        raise NotVerifiedError(f"{where}不是有效的文本") from error
    if not is_included(leaf_hash, position - 1, size, hashes, root):
        raise NotVerifiedError(f"{where}不在校验点内：记录或证明被改动")
    return dict(event)


def is_included(leaf_hash: bytes, index: int, size: int, proof: list[bytes], root: bytes) -> bool:
    """Verify a proof of inclusion: RFC 9162, section 2.1.3.2."""
    if not 0 <= index < size or any(len(sibling) != HASH_BYTES for sibling in proof):
        return False
    fn, sn, computed = index, size - 1, leaf_hash
    for sibling in proof:
        if sn == 0:
            return False
        if fn % 2 == 1 or fn == sn:
            computed = hashlib.sha256(b"\x01" + sibling + computed).digest()
            while fn % 2 == 0 and fn != 0:
                fn, sn = fn // 2, sn // 2
        else:
            computed = hashlib.sha256(b"\x01" + computed + sibling).digest()
        fn, sn = fn // 2, sn // 2
    return sn == 0 and computed == root


def complete_streams(events: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Group the events by stream; the versions of each must be 1, 2, 3 … in the order of the log."""
    streams: dict[str, list[dict[str, Any]]] = {}
    for event in events:
        streams.setdefault(event["stream"], []).append(event)
    for name, stream in streams.items():
        versions = [event["version"] for event in stream]
        if versions != list(range(1, len(stream) + 1)):
            raise NotVerifiedError(f"记录序列{name}的版本不连续：{versions}")
        positions = [event["position"] for event in stream]
        if positions != sorted(set(positions)):
            raise NotVerifiedError(f"记录序列{name}的台账序号不递增：{positions}")
    return streams


def account_policy(account: Any, number: int) -> str:
    """Check the fields of an account in the receipt; return its policy."""
    fields = {"policy": str, "periods": list, "assessed_fen": int}
    policy: str = taken(account, fields, f"第{number}项金额")[0]
    return policy


def check_stream_names(names: set[str], uscc: str, window: str, policies: list[str]) -> None:
    """Check that the streams are exactly those of the enterprise, the window and the policies."""
    months = months_of(window)
    if months is None:
        raise NotVerifiedError(f"期间“{window}”无法识别")
    if not names and not policies:  # As of a moment before anything was filed.
        return
    years = range(months[0] // 12, months[1] // 12 + 1)
    returns = {f"returns/{uscc}/{year}" for year in years}
    expected = returns & names or returns  # A year in which nothing was filed has no stream.
    for policy in policies:
        expected |= {f"policy/{policy}", f"entitlement/{policy}/{uscc}/{window}"}
    if names != expected or len(set(policies)) != len(policies):
        differing = sorted(names ^ expected) or policies
        raise NotVerifiedError(f"记录序列与该企业、该期间不符：{differing[0]}")


def verified_documents(published: list[dict[str, Any]], policy: str) -> dict[int, str]:
    """Verify the fingerprint of each published version against the document in its event; return them."""
    found = {}
    for event in published:
        where = f"政策文件（台账序号{event['position']}）"
        if event["type"] in {"PolicyWithdrawn", "PolicyAssessed"}:
            if taken(event["data"], {"policy": str, "version": int}, where, others=True) != [
                policy,
                len(found),
            ]:
                raise NotVerifiedError(f"{where}所指的不是当时的最新版本")
            continue
        fields = {"policy": str, "version": int, "sha256": str, "document": dict}
        name, version, sha256, document = taken(event["data"], fields, where, others=True)
        canonical = json.dumps(document, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        fits = hashlib.sha256(canonical.encode()).hexdigest() == sha256
        if event["type"] != "PolicyPublished" or (name, version) != (policy, len(found) + 1) or not fits:
            raise NotVerifiedError(f"{where}与其指纹不符")
        found[version] = sha256
    return found


def check_assessment(
    event: dict[str, Any],
    policy: str,
    documents: dict[int, str],
    streams: dict[str, list[dict[str, Any]]],
    account: tuple[str, str],
) -> None:
    """Check that an assessment uses a published document, this window, and returns that were filed before."""
    where = f"测算（台账序号{event['position']}）"
    data = event["data"]
    period, ref = taken(data, {"period": str, "policy": dict}, where, others=True)
    name, version, sha256 = taken(ref, {"id": str, "version": int, "sha256": str}, f"{where}的政策")
    months, within = months_of(period), months_of(account[1])
    is_within = months and within and within[0] <= months[0] and months[1] <= within[1]
    if event["type"] not in {"EntitlementAssessed", "EntitlementAssessed.2"} or not is_within:
        raise NotVerifiedError(f"{where}不是该期间的测算")
    if name != policy or documents.get(version) != sha256:
        raise NotVerifiedError(f"{where}所引政策文件不在凭据内，或指纹不符")
    for stream, used, form in used_records(event, account[0], where):
        before = [other for other in streams.get(stream, []) if other["position"] < event["position"]]
        if not 1 <= used <= len(before) or not is_return_within(before[used - 1], period, form):
            raise NotVerifiedError(f"{where}所用数据（版本{used}）不在凭据内，或不是该期该表的数据")


def used_records(event: dict[str, Any], uscc: str, where: str) -> list[tuple[str, int, str | None]]:
    """The records that an assessment used: the stream, the version, and the form if it names one.

    Earlier versions of assessments name the forms, and the versions of the year's stream.
    """
    data, where = event["data"], f"{where}所用数据"
    if event["type"] == "EntitlementAssessed":
        stream = f"returns/{uscc}/{data['period'][:4]}"
        given = taken(data, {"returns": list}, where, others=True)[0]
        used = [taken(record, {"form": str, "version": int}, where) for record in given]
        return [(stream, version, form) for form, version in used]
    given = taken(data, {"records": list}, where, others=True)[0]
    used = [taken(record, {"stream": str, "version": int}, where) for record in given]
    return [(stream, version, None) for stream, version in used]


def is_return_within(event: dict[str, Any], period: str, form: str | None) -> bool:
    """Whether an event registers a return of a period or a part of it, and of the form if one is given."""
    data = event["data"]
    months, within = months_of(str(data.get("period"))), months_of(period)
    if event["type"] not in RETURN_TYPES or months is None or within is None:
        return False
    return form in {None, data.get("form")} and within[0] <= months[0] and months[1] <= within[1]


def months_of(window: str) -> tuple[int, int] | None:
    """The first and last month of `2024`, `2024H1`, `2024Q2`, `2024-03`, `2024-01~02` or `2024~2025`.

    Months are counted from January of the year 0. None for any other text.
    """
    match = re.fullmatch(
        r"([0-9]{4})(?:H([12])|Q([1-4])|-([0-9]{2})(?:~([0-9]{2}))?|~([0-9]{4}))?", window, re.ASCII
    )
    if match is None:
        return None
    year, half, quarter, month, last_month, last_year = [int(digits or 0) for digits in match.groups()]
    january = year * 12
    if half:
        return january + half * 6 - 6, january + half * 6 - 1
    if quarter:
        return january + quarter * 3 - 3, january + quarter * 3 - 1
    if month:
        return january + month - 1, january + (last_month or month) - 1
    return january, (last_year or year) * 12 + 11


def check_amounts(account: dict[str, Any], assessed: list[dict[str, Any]], policy: str) -> None:
    """Check that the amounts of an account are those of the last assessments, and their sum."""
    standing: dict[str, Any] = {}
    for event in assessed:
        standing[event["data"]["period"]] = event["data"].get("outcome")
    expected = [
        {"period": period, "assessed_fen": outcome.get("assessed_fen"), "open_fen": outcome.get("open_fen")}
        for period, outcome in sorted(standing.items())
        if isinstance(outcome, dict)
    ]
    for period in account["periods"]:
        taken(period, {"period": str, "assessed_fen": int, "open_fen": int}, f"政策{policy}的金额")
    if account["periods"] != expected:
        raise NotVerifiedError(f"政策{policy}各期金额与最后一次测算不符")
    if account["assessed_fen"] != sum(period["assessed_fen"] for period in account["periods"]):
        raise NotVerifiedError(f"政策{policy}的合计金额不等于各期之和")


if __name__ == "__main__":
    main()
