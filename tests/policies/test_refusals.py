"""A wrong document is refused with the file, the line and the reason of each problem."""

import pytest

from app.runtime.limits import POLICY_MAX_BYTES, POLICY_MAX_NODES
from app.use_cases.policies.loader import PolicyProblem, load_policy, read_document
from tests.builders import SHIPPED_TEXT, edited

FILE = "policies/next.yaml"
HERE = "# here"


def problems_of(text: str | bytes) -> list[PolicyProblem]:
    result = load_policy(text, file=FILE)
    assert isinstance(result, list)
    return result


def line_of(text: str, marker: str = HERE) -> int:
    (line,) = (number for number, line_text in enumerate(text.split("\n"), 1) if marker in line_text)
    return line


AMOUNT = 'ceiling: {yuan: 500000, cite: "14.3"}'
TRADE = 'industries: {prefixes: ["51", "52"], cite: "14.1", reading: industry}'
BAND = """          at_least: {yuan: 1000000, cite: "14.2"}
          below: {yuan: 2000000, cite: "14.2"}
"""
CHOICE = """choice:
  kind: highest
  cite: "14.4"
  reading: highest
"""
LIMITS = """limits:
  - per: month
    ceiling: {yuan: 500000, cite: "14.3"}
  - per: half-year
    ceiling: {yuan: 2000000, cite: "14.5"}
"""
STEP_AMOUNT = (
    "answer: 暂按上限，每个1000万元5万元。零售增长奖励全额口径待明确，原文只规定了上限。\n    status: open"
)

