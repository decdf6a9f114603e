from __future__ import annotations

from pathlib import Path

import pytest
from tests.corpus.build import GOOD, LOOSE

from desktune.config.schema import DataSection
from desktune.data.read import read, row_kind
from desktune.errors import DataError
from desktune.events import Decision, silent
from desktune.rows import Example, Reject


def test_every_reject_names_its_line(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_bytes(GOOD + b"\n" + b"x\n" + GOOD + b'{"source": "caf\xe9"}\n')
    rejects = [row for row in read(str(file), DataSection(**LOOSE), silent) if isinstance(row, Reject)]
    assert [str(row.origin) for row in rejects] == [f"{file}:3", f"{file}:5"]
    assert f"byte {2 * len(GOOD) + 3 + 15} of the file (0xe9)" in rejects[1].detail


def test_a_quoted_newline_keeps_the_line_numbers(tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_bytes(b'source,target\n"a\nb",c\nd,e\n')
    first, second = read(str(file), DataSection(), silent)
    assert (first.origin.line, second.origin.line) == (2, 4)
    assert isinstance(first, Example)
    assert first.source == "a\nb"


def test_parallel_files(tmp_path: Path) -> None:
    (tmp_path / "a.en").write_text("one\ntwo\u2028more\nthree\n", encoding="utf-8")
    (tmp_path / "a.fr").write_text("un\ndeux\ntrois", encoding="utf-8")
    pair = {"en": str(tmp_path / "a.en"), "fr": str(tmp_path / "a.fr")}
    rows = [row for row in read(pair, DataSection(), silent) if isinstance(row, Example)]
    assert [(row.source, row.target, row.source_lang, row.target_lang) for row in rows] == [
        ("one", "un", "en", "fr"),
        ("two\u2028more", "deux", "en", "fr"),
        ("three", "trois", "en", "fr"),
    ]
    turned = next(read(pair, DataSection(source_lang="fr"), silent))
    assert isinstance(turned, Example)
    assert turned.source == "un"
    (tmp_path / "a.fr").write_text("un\n")
    with pytest.raises(DataError, match=r"has 3 lines and .* has 1"):
        list(read(pair, DataSection(), silent))


def test_lists_and_patterns(tmp_path: Path) -> None:
    for name in ("a.jsonl", "b.jsonl"):
        (tmp_path / name).write_bytes(GOOD)
    assert len(list(read(str(tmp_path / "*.jsonl"), DataSection(), silent))) == 2
    assert len(list(read([str(tmp_path / "a.jsonl")] * 2, DataSection(), silent))) == 2
    (tmp_path / "c.txt").write_text("plain text\n")
    with pytest.raises(DataError, match="of the kind text"):
        list(read([str(tmp_path / "a.jsonl"), str(tmp_path / "c.txt")], DataSection(), silent))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("gone.json", "no such file"),
        ("*.none", "matches no file"),
        ("", "a folder without files of rows"),
    ],
)
def test_places_that_lead_nowhere(tmp_path: Path, name: str, said: str) -> None:
    place = name if "/" in name else str(tmp_path / name)
    with pytest.raises(DataError, match=said):
        list(read(place, DataSection(), silent))


@pytest.mark.parametrize(
    ("row", "form", "guess"),
    [
        (b'{"question": "a", "answer": "b", "id": 7}', "pairs", "question → answer"),
        (b'{"mr": "a", "ref": "b"}', "pairs", "mr → ref"),
        (b'{"instruction": "a", "input": "", "output": "b"}', "alpaca", "instruction + input → output"),
        (b'{"prompt": "a", "response": "b"}', "prompt-completion", "prompt → response"),
        (b'{"translation": {"en": "a", "fr": "b"}}', "translation", "translation.en → translation.fr"),
        (
            b'{"conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]}',
            "sharegpt",
            "conversations",
        ),
        (b'{"body": "a", "n": 1}', "text", "body"),
    ],
)
def test_fields_are_guessed_and_said(tmp_path: Path, row: bytes, form: str, guess: str) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_bytes(row + b"\n")
    said: list[object] = []
    (example,) = read(str(file), DataSection(), said.append)
    assert isinstance(example, Example)
    assert [event.value for event in said if isinstance(event, Decision)] == [form, guess]


def test_the_input_of_an_instruction_is_read_where_it_is_filled(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_bytes(
        b'{"instruction": "a", "input": "x", "output": "b"}\n{"instruction": "a", "input": "", "output": "c"}\n'
    )
    rows = [row for row in read(str(file), DataSection(), silent) if isinstance(row, Example)]
    assert [row.source for row in rows] == ["a\nx", "a"]
    assert dict(rows[0].fields) == {"instruction": "a", "input": "x", "output": "b"}


def test_row_kind(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("hello\n")
    assert row_kind(DataSection(train=str(tmp_path / "a.txt"))) == "text"
    assert row_kind(DataSection(train=str(tmp_path / "gone"))) == "pair"
