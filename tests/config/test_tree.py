"""YAML 1.2 and JSON to a plain tree: words, numbers, lines, and a corpus of hostile documents."""

from __future__ import annotations

import math
import time

import pytest

from desktune.config.tree import decode, parse
from desktune.errors import ConfigError

WORDS = [
    ("1e-4", 1e-4),
    ("2e-4", 2e-4),
    ("2e+4", 2e4),
    ("1e3", 1000.0),
    ("-3", -3),
    ("+3", 3),
    (".5", 0.5),
    ("0", 0),
    ("0.0", 0.0),
    ("0x10", 16),
    ("0o10", 8),
    ("no", "no"),
    ("NO", "NO"),
    ("yes", "yes"),
    ("on", "on"),
    ("off", "off"),
    ("y", "y"),
    ("true", True),
    ("False", False),
    ("null", None),
    ("~", None),
    ("", None),
    ("2026-11-23", "2026-11-23"),
    ("2026-11-23T10:00:00Z", "2026-11-23T10:00:00Z"),
    ("12:30:45", "12:30:45"),
    ("1_000", "1_000"),
    ("1,000", "1,000"),
    ("${HOME}", "${HOME}"),
    ('"16"', "16"),
    ("'no'", "no"),
    ("!!str 16", "16"),
    ("starter:t5", "starter:t5"),
    ("C:\\data\\x", "C:\\data\\x"),
    ("[no, 1e-4]", ["no", 1e-4]),
    ("{no: a.no, en: a.en}", {"no": "a.no", "en": "a.en"}),
]


@pytest.mark.parametrize(("text", "value"), WORDS)
def test_words_mean_what_yaml_1_2_says(text: str, value: object) -> None:
    found = parse(f"a: {text}\n", "x.yaml").tree["a"]
    assert found == value
    assert type(found) is type(value)


COLLECTED = [
    ("a: 010", ["x.yaml:1: a: 010 starts with 0, which programs read in two ways; write 10, or quote it"]),
    ("a: .nan", ["x.yaml:1: a: .nan is not a finite number; write a plain one"]),
    ("a: -.inf", ["x.yaml:1: a: -.inf is not a finite number; write a plain one"]),
    ("a: 1e999", ["x.yaml:1: a: 1e999 is not a finite number; write a plain one"]),
    ('{"a": NaN}', ["x.yaml:1: a: NaN is not a finite number; write a plain one"]),
    ('{"a": [1,\n -Infinity]}', ["x.yaml:2: a.1: -Infinity is not a finite number; write a plain one"]),
    ("a: " + "9" * 6000, ["x.yaml:1: a: a number of 6,000 digits; write at most 40"]),
    ("a: 1\nb: 2\na: 3", ["x.yaml:3: a: given twice; the first one is x.yaml:1; keep one"]),
    ("a:\n  b: 1\n  b: {c: .nan}", ["x.yaml:3: a.b: given twice; the first one is x.yaml:2; keep one"]),
    ('{"a": 1,\n "a": 2}', ["x.yaml:2: a: given twice; the first one is x.yaml:1; keep one"]),
    (
        "a: !!python/object/apply:os.system [ls]",
        ["x.yaml:1: a: tags are refused (here tag:yaml.org,2002:python/object/apply:os.system); write the plain value"],
    ),
    (
        "a: !!timestamp 2026-01-01",
        ["x.yaml:1: a: tags are refused (here tag:yaml.org,2002:timestamp); write the plain value"],
    ),
    ("a: &x [*x]", ["x.yaml:1: a.0: *x contains itself; write the value out"]),
    ("a: *x", ["x.yaml:1: a: *x names nothing above it; quote a text that starts with *"]),
    ("a: &x {b: 1}\nc:\n  <<: *x", ["x.yaml:3: c: merge keys (<<) are not supported; write the keys out"]),
    ("[1]: 2", ["x.yaml:1: a key that is no plain word; write a word"]),
    ("a: 1\n---\nb: 2", ["x.yaml:2: a second document starts here ('---'); a config is one document"]),
    (
        'a: "\\ud800"',
        ["x.yaml:1: a: half of a surrogate pair (\\ud800 … \\udfff) is not a character; write the character"],
    ),
]


@pytest.mark.parametrize(("text", "faults"), COLLECTED)
def test_faults_that_leave_a_tree(text: str, faults: list[str]) -> None:
    assert [str(fault) for fault in parse(text, "x.yaml").faults] == faults


