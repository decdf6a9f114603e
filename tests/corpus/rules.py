"""The rules of input by number, and the cases of data of each. ``ELSEWHERE`` names the tests of the rest."""

from __future__ import annotations

RULES = {
    1: "UTF-8 with a byte order mark", 2: "UTF-16 with a byte order mark", 3: "UTF-16 without one", 4: "Latin-1 bytes",
    5: "bytes that are no UTF-8", 6: "lone surrogates", 7: "NUL", 8: "control and ANSI characters",
    9: "zero-width characters", 10: "composed and decomposed characters", 11: "line ends of all kinds",
    12: "no line end at the end", 13: "a torn last line or stream", 14: "an empty file", 15: "blank lines only",
    16: "an endless line", 17: "endless nesting", 18: "a key twice", 19: "NaN", 20: "an endless number",
    21: "JSON of another form than its name", 22: "scalars for rows", 23: "almost JSON", 24: "a missing field",
    25: "further fields", 26: "no text where a text is due", 27: "an empty target", 28: "an empty source",
    29: "target equals source", 30: "nothing trained after the cut", 31: "longer than the limit",
    32: "tokens of nothing", 33: "special tokens in the text", 34: "rows twice", 35: "a leak", 36: "mixed forms",
    37: "turns out of order", 38: "tools as text or object", 39: "tables of all kinds", 40: "tabs in TSV",
    41: "sides of different length", 42: "Parquet and Arrow", 43: "archives by another name", 44: "bombs",
    45: "members of archives", 46: "paths that are no file", 47: "one row", 48: "fewer rows than a batch",
    49: "one target for all", 50: "another language", 51: "addresses and keys in the rows", 52: "numbers as text",
    53: "YAML 1.1", 54: "infinite numbers", 55: "a key twice in a config", 56: "unknown keys", 57: "wrong types",
    58: "numbers out of range", 59: "contradictions", 60: "no target modules", 61: "bombs and tags in YAML",
    62: "broken YAML", 63: "variables of the environment", 64: "one parser for file and command line",
}  # fmt: skip

# case of tests/data/corpus.py → rule
DATA = {
    "utf16_no_bom.jsonl": 3, "latin.jsonl": 4, "latin.csv": 5, "latin.txt": 5, "wrapped_bad.txt": 5,
    "surrogate.jsonl": 6, "nul.jsonl": 7, "torn.jsonl": 13, "cut.json": 13, "unclosed.json": 13, "cut.jsonl.gz": 13,
    "cut.jsonl.zst": 13, "cut.tmx": 13, "empty.jsonl": 14, "empty_array.json": 14, "empty.tmx": 14, "blank.jsonl": 15,
    "deep.json": 17, "deep.jsonl": 17, "twice.jsonl": 18, "nan.jsonl": 19, "digits.jsonl": 20, "scalars.json": 22,
    "scalar.json": 22, "comma.json": 23, "single.json": 23, "after.json": 23, "bad_line.jsonl": 23, "all_bad.jsonl": 23,
    "one_bad.jsonl": 23, "too_many.jsonl": 23, "missing.jsonl": 24, "wrong_field.jsonl": 24, "unknown.jsonl": 24,
    "one_side.tmx": 24, "rows.xlf": 24, "number.jsonl": 26, "null.jsonl": 26, "bool.jsonl": 26, "list.jsonl": 26,
    "null.parquet": 26, "numbers.parquet": 26, "stream.arrow": 26, "completion.jsonl": 26, "empty_target.jsonl": 27,
    "empty_source.jsonl": 28, "empty_cell.csv": 28, "mixed.jsonl": 36, "preference.jsonl": 36, "kto.jsonl": 36,
    "not_alpaca.jsonl": 36, "chat_bad.jsonl": 37, "tools.jsonl": 38, "ragged.csv": 39, "unclosed.csv": 39,
    "loose_quote.csv": 39, "header.csv": 39, "same.csv": 39, "rows.tsv.zst": 40, "ragged.tsv": 40, "fake.parquet": 42,
    "cut.parquet": 42, "cut.arrow": 42, "fake.arrow": 42, "zip.jsonl": 43, "gzip.json": 43, "xz.jsonl": 43,
    "sheet.csv": 43, "pdf.csv": 43, "page.txt": 43, "fake.tmx": 43, "rows.zip": 45, "bomb.jsonl.gz": 44,
    "entity.tmx": 44, "other.jsonl": 50,
}  # fmt: skip

ELSEWHERE = {
    1: "tests/data/test_read.py: bom.jsonl, bom.csv", 2: "tests/data/test_read.py: utf16.jsonl",
    8: "tests/data/clean/test_filters.py", 9: "tests/data/clean/test_filters.py", 10: "tests/data/clean/test_clean.py",
    11: "tests/data/test_read.py: crlf.jsonl, separator.jsonl", 12: "tests/data/test_read.py: no_newline.jsonl",
    16: "tests/corpus/test_corpus.py: test_an_endless_line", 21: "tests/data/test_read.py: lines.json, object.json",
    25: "fields that no setting names stay for the template; tests/data/test_template.py",
    30: "tests/data/test_encode.py", 31: "tests/data/test_encode.py", 32: "tests/data/test_encode.py",
    33: "tests/data/test_encode.py", 34: "tests/report/test_data_report.py, tests/data/clean",
    35: "tests/data/test_prepare.py", 41: "tests/data/test_read.py", 47: "tests/data/test_split.py",
    48: "tests/batches/test_order.py", 49: "tests/report/test_data_report.py",
    51: "tests/report/test_data_report.py", 64: "tests/config/test_load.py: BAD_OVERRIDES",
}  # fmt: skip
