"""The file of the key that signs the checkpoints of the log."""

from pathlib import Path

from app.runtime.new_files import flush, partial_folder
from app.runtime.private_files import make_private_folder, open_private
from app.transparency.notes import NoteError, Signer


class AuditKeyError(Exception):
    """The file of the key exists but cannot be used."""


def make_audit_key(path: Path, name: str) -> Signer:
    """Create a key and its file, which only its owner can read.

    Raises:
        NoteError: A key cannot have this name.
        FileExistsError: The file exists already; it is not touched.
        OSError: The file cannot be written.
    """
    signer = Signer.generate(name)
    make_private_folder(path.parent)
    with partial_folder(path) as folder:
        whole = folder / path.name
        with open_private(whole, "x", encoding="utf-8") as file:
            file.write(f"{signer.secret_text}\n")
        flush(whole)
        path.hardlink_to(whole)  # Unlike a rename, a hard link never replaces an existing key.
        flush(path.parent)
    return signer


def read_audit_key(path: Path) -> Signer | None:
    """The key in a file; None if the file does not exist.

    Raises:
        AuditKeyError: The file cannot be read, or does not hold a key.
    """
    try:
        return Signer.parse(path.read_text(encoding="utf-8").removesuffix("\n"))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise AuditKeyError(f"{path}无法读取（{error.strerror}）") from error
    except (NoteError, UnicodeDecodeError) as error:
        raise AuditKeyError(f"{path}不是签名密钥（{error}）") from error


def verifier_key_in(path: Path | None) -> str | None:
    """The public key that verifies checkpoints signed with the key in a file; None without a usable key."""
    try:
        signer = None if path is None else read_audit_key(path)
    except AuditKeyError:
        return None
    return None if signer is None else signer.verifier.text
