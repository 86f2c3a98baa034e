"""Signed notes against what the specification and golang.org/x/mod/sumdb/note publish."""

import base64

import pytest
from Crypto.PublicKey import ECC
from Crypto.Signature import eddsa
from hypothesis import given
from hypothesis import strategies as st

from app.runtime.limits import NOTE_MOST_SIGNATURES
from app.transparency.notes import Checkpoint, NoteError, Signer, Verifier, read_checkpoint

# The example in the documentation of golang.org/x/mod/sumdb/note.
GO_SECRET = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"  # noqa: S105
GO_KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
GO_TEXT = (
    "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
)
GO_NOTE = (
    f"{GO_TEXT}\n— PeterNeumann "
    "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)
# The example in c2sp.org/signed-note, "Verifier keys".
SPEC_KEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
SPEC_NOTE = (
    "This is an example message.\n\n— example.com/foo "
    "Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"
)
# The example in c2sp.org/tlog-checkpoint, "Note text".
SPEC_CHECKPOINT = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"

SIGNER = Signer("duixian.example/log", bytes(range(32)))
ROOT = bytes(range(32, 64))
NOTE = SIGNER.sign_checkpoint(size=20_852_163, root=ROOT)


def test_the_published_note_is_signed_alike() -> None:
    assert Signer.parse(GO_SECRET).sign(GO_TEXT) == GO_NOTE


def test_the_published_notes_verify() -> None:
    assert Verifier.parse(GO_KEY).verified(GO_NOTE) == GO_TEXT
    assert Verifier.parse(SPEC_KEY).verified(SPEC_NOTE) == "This is an example message.\n"


def test_the_published_checkpoint_is_read_and_written_alike() -> None:
    read = Checkpoint.parse(SPEC_CHECKPOINT)
    assert (read.origin, read.size) == ("example.com/behind-the-sofa", 20_852_163)
    assert read.text() == SPEC_CHECKPOINT


def test_keys_are_written_as_they_are_read() -> None:
    assert Signer.parse(GO_SECRET).secret_text == GO_SECRET
    assert Signer.parse(GO_SECRET).verifier.text == GO_KEY
    assert Verifier.parse(SPEC_KEY).text == SPEC_KEY


def test_a_checkpoint_of_ours_verifies_with_an_implementation_that_is_not_ours() -> None:
    text, line = NOTE.split("\n\n")
    dash, name, signed = line.rstrip("\n").split(" ")
    assert (dash, name) == ("—", "duixian.example/log")
    key_id = bytes.fromhex(SIGNER.verifier.text.split("+")[1])
    public = base64.b64decode(SIGNER.verifier.text.split("+", 2)[2])[1:]
    assert base64.b64decode(signed)[:4] == key_id
    key = eddsa.import_public_key(public)
    assert isinstance(key, ECC.EccKey)
    eddsa.new(key, "rfc8032").verify(f"{text}\n".encode(), base64.b64decode(signed)[4:])


def test_a_checkpoint_of_ours_is_read_again() -> None:
    expected = Checkpoint(origin="duixian.example/log", size=20_852_163, root=ROOT)
    assert read_checkpoint(NOTE, SIGNER.verifier) == expected


def test_a_further_signature_by_another_key_is_ignored() -> None:
    other = Signer("witness.example", bytes(32)).sign("another text\n").split("\n\n")[1]
    assert read_checkpoint(NOTE + other, SIGNER.verifier).size == 20_852_163


def test_every_signature_of_the_key_must_be_valid() -> None:
    wrong = SIGNER.sign("another text\n").split("\n\n")[1]
    with pytest.raises(NoteError, match="is not valid"):
        SIGNER.verifier.verified(NOTE + wrong)


def test_a_note_that_the_key_did_not_sign_is_refused() -> None:
    same_name = Signer("duixian.example/log", bytes(32))
    with pytest.raises(NoteError, match="not signed by"):
        read_checkpoint(same_name.sign_checkpoint(size=1, root=ROOT), SIGNER.verifier)


def test_a_checkpoint_of_another_log_is_refused() -> None:
    note = SIGNER.sign(Checkpoint("another.example/log", 1, ROOT).text())
    with pytest.raises(NoteError, match=r"another\.example/log"):
        read_checkpoint(note, SIGNER.verifier)


@given(st.data())
def test_a_note_with_any_character_altered_is_refused(data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(NOTE) - 1))
    other = data.draw(st.characters().filter(lambda char: char != NOTE[at]))
    with pytest.raises(NoteError):
        read_checkpoint(NOTE[:at] + other + NOTE[at + 1 :], SIGNER.verifier)


@given(st.text(st.sampled_from("— \n+abc0123=/AQ\r\t\ud800"), max_size=60))
def test_what_is_no_note_or_key_is_refused_and_nothing_else_happens(text: str) -> None:
    for read in (SIGNER.verifier.verified, Verifier.parse, Signer.parse, Checkpoint.parse):
        with pytest.raises(NoteError):
            read(text)


@given(st.data())
def test_a_key_with_any_character_altered_is_refused(data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(GO_KEY) - 1))
    other = data.draw(st.sampled_from([char for char in "abcXYZ019+/= \n" if char != GO_KEY[at]]))
    with pytest.raises(NoteError):
        Verifier.parse(GO_KEY[:at] + other + GO_KEY[at + 1 :])


@pytest.mark.parametrize(
    "text",
    [
        SPEC_CHECKPOINT.replace("20852163", "020852163"),
        SPEC_CHECKPOINT.replace("20852163", "-1"),
        SPEC_CHECKPOINT.replace("20852163", "9" * 5000),
        SPEC_CHECKPOINT.replace("20852163", "２０８"),
        SPEC_CHECKPOINT.replace("2I=\n", "2J=\n"),
        SPEC_CHECKPOINT.replace("CsUY", ""),
        SPEC_CHECKPOINT.removesuffix("\n"),
        SPEC_CHECKPOINT + "\nafter an empty line\n",
        SPEC_CHECKPOINT.replace("example.com/behind-the-sofa", ""),
    ],
)
def test_a_text_that_is_no_checkpoint_is_refused(text: str) -> None:
    with pytest.raises(NoteError):
        Checkpoint.parse(text)


def test_lines_that_extend_a_checkpoint_are_not_looked_at() -> None:
    assert Checkpoint.parse(SPEC_CHECKPOINT + "an extension\nanother\n") == Checkpoint.parse(SPEC_CHECKPOINT)


@pytest.mark.parametrize("others", [16, NOTE_MOST_SIGNATURES - 1])
def test_a_note_that_many_others_signed_too_is_verified(others: int) -> None:
    line = Signer("witness.example/w", bytes(32)).verifier.signature_line(bytes(64))
    assert read_checkpoint(NOTE + line * others, SIGNER.verifier).root == ROOT


def test_a_note_with_more_signatures_than_any_has_is_refused_unread() -> None:
    with pytest.raises(NoteError, match="at most"):
        SIGNER.verifier.verified(NOTE + "no signature\n" * NOTE_MOST_SIGNATURES)


@pytest.mark.parametrize("name", ["", "with space", "with+plus", "with\nnewline", "full\u3000width"])
def test_a_name_that_a_note_cannot_carry_is_refused(name: str) -> None:
    with pytest.raises(NoteError, match="name of a key"):
        Signer.generate(name)


def test_generated_keys_differ() -> None:
    assert Signer.generate("log").verifier.text != Signer.generate("log").verifier.text