REFUSALS = {
    # The vocabulary.
    "unknown-key": (
        "level: municipal",
        "level: municipal\ncolour: red  # here",
        "colour: unknown key 'colour'",
    ),
    "unknown-key-inside": (
        AMOUNT,
        'ceiling:\n      yuan: 500000\n      cite: "14.3"\n      currency: CNY  # here',
        "limits.0.ceiling.currency: unknown key 'currency'",
    ),
    "unknown-kind-of-reward": (
        "kind: per-whole-step",
        "kind: per-mille  # here",
        "measures.0.reward.kind: Invalid value 'per-mille'",
    ),
    "unknown-level": ("level: municipal", "level: galactic  # here", "level: Invalid enum value 'galactic'"),
    "missing-key-inside": (
        "  - id: rounding\n    name: 金额取整\n    question: 金额如何取整？\n",
        "  - id: rounding  # here\n    name: 金额取整\n",
        "readings.14: Object missing required field `question`",
    ),
    "unknown-clause": ('cite: "14.4"', 'cite: "14.9"  # here', "unknown clause '14.9'"),
    "unknown-reading": (
        "reading: growth-exact",
        "reading: growth-exakt  # here",
        "unknown reading 'growth-exakt'",
    ),
    "unknown-reading-of-the-first-period": (
        "  reading: january-february",
        "  reading: january  # here",
        "unknown reading 'january'",
    ),
    "duplicate-key": (
        "level: municipal",
        "level: municipal\nlevel: provincial  # here",
        "the key 'level' stands twice; the first is in line 10",
    ),
    "duplicate-clause": ('- id: "14.2"', '- id: "14.1"  # here', "the id '14.1' stands twice in clauses"),
    "duplicate-reading": (
        "- id: order",
        "- id: highest  # here",
        "the id 'highest' stands twice in readings",
    ),
    "duplicate-measure": (
        "- id: catering-increment",
        "- id: retail-growth  # here",
        "the id 'retail-growth' stands twice in measures",
    ),
    "id-of-other-characters": (
        "policy: yingkou-2024-14",
        "policy: 营口-2024-14  # here",
        "an id is made of a-z, 0-9 and '-'",
    ),
    "empty-id": ("policy: yingkou-2024-14", 'policy: ""  # here', "an id is made of a-z, 0-9 and '-'"),
    # Sources.
    "number-without-a-source": (AMOUNT, "ceiling: {yuan: 500000}  # here", "a number without a source"),
    "rate-without-a-source": (
        'rate: {basis_points: 800, cite: "14.1"}',
        "rate: {basis_points: 800}  # here",
        "a number without a source",
    ),
    "rule-without-a-source": (CHOICE, "choice:  # here\n  kind: highest\n", "a rule without a source"),
    "band-without-a-source": (
        '        - cite: "14.2"\n          reading: catering-band\n' + BAND,
        "        -\n" + BAND.replace("\n", "  # here\n", 1),
        "a rule without a source",
    ),
    # Decisions.
    "confirmed-without-a-decision": (
        "  - id: step-amount\n    name: 每1000万元的奖励标准\n"
        "    question: “不超过5万元”是上限，每个1000万元实际给予多少？\n    " + STEP_AMOUNT,
        "  - id: step-amount  # here\n    question: 多少？\n    answer: 5万元。\n    status: confirmed",
        "a confirmed reading names its decision",
    ),
    "decision-of-an-open-reading": (
        STEP_AMOUNT,
        'answer: 5万元。\n    status: open\n    decision: {by: 局, document: 号, date: "2024-06-30"}  # here',
        "and only a confirmed one does",
    ),
    "decision-without-its-document": (
        STEP_AMOUNT,
        'answer: 5万元。\n    status: confirmed\n    decision: {by: 局, date: "2024-06-30"}  # here',
        "readings.1.decision: Object missing required field `document`",
    ),
    "unknown-status": (
        STEP_AMOUNT,
        "answer: 5万元。\n    status: settled  # here",
        "readings.1.status: Invalid enum value 'settled'",
    ),
    # Bands, steps, limits, coverage.
    "gap-between-bands": (
        'at_least: {yuan: 2000000, cite: "14.2"}',
        'at_least: {yuan: 2500000, cite: "14.2"}  # here',
        "a gap between bands: 2000000 and 2500000 yuan",
    ),
    "overlap-of-bands": (
        'at_least: {yuan: 2000000, cite: "14.2"}',
        'at_least: {yuan: 1500000, cite: "14.2"}  # here',
        "an overlap between bands: 2000000 and 1500000 yuan",
    ),
    "gap-between-two-bands": (
        "      tail:\n",
        (
            '        - cite: "14.2"\n'
            '          at_least: {yuan: 2000001, cite: "14.2"}  # here\n'
            '          below: {yuan: 2000000, cite: "14.2"}\n'
            '          award: {yuan: 1, cite: "14.2"}\n'
            "      tail:\n"
        ),
        "a gap between bands: 2000000 and 2000001 yuan",
    ),
    "band-that-starts-at-nothing": (
        '        - cite: "14.2"\n          reading: catering-band\n          at_least: {yuan: 1000000',
        '        - cite: "14.2"  # here\n          reading: catering-band\n          at_least: {yuan: 0',
        "a band starts above 0 and ends above its start",
    ),
    "band-that-ends-where-it-starts": (
        '        - cite: "14.2"\n          reading: catering-band\n          at_least: {yuan: 1000000',
        '        - cite: "14.2"  # here\n          reading: months\n          at_least: {yuan: 2000000',
        "a band starts above 0 and ends above its start",
    ),
    "no-band": (
        '      bands:\n        - cite: "14.2"\n          reading: catering-band\n'
        + BAND
        + '          award: {yuan: 20000, cite: "14.2"}\n',
        "      bands: []  # here\n",
        "at least one band stands before a tail",
    ),
    "tail-beyond-its-start": (
        "beyond: {yuan: 1000000, cite",
        "beyond: # here\n          {yuan: 2000001, cite",
        "the tail counts from no more than it begins at",
    ),
    "tail-without-a-step": (
        'step: {yuan: 1000000, cite: "14.2"}',
        'step: {yuan: 0, cite: "14.2"}  # here',
        "a step is more than 0",
    ),
    "steps-of-nothing": (
        'step: {yuan: 10000000, cite: "14.1"}',
        'step: {yuan: 0, cite: "14.1"}  # here',
        "a step is more than 0",
    ),
    "negative-amount": (AMOUNT, 'ceiling: {yuan: -1, cite: "14.3"}  # here', "an amount is at least 0"),
    "amount-without-end": (
        AMOUNT,
        'ceiling: {yuan: 1000000000000000, cite: "14.3"}  # here',
        "an amount is at least 0 and under 10^15 yuan",
    ),
    "negative-rate": (
        'rate: {basis_points: 800, cite: "14.1"}',
        'rate: {basis_points: -1, cite: "14.1"}  # here',
        "a rate is from 0 to 1000000 basis points",
    ),
    "rate-without-end": (
        'rate: {basis_points: 800, cite: "14.1"}',
        'rate: {basis_points: 1000001, cite: "14.1"}  # here',
        "a rate is from 0 to 1000000 basis points",
    ),
    "a-quote-of-no-clause": (
        "    quote: 各月度\n",
        "    quote: 各季度  # here\n",
        "the words '各季度' stand in no clause",
    ),
    "two-limits-of-one-window": (
        "  - per: half-year\n",
        "  - per: month  # here\n",
        "a second limit per month: one for each window is expected",
    ),
    "limit-of-a-week": ("per: half-year", "per: week  # here", "limits.1.per: Invalid enum value 'week'"),
    "unknown-period": (
        'covers:\n  first: "2024-01~02"',
        'covers:  # here\n  first: "2024-01"',
        "1月、2月合并调查",
    ),
    "last-before-first": (
        'covers:\n  first: "2024-01~02"\n  last: "2024-12"',
        'covers:  # here\n  first: "2024-12"\n  last: "2024-11"',
        "the last period is before the first",
    ),
    # Forms.
    "unknown-form": ("form: E204-1", "form: E204-9  # here", "unknown form 'E204-9'"),
    "item-of-another-form": (
        "item: retail_sales",
        "item: catering_revenue  # here",
        "'catering_revenue' is not the item that every E204-1 carries",
    ),
    "item-not-always-there": ("item: retail_sales", "item: sales  # here", "'sales' is not the item"),
    # Types.
    "text-for-a-number": (
        AMOUNT,
        'ceiling: {yuan: fifty, cite: "14.3"}  # here',
        "Expected `int`, got `str`",
    ),
    "number-in-quotes": (
        AMOUNT,
        'ceiling: {yuan: "500000", cite: "14.3"}  # here',
        "Expected `int`, got `str`",
    ),
    "truth-for-a-number": (
        AMOUNT,
        'ceiling: {yuan: true, cite: "14.3"}  # here',
        "Expected `int`, got `bool`",
    ),
    "nothing-for-a-number": (AMOUNT, 'ceiling: {yuan: , cite: "14.3"}  # here', "Expected `int`, got `null`"),
    "number-for-a-text": ("responsible: 市商务局", "responsible: 5  # here", "Expected `str`, got `int`"),
    "number-for-a-clause": (
        'cite: "14.4"',
        "cite: 14  # here",
        "choice.cite: Expected `str | null`, got `int`",
    ),
    "list-for-a-text": (
        "responsible: 市商务局",
        "responsible: [市商务局]  # here",
        "Expected `str`, got `array`",
    ),
    "text-for-a-mapping": (AMOUNT, "ceiling: 50万元  # here", "Expected `object`, got `str`"),
    "text-for-a-list": (
        TRADE,
        TRADE.replace('["51", "52"]', '"51"') + "  # here",
        "Expected `array`, got `str`",
    ),
    # Scalars that YAML reads as another type than they look like.
    "float": (
        AMOUNT,
        'ceiling: {yuan: 500000.0, cite: "14.3"}  # here',
        "'500000.0' is neither a whole number",
    ),
    "infinity": (AMOUNT, 'ceiling: {yuan: .inf, cite: "14.3"}  # here', "'.inf' is neither a whole number"),
    "exponent": (AMOUNT, 'ceiling: {yuan: 5.0e+5, cite: "14.3"}  # here', "'5.0e+5' is neither"),
    "octal": (
        AMOUNT,
        'ceiling: {yuan: 0500000, cite: "14.3"}  # here',
        "'0500000' is neither a whole number",
    ),
    "hexadecimal": (AMOUNT, 'ceiling: {yuan: 0x7A120, cite: "14.3"}  # here', "'0x7A120' is neither"),
    "underscores": (AMOUNT, 'ceiling: {yuan: 500_000, cite: "14.3"}  # here', "'500_000' is neither"),
    "base-sixty": (AMOUNT, 'ceiling: {yuan: 8:20, cite: "14.3"}  # here', "'8:20' is neither"),
    "plus": (AMOUNT, 'ceiling: {yuan: +5, cite: "14.3"}  # here', "'+5' is neither"),
    "integer-without-end": (AMOUNT, f"ceiling: {{yuan: {'9' * 5_000}}}  # here", "is neither a whole number"),
    "timestamp": ('issued_on: "2024-05-31"', "issued_on: 2024-05-31  # here", "'2024-05-31' is neither"),
    "clause-as-a-float": ('cite: "14.4"', "cite: 14.4  # here", "put a text in quotes"),
    "yes": ("responsible: 市商务局", "responsible: yes  # here", "'yes' is neither"),
    "binary": ("responsible: 市商务局", "responsible: !!binary aGk=  # here", "is neither"),
    "own-tag": ("responsible: 市商务局", "responsible: !bureau 市商务局  # here", "is neither"),
    "own-tag-of-a-list": (
        TRADE,
        TRADE.replace('["51", "52"]', '!codes ["51", "52"]') + "  # here",
        "the tag !codes is not part of the vocabulary",
    ),
    "set": (
        "responsible: 市商务局",
        "responsible: !!set {市商务局}  # here",
        "tag:yaml.org,2002:set is not part",
    ),
    "python-object": (
        "responsible: 市商务局",
        "responsible: !!python/object/apply:os.system [id]  # here",
        "python/object/apply:os.system is not part of the vocabulary",
    ),
    "alias": ('cite: "14.4"', "cite: *clause  # here", "aliases (*name) are not part of the vocabulary"),
    "merge": ("choice:\n", "choice:\n  <<: {kind: highest}  # here\n", "a key is a plain word"),
    "number-as-a-key": ("level: municipal", "level: municipal\n5: five  # here", "a key is a plain word"),
    "list-as-a-key": ("level: municipal", "level: municipal\n[a]: b  # here", "a key is a plain word"),
    "half-a-character": (
        "responsible: 市商务局",
        'responsible: "\\ud800"  # here',
        "a text holds only characters that can be shown",
    ),
    "nul": (
        "responsible: 市商务局",
        'responsible: "a\\0b"  # here',
        "a text holds only characters that can be shown",
    ),
    # Not YAML.
    "two-colons": (
        "level: municipal",
        "level: municipal: yes  # here",
        "not YAML: mapping values are not allowed",
    ),
    "tab": (
        "covers:\n",
        "covers:\n\tx: y  # here\n",
        "not YAML: found character '\\t' that cannot start any token",
    ),
    "control-character": (
        "responsible: 市商务局",
        "responsible: \x07  # here",
        "not YAML: the character U+0007",
    ),
}


