"""The answers about the log as a Merkle tree: hashes in base64, formats of C2SP, proofs of RFC 9162."""

import base64

from pydantic import Field

from app.answers.models import Model
from app.transparency.notes import Signer
from app.use_cases.audit.proving import Consistency, Inclusion, Tree
from app.use_cases.audit.receipts import Receipt

_HASH = Field(description="SHA-256 in base64.", examples=["47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="])
_NOTE = Field(description="A signed note: c2sp.org/tlog-checkpoint.")


class CheckpointAnswer(Model):
    """A signed checkpoint of the log, and its content."""

    checkpoint: str = _NOTE
    origin: str
    size: int
    root: str = _HASH
    verifier_key: str = Field(description="`name+id+base64`: keep the one that you receive first.")


class InclusionAnswer(Model):
    """The proof that an event is in the tree of a checkpoint."""

    position: int
    size: int
    leaf: str = Field(description="The canonical line of the event; its bytes in UTF-8 are hashed.")
    leaf_hash: str = _HASH
    proof: list[str] = Field(description="RFC 9162, section 2.1.3, for the leaf index position - 1.")
    root: str = _HASH
    checkpoint: str = _NOTE


class ConsistencyAnswer(Model):
    """The proof that one tree is the beginning of another."""

    first: int
    second: int
    first_root: str = _HASH
    second_root: str = _HASH
    proof: list[str] = Field(description="RFC 9162, section 2.1.4; empty if none is needed.")
    checkpoint: str = Field(description="The signed note of the second tree: c2sp.org/tlog-checkpoint.")


class ReceiptPeriod(Model):
    """The amounts of a period's last assessment."""

    period: str
    assessed_fen: int
    open_fen: int


class ReceiptAccount(Model):
    """The assessed amounts of an account under one policy."""

    policy: str
    periods: list[ReceiptPeriod]
    assessed_fen: int


class ReceiptEvent(Model):
    """An event, and the proof that it is in the tree of the checkpoint."""

    leaf: str
    proof: list[str]


class ReceiptAnswer(Model):
    """The events of an enterprise's window, with proofs; `docs/verify_receipt.py` verifies it offline."""

    uscc: str
    window: str
    accounts: list[ReceiptAccount]
    events: list[ReceiptEvent] = Field(
        description="Whole streams: returns of the years, accounts of the window, and their policies."
    )
    checkpoint: str = _NOTE
    verifier_key: str


def checkpoint_answer(tree: Tree, signer: Signer) -> CheckpointAnswer:
    """Sign and present a tree."""
    return CheckpointAnswer(
        checkpoint=_note(tree, signer),
        origin=signer.verifier.name,
        size=tree.size,
        root=_text(tree.root),
        verifier_key=signer.verifier.text,
    )


def inclusion_answer(proved: Inclusion, signer: Signer) -> InclusionAnswer:
    """Present a proof of inclusion, with its checkpoint."""
    return InclusionAnswer(
        position=proved.position,
        size=proved.tree.size,
        leaf=proved.leaf,
        leaf_hash=_text(proved.leaf_hash),
        proof=_texts(proved.proof),
        root=_text(proved.tree.root),
        checkpoint=_note(proved.tree, signer),
    )


def consistency_answer(proved: Consistency, signer: Signer) -> ConsistencyAnswer:
    """Present a proof of consistency, with the checkpoint of the later tree."""
    return ConsistencyAnswer(
        first=proved.first.size,
        second=proved.second.size,
        first_root=_text(proved.first.root),
        second_root=_text(proved.second.root),
        proof=_texts(proved.proof),
        checkpoint=_note(proved.second, signer),
    )


def receipt_answer(receipt: Receipt, signer: Signer) -> ReceiptAnswer:
    """Present a receipt, with its checkpoint."""
    return ReceiptAnswer(
        uscc=receipt.uscc,
        window=receipt.window,
        accounts=[
            ReceiptAccount(
                policy=account.policy,
                periods=[
                    ReceiptPeriod(
                        period=assessed.period,
                        assessed_fen=assessed.assessed_fen,
                        open_fen=assessed.open_fen,
                    )
                    for assessed in account.periods
                ],
                assessed_fen=account.assessed_fen,
            )
            for account in receipt.accounts
        ],
        events=[ReceiptEvent(leaf=event.leaf, proof=_texts(event.proof)) for event in receipt.events],
        checkpoint=_note(receipt.tree, signer),
        verifier_key=signer.verifier.text,
    )


def _note(tree: Tree, signer: Signer) -> str:
    return signer.sign_checkpoint(size=tree.size, root=tree.root)


def _text(hashed: bytes) -> str:
    return base64.b64encode(hashed).decode()


def _texts(hashes: list[bytes]) -> list[str]:
    return [_text(hashed) for hashed in hashes]
