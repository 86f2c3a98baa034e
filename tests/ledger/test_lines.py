"""A row of the log and its line are each other's, byte for byte."""

import json

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.ledger.lines import Line, LineError, canonical, parse
from tests.golden.golden import read_golden

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
WHOLE = st.integers(0, 2**63 - 1)
STATE = st.dictionaries(TEXT, st.none() | st.integers(-(2**63), 2**63 - 1) | TEXT, max_size=4)
LINES = st.builds(
    Line,
    position=WHOLE,
    stream=TEXT,
    version=WHOLE,
    topic=TEXT,
    recorded_at_us=WHOLE,
    actor=TEXT,
    batch_id=TEXT,
    transaction_end=WHOLE,
    state=STATE.map(msgspec.json.encode),
)
GOLDEN = [Line(**{**msgspec.structs.asdict(event), "state": bytes(event.state)}) for event in read_golden()]


@settings(max_examples=150, deadline=None, derandomize=True)
@given(line=LINES)
def test_a_line_is_one_line_of_json_that_reads_as_its_row(line: Line) -> None:
    written = canonical(line)
    assert b"\n" not in written
    assert json.loads(written) == {
        "position": line.position,
        "stream": line.stream,
        "version": line.version,
        "type": line.topic,
        "recorded_at_us": line.recorded_at_us,
        "actor": line.actor,
        "batch_id": line.batch_id,
        "transaction_end": line.transaction_end,
        "data": json.loads(line.state),
    }
    assert parse(written) == line


@settings(max_examples=300, deadline=None, derandomize=True)
@given(line=st.sampled_from(GOLDEN), at=st.integers(0, 2_000), flipped=st.integers(1, 255))
def test_a_line_with_another_byte_is_none_or_that_of_another_row(line: Line, at: int, flipped: int) -> None:
    written = canonical(line)
    at %= len(written)
    changed = written[:at] + bytes([written[at] ^ flipped]) + written[at + 1 :]
    try:
        read = parse(changed)
    except LineError:
        return
    assert read != line
    assert canonical(read) == changed


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b'{"position":1,', b'{ "position":1,'),
        (b'{"position":1,', b'{"position":1,"position":1,'),
        (b'{"position":1,', b'{"position":01,'),
        (b'"actor":"statistics"', b'"actor":"\\u0073tatistics"'),
        (b'"actor":"statistics"', b'"actor":"\xff"'),
        (b'"actor":"statistics",', b'"actor":"statistics","more":1,'),
        (b'"actor":"statistics",', b""),
        (b'"version":1', b'"version":1.0'),
        (b'"version":1', b'"version":true'),
        (b'"data":{', b'"data":' + b"[" * 100_000 + b"{"),
        (b'"data":{', b'"data":{},"data":{'),
    ],
    ids=lambda written: written[:40].decode(errors="replace"),
)
def test_a_text_that_is_not_canonical_is_not_a_line(before: bytes, after: bytes) -> None:
    written = canonical(GOLDEN[0])
    assert written.count(before) == 1
    with pytest.raises(LineError):
        parse(written.replace(before, after))