@pytest.mark.parametrize(("old", "new", "reason"), REFUSALS.values(), ids=REFUSALS)
def test_refused_with_the_line_and_the_reason(old: str, new: str, reason: str) -> None:
    text = edited(SHIPPED_TEXT, (old, new))
    wanted = [problem for problem in problems_of(text) if reason in problem.message]
    assert [problem.line for problem in wanted] == [line_of(text)]
    assert str(wanted[0]) == f"{FILE}:{line_of(text)}: {wanted[0].message}"


def test_a_missing_part_of_the_document_is_a_problem_of_its_first_line() -> None:
    (problem,) = problems_of(edited(SHIPPED_TEXT, ("issuer: 营口市人民政府\n", "")))
    assert problem == PolicyProblem(
        FILE,
        line_of(SHIPPED_TEXT, "policy: yingkou-2024-14"),
        "the document: Object missing required field `issuer`",
    )


def test_everything_that_is_wrong_is_said_in_the_order_of_the_lines() -> None:
    text = edited(
        SHIPPED_TEXT,
        (AMOUNT, "ceiling: {yuan: -1}  # third"),
        ("reading: growth-exact", "reading: growth-exakt  # second"),
        ('- id: "14.2"', '- id: "14.1"  # first'),
    )
    first, second, third = (line_of(text, f"# {which}") for which in ("first", "second", "third"))
    problems = [(problem.line, problem.message) for problem in problems_of(text)]
    assert problems == sorted(problems, key=lambda problem: problem[0])
    lines = [line for line, _ in problems]
    assert (lines.count(first), lines.count(second), lines.count(third)) == (1, 1, 2)
    assert all("unknown clause '14.2'" in said for at, said in problems if at not in {first, second, third})


