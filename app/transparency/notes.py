"""Signed notes and the checkpoints of the log, in the formats of C2SP: c2sp.org/signed-note, tlog-checkpoint.

Keys are written as golang.org/x/mod/sumdb/note writes them, so that the tools of transparency logs read them:
`name+id+base64` to verify, `PRIVATE+KEY+name+id+base64` to sign. The only algorithm is Ed25519.
"""

import base64
import binascii
import hashlib
import re
from typing import Final, Self

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from app.runtime.limits import NOTE_MOST_SIGNATURES

_ED25519: Final = b"\x01"
_KEY_BYTES: Final = 32
_KEY_ID_BYTES: Final = 4
_DASH: Final = "\u2014"
_PRIVATE: Final = "PRIVATE+KEY+"
_CHECKPOINT_LINES: Final = 3
_SIZE: Final = re.compile(r"0|[1-9][0-9]{0,18}", re.ASCII)
_NO_TEXT: Final = re.compile("[\x00-\x09\x0b-\x1f\ud800-\udfff]")
"""Characters that a note may not contain: controls other than a newline, and lone surrogates."""


class NoteError(ValueError):
    """A key or a note is malformed, or a note is not signed by the expected key."""


class Checkpoint(msgspec.Struct, frozen=True):
    """The content of a checkpoint.

    Attributes:
        origin: The name of the log.
        size: The number of its events.
        root: The root of the Merkle tree over them (RFC 9162).
    """

    origin: str
    size: int
    root: bytes

    def text(self) -> str:
        """The text to sign: three lines (tlog-checkpoint, "Note text")."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse the text of a checkpoint. Lines after the third are extensions and are ignored.

        Raises:
            NoteError: The text is not that of a checkpoint.
        """
        *lines, end = text.split("\n")
        if end or "" in lines or len(lines) < _CHECKPOINT_LINES or _SIZE.fullmatch(lines[1]) is None:
            raise NoteError("a checkpoint has an origin, a size and a root, each on a line of its own")
        origin, size, root = lines[:_CHECKPOINT_LINES]
        hashed = _from_base64(root)
        if len(hashed) != hashlib.sha256().digest_size:
            raise NoteError("the root of a checkpoint must be a SHA-256 in base64")
        return cls(origin, int(size), hashed)


class Verifier:
    """Verifies the signatures of one key.

    Args:
        name: The name of the key.
        public: The public key, 32 bytes (RFC 8032).
    """

    def __init__(self, name: str, public: bytes) -> None:
        _check_name(name)
        self.name = name
        self._public = public
        self._key_id = hashlib.sha256(name.encode() + b"\n" + _ED25519 + public).digest()[:_KEY_ID_BYTES]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse a public key written `name+id+base64`.

        Raises:
            NoteError: The text is no such key, or its id does not match its name and its bytes.
        """
        name, key_id, key = _split_key(text)
        verifier = cls(name, key)
        if verifier._key_id != key_id:
            raise NoteError("the id in the key does not match its name and its bytes: it was altered")
        return verifier

    @property
    def text(self) -> str:
        """The public key, written `name+id+base64`."""
        key = base64.b64encode(_ED25519 + self._public).decode()
        return f"{self.name}+{self._key_id.hex()}+{key}"

    def signature_line(self, signature: bytes) -> str:
        """The line of a note for a signature by this key."""
        return f"{_DASH} {self.name} {base64.b64encode(self._key_id + signature).decode()}\n"

    def verified(self, note: str) -> str:
        """The text of a note that this key signed. Signatures by other keys are ignored.

        Raises:
            NoteError: It is not a note, this key did not sign it, or its signature is not valid.
        """
        text, signatures = _split_note(note)
        ours = [signed for name, signed in signatures if self._signed(name, signed)]
        if not ours:
            raise NoteError(f"the note is not signed by {self.name}")
        for signed in ours:
            try:
                Ed25519PublicKey.from_public_bytes(self._public).verify(signed[_KEY_ID_BYTES:], text.encode())
            except InvalidSignature as error:
                raise NoteError(f"the signature of {self.name} on the note is not valid") from error
        return text

    def _signed(self, name: str, signed: bytes) -> bool:
        return name == self.name and signed[:_KEY_ID_BYTES] == self._key_id


class Signer:
    """Signs notes with one key.

    Args:
        name: The name of the key; for the key of a log, the origin of the log.
        seed: The private key, 32 bytes (RFC 8032).
    """

    def __init__(self, name: str, seed: bytes) -> None:
        self._seed = seed
        self._private = Ed25519PrivateKey.from_private_bytes(seed)
        self.verifier = Verifier(name, self._private.public_key().public_bytes_raw())

    @classmethod
    def generate(cls, name: str) -> Self:
        """Create a signer with a new key.

        Raises:
            NoteError: A key cannot have this name.
        """
        return cls(name, Ed25519PrivateKey.generate().private_bytes_raw())

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse a private key written `PRIVATE+KEY+name+id+base64`.

        Raises:
            NoteError: The text is no such key, or its id does not match its name and its bytes.
        """
        if not text.startswith(_PRIVATE):
            raise NoteError(f"a private key begins with {_PRIVATE}")
        name, key_id, seed = _split_key(text.removeprefix(_PRIVATE))
        signer = cls(name, seed)
        if signer.verifier.text.split("+")[1] != key_id.hex():
            raise NoteError("the id in the key does not match its name and its bytes: it was altered")
        return signer

    @property
    def secret_text(self) -> str:
        """The private key, written `PRIVATE+KEY+name+id+base64`: for its file and nothing else."""
        name, key_id, _ = self.verifier.text.split("+", 2)
        return f"{_PRIVATE}{name}+{key_id}+{base64.b64encode(_ED25519 + self._seed).decode()}"

    def sign(self, text: str) -> str:
        """Sign a text, which must end with a newline; the signed note."""
        return f"{text}\n{self.verifier.signature_line(self._private.sign(text.encode()))}"

    def sign_checkpoint(self, *, size: int, root: bytes) -> str:
        """The signed checkpoint of the log whose origin is the name of the key."""
        return self.sign(Checkpoint(self.verifier.name, size, root).text())


