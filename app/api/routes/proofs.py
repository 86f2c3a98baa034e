"""`/v1/audit`: signed checkpoints of the log, proofs against them, receipts."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from pydantic import Field

from app.answers import proofs as proof_models
from app.api.http.context import AuditorKey, LedgerNeeded, MomentQuery
from app.api.http.disclosing import ShownNeeded, shows_figures, shows_no_figures
from app.api.http.errors_declared import errors
from app.api.http.paths import POSITION, parse_uscc, parse_window
from app.api.http.problems import RETRY_AFTER_S, ApiProblem
from app.api.http.query import QueryModel
from app.api.http.read_again import ReadAgain
from app.runtime.database import read_transaction
from app.runtime.limits import SEALED_PER_CALL_MOST
from app.transparency.audit_key import AuditKeyError, read_audit_key
from app.transparency.notes import Signer
from app.transparency.sealing import seal
from app.use_cases.audit.proving import prove_consistency, prove_inclusion, tree_at
from app.use_cases.audit.receipts import write_receipt

router = APIRouter(prefix="/v1/audit", tags=["audit"], route_class=ReadAgain)

_TEXT: Final = "text/plain"
_AS_TEXT: Final[dict[int | str, dict[str, Any]]] = {
    200: {"content": {_TEXT: {"schema": {"type": "string", "description": "The signed note alone."}}}}
}
_AHEAD: Final = "More than the log has: 422. By default, all sealed events."


class SizeQuery(QueryModel):
    """The query of an answer about one checkpoint."""

    size: Annotated[int | None, Field(ge=0, description=f"The number of events. {_AHEAD}"), POSITION] = None


class ConsistencyQuery(QueryModel):
    """The query of a proof between two checkpoints."""

    first: Annotated[int, Field(ge=0, description="The number of events."), POSITION]
    second: Annotated[int, Field(ge=0, description="The number of events."), POSITION]


def load_signer(request: Request, _: AuditorKey) -> Signer:
    """Load the key with which the service signs checkpoints.

    Raises:
        ApiProblem: 503, there is no key, or it is not usable.
    """
    path = request.app.state.audit_key_file
    try:
        signer = None if path is None else read_audit_key(path)
    except AuditKeyError as error:
        raise _no_audit_key(f"签名密钥不可用：{error}。") from error
    if signer is None:
        raise _no_audit_key("没有签名密钥，请先运行duixian audit key。")
    return signer


def _no_audit_key(detail: str) -> ApiProblem:
    return ApiProblem(503, "no-audit-key", detail, headers={"Retry-After": RETRY_AFTER_S})


def seal_log(ledger: LedgerNeeded, _: Annotated[Signer, Depends(load_signer)]) -> None:
    """Seal the latest events, so that the answer covers them."""
    seal(ledger, at_most=SEALED_PER_CALL_MOST)


SignerNeeded = Annotated[Signer, Depends(load_signer)]
SEALED: Final = [Depends(seal_log)]


@router.get(
    "/checkpoint",
    operation_id="getCheckpoint",
    response_model=proof_models.CheckpointAnswer,
    responses={**errors(400, 401, 403, 422, 503), **_AS_TEXT},
    dependencies=SEALED,
)
@shows_no_figures
def read_checkpoint(
    request: Request, ledger: LedgerNeeded, signer: SignerNeeded, query: Annotated[SizeQuery, Query()]
) -> Any:
    """Read a signed checkpoint; as `text/plain` the signed note alone."""
    with read_transaction(ledger.engine) as connection:
        tree = tree_at(ledger, connection, query.size)
    answer = proof_models.checkpoint_answer(tree, signer)
    if _TEXT in request.headers.get("accept", ""):
        return Response(answer.checkpoint, media_type=_TEXT)
    return answer


@router.get(
    "/inclusion/{position}",
    operation_id="proveInclusion",
    response_model=proof_models.InclusionAnswer,
    responses=errors(400, 401, 403, 422, 503),
    dependencies=SEALED,
)
@shows_figures
def read_inclusion(
    ledger: LedgerNeeded,
    signer: SignerNeeded,
    shown: ShownNeeded,
    position: Annotated[int, Path(ge=1), POSITION],
    query: Annotated[SizeQuery, Query()],
) -> proof_models.InclusionAnswer:
    """Prove that the event at a position is in the log of a checkpoint."""
    with read_transaction(ledger.engine) as connection:
        proved = prove_inclusion(ledger, connection, position=position, size=query.size)
    shown.records(0 if proved.uscc is None else 1, uscc=proved.uscc)
    return proof_models.inclusion_answer(proved, signer)


@router.get(
    "/consistency",
    operation_id="proveConsistency",
    response_model=proof_models.ConsistencyAnswer,
    responses=errors(400, 401, 403, 422, 503),
    dependencies=SEALED,
)
@shows_no_figures
def read_consistency(
    ledger: LedgerNeeded, signer: SignerNeeded, query: Annotated[ConsistencyQuery, Query()]
) -> proof_models.ConsistencyAnswer:
    """Prove that the log of one checkpoint is the beginning of the log of another."""
    if query.first > query.second:
        raise ApiProblem(400, "invalid-request", "first不能大于second。")
    with read_transaction(ledger.engine) as connection:
        proved = prove_consistency(ledger, connection, first=query.first, second=query.second)
    return proof_models.consistency_answer(proved, signer)


@router.get(
    "/receipts/{uscc}/{window}",
    operation_id="getReceipt",
    response_model=proof_models.ReceiptAnswer,
    responses=errors(400, 401, 403, 404, 422, 503),
    dependencies=SEALED,
)
@shows_figures
def read_receipt(
    ledger: LedgerNeeded,
    signer: SignerNeeded,
    shown: ShownNeeded,
    query: Annotated[MomentQuery, Query()],
    uscc: str,
    window: str,
) -> proof_models.ReceiptAnswer:
    """Read the events of an enterprise's window with their proofs, for offline verification."""
    moment, asked = query.moment(ledger), parse_window(window)
    with read_transaction(ledger.engine) as connection:
        receipt = write_receipt(ledger, connection, uscc=parse_uscc(uscc), window=str(asked), asked=moment)
    if receipt is None:
        raise ApiProblem(404, "not-found", f"{uscc}在{asked.chinese}没有登记过数据。")
    shown.records(len(receipt.events), uscc=uscc)
    return proof_models.receipt_answer(receipt, signer)
