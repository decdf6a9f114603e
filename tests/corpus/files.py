"""Rules 1 to 38: what text, JSON and rows can be. ``places.py`` has tables, archives, paths and whole data sets."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

from tests.corpus.build import CALL, CAUSAL, CHAT, GOOD, UNIT, UNITS_12, UNITS_20, Case, line, tmx, zstd

MARK = "a byte order mark"
PAIR = (("a dog", "un chien"),)
LATIN = b'{"source": "caf\xe9", "target": "b"}\n'
TOOLS = [{"type": "function", "function": {"name": "count", "parameters": {}}}]
ANSWER = {"role": "tool", "content": "3", "tool_call_id": "x"}


def _talk(*turns: tuple[str, str]) -> bytes:
    """A whole conversation and a broken one."""
    return line(messages=CHAT) + line(messages=[{"role": role, "content": text} for role, text in turns])


def _leak(folder: Path) -> None:
    (folder / "leak.jsonl").write_bytes(GOOD + line(source="a cat", target="un chat"))
    (folder / "held.jsonl").write_bytes(GOOD)


def _all_leak(folder: Path) -> None:
    (folder / "all_leak.jsonl").write_bytes(GOOD)
    (folder / "held.jsonl").write_bytes(GOOD)


CASES = [
    # 1
    Case(1, "bom.jsonl", b"\xef\xbb\xbf" + GOOD, 1),
    # 2
    Case(2, "utf16.jsonl", GOOD.decode().encode("utf-16"), 1),
    # 3
    Case(3, "utf16_no_bom.jsonl", GOOD.decode().encode("utf-16-le"), error="UTF-16 without a byte order mark"),
    # 4
    Case(4, "latin_named.jsonl", b'{"source": "caf\xe9", "target": "b"}\n', 1, settings={"encoding": "latin-1"}),
    # 5
    Case(5, "latin.jsonl", GOOD + b'{"source": "caf\xe9", "target": "b"}\n', 1, {"bad-encoding": 1}),
    Case(5, "latin.csv", b"source,target\na,b\ncaf\xe9,d\n", 1, {"bad-encoding": 1}),
    Case(5, "wrapped_bad.txt", b"one\nline\n\ncaf\xe9\nhere\n\nthird\n", 2, {"bad-encoding": 1}, model=CAUSAL),
    Case(5, "latin.txt", b"one line\ncaf\xe9\n", 1, {"bad-encoding": 1}, model=CAUSAL),
    # 6
    Case(6, "surrogate.jsonl", GOOD + b'{"source": "a\\ud800", "target": "b"}\n', 1, {"bad-encoding": 1}),
    # 7
    Case(7, "nul.jsonl", GOOD + line(source="a\0b", target="b"), 1, {"control-bytes": 1}),
    # 11
    Case(11, "crlf.jsonl", GOOD.replace(b"\n", b"\r\n") * 2, 2),
    Case(11, "blank_lines.jsonl", b"\n" + GOOD + b"\n  \n" + GOOD, 2),
    Case(11, "separator.jsonl", GOOD.replace(b"dog", "d\u2028g".encode()), 1),
    Case(11, "wrapped.txt", b"one\nline\n\n\nanother\n  \nthird\r\none\r\n", 3, model=CAUSAL),
    Case(11, "corpus.txt", b"one line\n\nanother\n", 2, model=CAUSAL),
    # 12
    Case(12, "no_newline.jsonl", GOOD + GOOD.rstrip(), 2),
    # 13
    Case(13, "cut.json", b'[{"source": "a", "target": "b"},\n{"source": "c"', error="cut.json:2:"),
    Case(13, "unclosed.json", b'[{"source": "a", "target": "b"}', error="never closed"),
    Case(13, "torn.jsonl", GOOD * 2 + b'{"source": "a", "tar', 2, {"bad-json": 1}),
    Case(13, "cut.jsonl.gz", gzip.compress(GOOD * 3)[:-12], error="damaged gzip data"),
    Case(13, "cut.jsonl.zst", zstd(GOOD * 3)[:-5], error="damaged zstd data"),
    Case(13, "cut.tmx", tmx(UNIT)[:-9], error="cut.tmx:3:"),
    # 14
    Case(14, "empty_array.json", b"[]", error="no rows in it"),
    Case(14, "empty.tmx", tmx(""), error="no <tu>"),
    Case(14, "empty.jsonl", b"", error="an empty file"),
    # 15
    Case(15, "blank.jsonl", b"\n  \n\n", error="no rows in it"),
    # 17
    Case(17, "deep.json", b'[{"source": ' + b"[" * 100_000 + b"]", error="broken JSON"),
    Case(17, "deep.jsonl", GOOD + b'{"source": ' + b"[" * 100_000 + b"\n", 1, {"bad-json": 1}),
    # 18
    Case(18, "twice.jsonl", GOOD + b'{"source": "a", "source": "b", "target": "c"}\n', 1, {"duplicate-key": 1}),
    # 19
    Case(19, "nan.jsonl", GOOD + b'{"source": "a", "target": "b", "score": NaN}\n', 1, {"nan-literal": 1}),
    # 20
    Case(20, "digits.jsonl", GOOD + b'{"source": "a", "target": ' + b"9" * 100_000 + b"}\n", 1, {"wrong-type": 1}),
    # 21
    Case(21, "array.json", b'[{"source": "a", "target": "b"}, {"source": "c", "target": "d"}]', 2),
    Case(21, "lines.json", GOOD * 3, 3),
    Case(21, "object.json", b'{\n "source": "a",\n "target": "b"\n}\n', 1),
    Case(21, "nested.jsonl", line(translation={"en": "a", "fr": "b"}) * 2, 2),
    Case(21, "lines.csv", GOOD * 2, 2),
    Case(21, "lines.txt", GOOD * 2, 2),
    Case(21, "noname", GOOD * 2, 2),
    Case(21, "rows.tmx", tmx(UNIT * 2), 2, settings={"source_lang": "en", "target_lang": "fr"}),
    Case(21, "plain_name.xml", tmx(UNIT), 1),
    Case(21, "rows.xliff", UNITS_20.encode(), 2),
    # 22
    Case(22, "scalars.json", b"[1, 2]", error="wrong-type"),
    Case(22, "scalar.json", b"17", error="wrong-type"),
    # 23
    Case(23, "comma.json", b'[{"source": "a", "target": "b"},\n]', error="comma.json:1:32: broken JSON"),
    Case(23, "single.json", b"[{'source': 'a'}]", error="single.json:1:3: broken JSON"),
    Case(23, "after.json", b'[{"source": "a", "target": "b"}] x', error="more after the end"),
    Case(23, "bad_line.jsonl", GOOD * 2 + b'{"source": \n' + GOOD, 3, {"bad-json": 1}),
    Case(23, "all_bad.jsonl", b"{x\n{y\n", error="all_bad.jsonl:1: bad-json"),
    Case(23, "too_many.jsonl", GOOD * 90 + b"x\n" * 2, error="2 of 92 rows", settings={}),
    Case(23, "one_bad.jsonl", GOOD * 9 + b"x\n", 9, {"bad-json": 1}, settings={}),
    # 24
    Case(24, "missing.jsonl", GOOD + line(source="a"), 1, {"missing-field": 1}),
    Case(24, "wrong_field.jsonl", GOOD, error="'sorce'", settings={"fields": {"source": "sorce"}}),
    Case(24, "unknown.jsonl", line(left="a", right="b"), error="fields that exist: left, right"),
    Case(
        24,
        "one_side.tmx",
        tmx(UNIT + '\n<tu><tuv xml:lang="en"><seg>alone</seg></tuv></tu>'),
        1,
        {"untranslated": 1},
        settings={},
    ),
    # 25
    Case(25, "team.jsonl", line(source="a", target="b", source_lang="en", pub_number="EP1") * 2, 2),
    # 26
    Case(26, "number.jsonl", GOOD + line(source="a", target=7), 1, {"wrong-type": 1}),
    Case(26, "null.jsonl", GOOD + line(source=None, target="b"), 1, {"wrong-type": 1}),
    Case(26, "bool.jsonl", GOOD + line(source="a", target=True), 1, {"wrong-type": 1}),
    Case(26, "list.jsonl", GOOD + line(source=["a"], target="b"), 1, {"wrong-type": 1}),
    Case(
        26, "completion.jsonl", line(prompt="a", completion="b") + line(prompt="a", completion=3), 1, {"wrong-type": 1}
    ),
    # 27
    Case(27, "empty_target.jsonl", GOOD + line(source="a", target="\t"), 1, {"empty-target": 1}),
    Case(27, "rows.xlf", UNITS_12.encode(), 1, {"untranslated": 1}, settings={}),
    # 28
    Case(28, "empty_source.jsonl", GOOD + line(source=" ", target="b"), 1, {"empty-source": 1}),
    Case(28, "empty_cell.csv", b"source,target\na,b\n,d\n", 1, {"empty-source": 1}),
    # 31
    Case(31, "long.csv", b"source,target\na,b\n" + b"a " * 100_000 + b",b\n", 1, {"overlong-source": 1}),
    # 36
    Case(36, "alpaca.jsonl", line(instruction="a", input="b", output="c") + line(instruction="a", output="c"), 2),
    Case(36, "response.jsonl", line(prompt="a", response="b"), 1, settings={"format": "prompt-completion"}),
    Case(
        36, "not_alpaca.jsonl", line(left="a", right="b"), error="of data.format: alpaca", settings={"format": "alpaca"}
    ),
    Case(
        36,
        "sharegpt.json",
        json.dumps([{"conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]}] * 2).encode(),
        2,
        settings={"format": "sharegpt"},
        model=CAUSAL,
    ),
    Case(
        36, "preference.jsonl", line(prompt="a", chosen="b", rejected="c"), error="preference training is not built yet"
    ),
    Case(36, "kto.jsonl", line(prompt="a", completion="b", label=True), error="preference training is not built yet"),
    Case(
        36,
        "chosen.jsonl",
        line(prompt="a", chosen="b", rejected="c"),
        1,
        settings={"fields": {"source": "prompt", "target": "chosen"}},
    ),
    Case(
        36,
        "mixed.jsonl",
        line(instruction="a", output="b") * 3 + line(messages=CHAT) * 2 + line(x=1),
        error="several forms (3 alpaca, 2 messages)",
        settings={},
    ),
    # 37
    Case(
        37,
        "chat.jsonl",
        line(messages=[{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]),
        1,
        model=CAUSAL,
    ),
    Case(
        37,
        "chat_bad.jsonl",
        line(messages=[{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}])
        + line(messages=[{"role": "user", "content": "a"}])
        + line(messages=[])
        + line(messages=[{"role": "user", "content": "a"}, {"role": "system", "content": "s"}])
        + line(messages=[{"role": "wizard", "content": "a"}])
        + line(messages=[{"role": "user", "content": None}])
        + line(messages="hello"),
        1,
        {"bad-messages": 5, "wrong-type": 1},
        model=CAUSAL,
    ),
    # 38
    Case(
        38,
        "tools.jsonl",
        line(messages=CHAT, tools=[{"type": "function"}])
        + line(messages=[CHAT[0], CALL, {"role": "tool", "content": "3", "tool_call_id": "x"}, CHAT[1]])
        + line(messages=[CHAT[0], CALL])
        + line(messages=CHAT, tools="{")
        + line(messages=CHAT, tools=[3])
        + line(messages=[CHAT[0], {"role": "assistant", "tool_calls": "x"}])
        + line(messages=[CHAT[0], CALL, *CHAT])
        + line(messages=[CHAT[0], {"role": "tool", "content": "3"}, CHAT[1]]),
        3,
        {"bad-messages": 5},
        model="tools",
    ),
    # further cases
    Case(1, "bom.txt", b"\xef\xbb\xbfa line of text\n", 1, model=CAUSAL, texts=(("", "a line of text"),), said=(MARK,)),
    Case(1, "bom.json", b"\xef\xbb\xbf[" + GOOD + b"]", 1, texts=PAIR, said=(MARK,)),
    Case(2, "utf32.jsonl", GOOD.decode().encode("utf-32"), 1, texts=PAIR, said=(MARK, "utf-32")),
    Case(2, "utf16_cut.jsonl", GOOD.decode().encode("utf-16")[:-1], error="not utf-16"),
    Case(3, "utf16_big.jsonl", GOOD.decode().encode("utf-16-be"), error="set data.encoding: utf-16-be"),
    Case(3, "utf32_no_bom.jsonl", GOOD.decode().encode("utf-32-le"), error="set data.encoding: utf-32-le"),
    Case(3, "utf16_named.jsonl", GOOD.decode().encode("utf-16-le"), 1, settings={"encoding": "utf-16-le"}, texts=PAIR),
    Case(4, "latin_all.jsonl", LATIN * 20, error="is not utf-8", settings={}),
    Case(4, "latin_all.csv", b"source,target\n" + b"caf\xe9,d\n" * 20, error="byte 0xe9", settings={}),
    Case(4, "latin.json", b'[{"source": "caf\xe9", "target": "b"}]', error="byte 16 of the file is not utf-8"),
    Case(
        4,
        "cp1252.jsonl",
        b'{"source": "\x93hi\x94", "target": "b"}\n',
        1,
        settings={"encoding": "cp1252"},
        texts=(("“hi”", "b"),),
    ),
    Case(6, "surrogate_low.jsonl", GOOD + b'{"source": "a", "target": "\\udc00b"}\n', 1, {"bad-encoding": 1}),
    Case(6, "surrogate_pair.jsonl", b'{"source": "\\ud83d\\ude00", "target": "b"}\n', 1, texts=(("😀", "b"),)),
    Case(7, "nul_raw.jsonl", GOOD + b'{"source": "a\0b", "target": "b"}\n', 1, {"bad-json": 1}),
    Case(7, "nul.csv", b"source,target\na,b\na\0b,d\n", 1, {"control-bytes": 1}),
    Case(7, "nul.txt", b"a line\nanother\0 line\n", 1, {"control-bytes": 1}, model=CAUSAL),
    Case(8, "ansi.jsonl", line(source="a \x1b[31mred\x1b[0m dog", target="b\x07"), 1, said=("control characters",)),
    Case(
        8,
        "ansi_cleaned.jsonl",
        line(source="a \x1b[31mred\x1b[0m dog", target="un chien\x07"),
        1,
        settings={"cleaning": {"filters": {"control": True}}},
        texts=(("a red dog", "un chien"),),
        said=("control",),
    ),
    Case(9, "bidi.jsonl", line(source="a \u202edog", target="un chien"), 1, said=("invisible or bidi signs",)),
    Case(9, "zero_width.jsonl", line(source="a d\u200bog", target="un chien"), 1, said=("invisible or bidi signs",)),
    Case(
        10,
        "forms.jsonl",
        line(source="café", target="b") + line(source="cafe\u0301", target="b"),
        2,
        said=("decomposed",),
    ),
    Case(
        10,
        "forms_cleaned.jsonl",
        line(source="café", target="bar") + line(source="cafe\u0301", target="bar"),
        1,
        {"clean:duplicates": 1},
        settings={"cleaning": {"filters": {"normalise": True, "duplicates": True}}},
        texts=(("café", "bar"),),
    ),
    Case(11, "cr.csv", b"source,target\ra,b\rc,d\r", 2, texts=(("a", "b"), ("c", "d"))),
    Case(11, "cr.jsonl", GOOD.replace(b"\n", b"\r") * 2, 2, said=("lone carriage returns",)),
    Case(11, "mixed.csv", b"source,target\r\na,b\nc,d\r\n", 2, texts=(("a", "b"), ("c", "d"))),
    Case(12, "no_newline.csv", b"source,target\na,b", 1, texts=(("a", "b"),)),
    Case(12, "no_newline.txt", b"a line", 1, model=CAUSAL),
    Case(13, "torn.csv", b'source,target\na,b\n"c, d', error="torn.csv:3"),
    Case(14, "empty.csv", b"", error="an empty file"),
    Case(14, "empty.jsonl.gz", gzip.compress(b""), error="an empty file"),
    Case(15, "blank.csv", b"\n \n\n", error="no rows in it"),
    Case(15, "blank.txt", b"\n \n\n", error="no rows in it", model=CAUSAL),
    Case(17, "deep_million.jsonl", GOOD + b'{"source": ' + b"[" * 1_000_000 + b"\n", 1, {"bad-json": 1}),
    Case(17, "deep_objects.jsonl", GOOD + b'{"source":' * 100_000 + b"\n", 1, {"bad-json": 1}),
    Case(
        18,
        "twice_inside.jsonl",
        GOOD + b'{"source": "a", "target": "b", "x": {"k": 1, "k": 2}}\n',
        1,
        {"duplicate-key": 1},
    ),
    Case(19, "infinity.jsonl", GOOD + b'{"source": "a", "target": "b", "score": -Infinity}\n', 1, {"nan-literal": 1}),
    Case(
        20,
        "digits_side.jsonl",
        GOOD + b'{"source": "a", "target": "b", "n": ' + b"9" * 100_000 + b"}\n",
        1,
        {"wrong-type": 1},
    ),
    Case(20, "exponent.jsonl", b'{"source": "a", "target": "b", "n": 1e99999}\n', 1),
    Case(22, "arrays.json", b'[["a", "b"], ["c", "d"]]', error="wrong-type"),
    Case(22, "string.json", b'"hello"', error="wrong-type"),
    Case(22, "null.json", b"null", error="wrong-type"),
    Case(23, "comments.json", b'[{"source": "a", // no\n "target": "b"}]', error="comments.json:1:18: broken JSON"),
    Case(
        23, "comma_inside.jsonl", GOOD + b'{"source": "a", "target": "b",}\n', 1, {"bad-json": 1}, said=("column 31",)
    ),
    Case(23, "single.jsonl", GOOD + b"{'source': 'a', 'target': 'b'}\n", 1, {"bad-json": 1}, said=("column 2",)),
    Case(24, "missing_source.jsonl", GOOD + line(target="b"), 1, {"missing-field": 1}),
    Case(24, "not_in_template.jsonl", GOOD, error="topic", settings={"template": "{topic}: {source}"}),
    Case(
        25,
        "extra.jsonl",
        line(source="a", target="b", colour="red", size=3) * 2,
        2,
        said=("fields that nothing reads: colour, size",),
    ),
    Case(26, "object.jsonl", GOOD + line(source={"a": 1}, target="b"), 1, {"wrong-type": 1}),
    Case(26, "float.jsonl", GOOD + line(source="a", target=1.5), 1, {"wrong-type": 1}),
    Case(27, "no_target.jsonl", GOOD + line(source="a", target=""), 1, {"empty-target": 1}),
    Case(27, "wide_space.jsonl", GOOD + line(source="a", target="\u00a0\u3000"), 1, {"empty-target": 1}),
    Case(28, "no_source.jsonl", GOOD + line(source="", target="b"), 1, {"empty-source": 1}),
    Case(
        29,
        "copied.jsonl",
        GOOD + line(source="the same", target="the same"),
        2,
        said=("with a target that is the source  1",),
    ),
    Case(
        30,
        "masked.jsonl",
        line(source="a dog " * 60, target="b") + line(source="c", target="d"),
        1,
        {"no-trained-token": 1},
        model=CAUSAL,
        settings={"max_length": 20, "overlong": "truncate"},
    ),
    Case(
        30,
        "masked_t5.jsonl",
        line(source="a dog", target="b c") + GOOD,
        0,
        error="none of its 2 rows can be used",
        settings={"max_target_length": 1, "overlong": "truncate"},
    ),
    Case(
        31,
        "dropped.jsonl",
        GOOD + line(source="a dog " * 400, target="b"),
        1,
        {"overlong-source": 1},
        said=("dropped as too long",),
    ),
    Case(
        31,
        "cut.jsonl",
        GOOD + line(source="a dog " * 400, target="b"),
        2,
        settings={"overlong": "truncate"},
        said=("cut to the limit  50.0%",),
    ),
    Case(
        31,
        "over.jsonl",
        GOOD + line(source="a", target="b " * 600),
        error="over.jsonl:2: overlong-target",
        settings={"overlong": "error"},
    ),
    Case(32, "no_tokens.jsonl", GOOD + line(source="\u200b", target="b"), 1, {"no-source-tokens": 1}, model="tiny"),
    Case(
        32, "no_answer.jsonl", GOOD + line(source="a", target="\u200b\u200b"), 1, {"no-target-tokens": 1}, model="tiny"
    ),
    Case(
        33,
        "special.jsonl",
        line(source="a</s>b", target="c <pad>"),
        1,
        texts=(("a< /s>b", "c < pad>"),),
        said=("1 rows spell a special token",),
    ),
    Case(
        33,
        "special_chat.jsonl",
        line(messages=[{"role": "user", "content": "a</s>b"}, CHAT[1]]),
        1,
        model=CAUSAL,
        said=("1 rows spell a special token",),
    ),
    Case(
        34,
        "same_id.jsonl",
        line(id="7", source="a", target="b") + line(id="7", source="c", target="d"),
        error="same_id.jsonl:2: the id '7' stands in same_id.jsonl:1 too",
        settings={"fields": {"id": "id"}},
    ),
    Case(34, "same_id_unasked.jsonl", line(id="7", source="a", target="b") + line(id="7", source="c", target="d"), 2),
    Case(34, "same_row.jsonl", GOOD * 3, 3, said=("of them repeated  2",)),
    Case(
        35,
        "leak.jsonl",
        b"",
        1,
        {"in-validation": 1},
        write=_leak,
        train="leak.jsonl",
        settings={"validation": "held.jsonl", "max_rejected": 1.0},
        said=("stand in data.validation too",),
    ),
    Case(
        35,
        "all_leak.jsonl",
        error="holds every row of data.train",
        write=_all_leak,
        train="all_leak.jsonl",
        settings={"validation": "held.jsonl"},
    ),
    Case(35, "same_file.jsonl", GOOD, error="is trained on too", settings={"validation": "same_file.jsonl"}),
    Case(37, "role.jsonl", _talk(("user", "a"), ("wizard", "b")), 1, {"bad-messages": 1}, model=CAUSAL),
    Case(
        37, "turns.jsonl", _talk(("user", "a"), ("user", "b"), ("assistant", "c")), 1, {"bad-messages": 1}, model=CAUSAL
    ),
    Case(
        37, "ends.jsonl", _talk(("user", "a"), ("assistant", "b"), ("user", "c")), 1, {"bad-messages": 1}, model=CAUSAL
    ),
    Case(37, "empty_turn.jsonl", _talk(("user", "a"), ("assistant", " ")), 1, {"bad-messages": 1}, model=CAUSAL),
    Case(37, "chat_for_t5.jsonl", line(messages=CHAT), error="chat_for_t5.jsonl:1: messages rows need a causal model"),
    Case(38, "arguments.jsonl", line(messages=[CHAT[0], CALL, ANSWER, CHAT[1]]) * 2, 2, model="tools", said=("rows",)),
    Case(
        38,
        "tool_forms.jsonl",
        line(messages=CHAT, tools=TOOLS) + line(messages=CHAT, tools=json.dumps(TOOLS)),
        2,
        model="tools",
        said=("of them repeated  1",),
    ),
]