def read_checkpoint(note: str, verifier: Verifier) -> Checkpoint:
    """Verify and parse a signed checkpoint.

    Raises:
        NoteError: It is not a checkpoint, not signed by this key, or of a log with another name.
    """
    checkpoint = Checkpoint.parse(verifier.verified(note))
    if checkpoint.origin != verifier.name:
        raise NoteError(f"the checkpoint is of the log {checkpoint.origin}, but the key of {verifier.name}")
    return checkpoint


def _check_name(name: str) -> None:
    if (
        not name
        or "+" in name
        or any(character.isspace() or not character.isprintable() for character in name)
    ):
        raise NoteError("the name of a key needs at least one character, and has no space and no +")


def _split_key(text: str) -> tuple[str, bytes, bytes]:
    """The name, the id and the 32 bytes of a key."""
    name, key_id, encoded = [*text.split("+", 2), "", ""][:3]
    key = _from_base64(encoded)
    if re.fullmatch(r"[0-9a-f]{8}", key_id) is None or len(key) != _KEY_BYTES + 1 or key[:1] != _ED25519:
        raise NoteError("a key is written name+id+base64, and its algorithm is Ed25519")
    _check_name(name)
    return name, bytes.fromhex(key_id), key[1:]


def _split_note(note: str) -> tuple[str, list[tuple[str, bytes]]]:
    """The text of a note, and its signatures with the names of their keys."""
    text, blank, lines = note.rpartition("\n\n")
    if not blank or not lines.endswith("\n") or _NO_TEXT.search(note) is not None:
        raise NoteError("a note has a text, an empty line and lines with signatures")
    if lines.count("\n") > NOTE_MOST_SIGNATURES:
        raise NoteError(f"a note has at most {NOTE_MOST_SIGNATURES} signatures")
    return text + "\n", [_split_signature(line) for line in lines[:-1].split("\n")]


def _split_signature(line: str) -> tuple[str, bytes]:
    dash, name, encoded = [*line.split(" "), "", ""][:3]
    signed = _from_base64(encoded)
    if dash != _DASH or line.count(" ") != 2 or len(signed) <= _KEY_ID_BYTES:  # noqa: PLR2004 - three words
        raise NoteError("the line of a signature has a dash, the name of a key and base64")
    _check_name(name)
    return name, signed


def _from_base64(text: str) -> bytes:
    """Decode base64, accepting only its canonical form.

    Raises:
        NoteError: The text is not canonical base64.
    """
    try:
        decoded = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise NoteError("not base64") from error
    if base64.b64encode(decoded).decode() != text:
        raise NoteError("not canonical base64")
    return decoded