def test_a_policy_without_measures_is_refused() -> None:
    start, end = SHIPPED_TEXT.index("measures:\n"), SHIPPED_TEXT.index("limits:\n")
    text = SHIPPED_TEXT[:start] + "measures: []  # here\n" + SHIPPED_TEXT[end:]
    assert problems_of(text) == [PolicyProblem(FILE, line_of(text), "a policy has at least one measure")]


def test_a_second_document_is_refused_where_it_begins() -> None:
    text = SHIPPED_TEXT + "--- # here\npolicy: another\n"
    (problem,) = problems_of(text)
    assert (problem.line, problem.message) == (line_of(text), "not YAML: but found another document")


@pytest.mark.parametrize("text", ["", "# nothing\n", "- policy\n", "policy", "5", "null", "[]"])
def test_what_is_no_mapping_is_no_policy(text: str) -> None:
    (problem,) = problems_of(text)
    assert problem.line == 1
    assert problem.message == "a policy document is a mapping that begins with 'policy: …'"


def test_an_unclosed_quotation_is_refused_at_the_end() -> None:
    (problem,) = problems_of('policy: "yingkou\ntitle: x\n')
    assert problem == PolicyProblem(FILE, 3, "not YAML: found unexpected end of stream")


def test_a_text_in_another_encoding_is_refused_at_its_first_foreign_byte() -> None:
    text = "policy: yingkou\n# plain\ntitle: 营口市\n"
    (problem,) = problems_of(text.encode("gb18030"))
    assert problem == PolicyProblem(FILE, 3, "the text is not UTF-8: save it as UTF-8")
    assert problems_of(SHIPPED_TEXT.encode("utf-16"))[0].message.startswith("the text is not UTF-8")