RAISED = [
    ("a:\n\tb: 1", "x.yaml:2: a tab: indent with spaces"),
    ("a: b: c", "x.yaml:1: a second ': ' in this place; quote a text that contains it, or mend the indent"),
    ('a: 1\nb: "x\nc: 2\n', "x.yaml:2: a quote that is not closed; close it"),
    ("a: [1, 2\nb: 3", "x.yaml:1: a bracket that is not closed, or a comma that is missing; mend it"),
    ('{"a": 1 "b": 2}', "x.yaml:1: a bracket that is not closed, or a comma that is missing; mend it"),
    ("a: @x", "x.yaml:1: a text that starts with @, ` or % has to be quoted"),
    ('a: "C:\\data"', "x.yaml:1: a backslash in double quotes starts an escape; use single quotes"),
    ("a: 1\nb: \x07", "x.yaml:2: a control character (code 7) in the text; take it out"),
    ("- a\n- b", "x.yaml:1: a config is a mapping: sections like 'data:' with keys below them"),
    ("just words", "x.yaml:1: a config is a mapping: sections like 'data:' with keys below them"),
    ("a: " + "[" * 50, "x.yaml:1: nested deeper than 20 levels; write it flatter"),
    ("a: " + "{x: " * 30, "x.yaml:1: nested deeper than 20 levels; write it flatter"),
    ("a: " + "x" * 1_000_001, "x.yaml: 1,000,004 characters; a config has at most 1,000,000"),
    (
        "%YAML 1.3\n---\na: 1",
        "x.yaml:1: cannot be read as YAML: version minor part can only be 2 or 1, got (1, 3); mend it",
    ),
]


@pytest.mark.parametrize(("text", "message"), RAISED)
def test_broken_documents_say_line_and_cause(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(text, "x.yaml")
    assert str(caught.value) == message


def test_alias_bomb_is_refused_fast() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 9)]
    start = time.process_time()
    with pytest.raises(ConfigError, match="over 20,000 values"):
        parse("\n".join(lines), "x.yaml")
    assert time.process_time() - start < 2


def test_deep_brackets_are_refused_fast() -> None:
    start = time.process_time()
    with pytest.raises(ConfigError, match="nested deeper"):
        parse("a: " + "[" * 900_000, "x.yaml")
    assert time.process_time() - start < 2


def test_harmless_aliases_are_copies() -> None:
    tree = parse("a: &x {b: [1]}\nc: *x\n", "x.yaml").tree
    assert tree == {"a": {"b": [1]}, "c": {"b": [1]}}
    assert tree["a"]["b"] is not tree["c"]["b"]


def test_every_key_and_element_has_its_line() -> None:
    document = parse("# head\na:\n  b: 1\n\n  c: [x,\n      y]\nd: {e: 1}\n", "x.yaml")
    lines = {".".join(path): place.line for path, place in document.places.items()}
    assert lines == {"a": 2, "a.b": 3, "a.c": 5, "a.c.0": 5, "a.c.1": 6, "d": 7, "d.e": 7}


@pytest.mark.parametrize("text", ["", "# only a comment\n", "---\n", "null", "\ufeff"])
def test_empty_files_are_empty_configs(text: str) -> None:
    assert parse(text, "x.yaml").tree == {}


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_byte_order_mark_and_line_ends(newline: str) -> None:
    text = newline.join(["a: 1", "b: no", ""])
    for data in (text.encode("utf-8"), text.encode("utf-8-sig"), text.encode("utf-16")):
        assert parse(decode(data, "x.yaml"), "x.yaml").tree == {"a": 1, "b": "no"}


def test_json_with_tabs_escapes_and_long_lines() -> None:
    text = '{\n\t"a":\t{"b":1e-4,"c":"\\u00e9\\ud83d\\ude00\\/\\t"},\n\t"d":[true,null]}'
    document = parse(text, "x.json")
    assert document.tree == {"a": {"b": 1e-4, "c": "é😀/\t"}, "d": [True, None]}
    assert document.places[("d", "1")].line == 3


def test_bytes_that_are_no_text_say_where() -> None:
    with pytest.raises(ConfigError, match=r"^x.yaml:2: byte 0xe9 is not UTF-8"):
        decode(b"a: 1\nb: \xe9t\xe9\n", "x.yaml")
    with pytest.raises(ConfigError, match="at most 1,000,000"):
        decode(b"#" * 1_000_001, "x.yaml")


def test_numbers_are_finite_whatever_was_written() -> None:
    for text in ("1e308", "-1e308", "1e-400"):
        value = parse(f"a: {text}", "x.yaml").tree["a"]
        assert math.isfinite(value)