def test_a_text_that_is_too_large_is_refused_unread() -> None:
    padding = "#" * (POLICY_MAX_BYTES - len(SHIPPED_TEXT.encode()))
    assert not isinstance(load_policy((SHIPPED_TEXT + padding).encode(), file=FILE), list)
    (problem,) = problems_of((SHIPPED_TEXT + padding + "#").encode())
    assert problem == PolicyProblem(FILE, 1, f"a policy document is at most {POLICY_MAX_BYTES} bytes long")
    (problem,) = problems_of(SHIPPED_TEXT + "政" * (POLICY_MAX_BYTES // 2))
    assert problem.message == f"a policy document is at most {POLICY_MAX_BYTES} bytes long"


@pytest.mark.parametrize("line", ["- 1\n", "- {a: 1}\n", "- - - 1\n"])
def test_a_text_of_more_values_than_a_policy_is_refused_where_they_are_too_many(line: str) -> None:
    lines = 60_000 // len(line)
    (problem,) = problems_of("a:\n" + line * lines)
    assert problem.message == f"{POLICY_MAX_NODES} keys, values and lists stand before this: too many"
    assert problem.line < lines / 2


def test_a_text_that_was_recorded_is_read_however_many_values_it_has() -> None:
    reading = "  - id: a{}\n    question: q\n    answer: a\n    status: open\n"
    readings = "".join(reading.format(n) for n in range(POLICY_MAX_NODES // 8))
    text = edited(SHIPPED_TEXT, ("readings:\n", f"readings:\n{readings}"))
    assert isinstance(load_policy(text, file=FILE), list)
    assert read_document(text) is not None


def nested(levels: int) -> str:
    """Nested mappings, one in each line; the last line holds the deepest text."""
    return "".join("  " * level + "a:\n" for level in range(levels - 1)) + "  " * levels + "x\n"


def test_what_is_nested_deeper_than_any_policy_is_refused_where_it_is_too_deep() -> None:
    assert problems_of(nested(32)) == [PolicyProblem(FILE, 1, "a: unknown key 'a'")]
    assert problems_of(nested(33)) == [PolicyProblem(FILE, 32, "nested too deep")]


@pytest.mark.parametrize("opening", ["[", "{a: ", "- ", "? "])
def test_nesting_without_end_is_refused_on_its_line(opening: str) -> None:
    (problem,) = problems_of("policy: x\nmeasures:\n " + opening * (200_000 // len(opening)))
    assert problem == PolicyProblem(FILE, 3, "nested too deep")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("{basis_points: 800, cite", "{basis_points: 1000000, cite"),
        ("{basis_points: 800, cite", "{basis_points: 0, cite"),
        (AMOUNT, 'ceiling: {yuan: 100000000, cite: "14.3"}'),
        (AMOUNT, 'ceiling: {yuan: 0, cite: "14.3"}'),
        ('first: "2024-01~02"', 'first: "2024-12"'),
        ("beyond: {yuan: 1000000, cite", "beyond: {yuan: 2000000, cite"),
        ('cite: "14.3"}', "reading: order}"),
        (STEP_AMOUNT, STEP_AMOUNT.replace("status: open", "status: text")),
        ("responsible: 市商务局", 'responsible: "市商务局\\t\\n"'),
    ],
    ids=[
        *("highest-rate", "lowest-rate", "highest-amount", "lowest-amount", "one-period"),
        *("tail-counted-from-its-start", "reading-alone", "reading-closed-by-the-text", "lines-in-a-text"),
    ],
)
def test_what_is_just_within_the_bounds_is_in_order(old: str, new: str) -> None:
    assert not isinstance(load_policy(edited(SHIPPED_TEXT, (old, new)), file=FILE), list)
