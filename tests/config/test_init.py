"""``desktune init``: a config for each kind of file, accepted by ``load`` without a fault or a note."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from desktune.config.init import init_config, init_project
from desktune.config.load import Loaded, loads
from desktune.errors import DataError, UserError
from desktune.hardware import Machine

LAPTOP = Machine("Linux", "a processor", 8, 16 * 2**30, 10**11)
STATION = Machine("Linux", "a processor", 8, 64 * 2**30, 10**11, cuda=(("a GPU", 24 * 2**30),), bf16=True)
WORDS = {"input": "a dream of water " * 3, "output": "it means calm " * 5}


def fitted(data: Path | list[Path], machine: Machine = LAPTOP) -> tuple[str, Loaded]:
    text = init_config(data, machine)
    loaded = loads(text, "desktune.yaml")
    assert loaded.notes == ()
    assert "starter:" in text
    return text, loaded


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_json_array_of_inputs_and_outputs(tmp_path: Path) -> None:
    text, loaded = fitted(write(tmp_path / "dreams.json", json.dumps([WORDS] * 40)))
    config = loaded.config
    assert (config.task, config.model.name) == ("seq2seq", "google/flan-t5-base")
    assert config.data.fields == {"source": "input", "target": "output"}
    assert config.training.eval_strategy == "epoch"
    assert config.output.name == "dreams"
    assert 'first row of input: "a dream of water a dream' in text
    assert "about 40 rows" in text
    assert "# name: starter:t5" in text


def test_json_lines_of_questions(tmp_path: Path) -> None:
    rows = [{"question": f"What is {n} and {n}?", "answer": str(2 * n)} for n in range(3000)]
    path = write(tmp_path / "sums.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    _, loaded = fitted(path)
    config = loaded.config
    assert (config.task, config.model.name) == ("causal", "Qwen/Qwen3-0.6B")
    assert config.data.fields == {"source": "question", "target": "answer"}
    assert config.data.max_length == 64
    assert config.generation.num_beams == 1


def test_rows_with_language_codes(tmp_path: Path) -> None:
    rows = [{"source": "le chat", "target": "the cat", "source_lang": "fr", "pub_number": 3}] * 3
    rows += [{"source": "the cat", "target": "le chat", "source_lang": "en", "pub_number": 3}] * 9
    text, loaded = fitted(write(tmp_path / "marine.jsonl", "\n".join(map(json.dumps, rows))))
    config = loaded.config
    assert (config.task, config.model.name) == ("translation", "Helsinki-NLP/opus-mt-en-fr")
    assert (config.data.source_lang, config.data.target_lang) == ("en", "fr")
    assert config.data.fields == {}
    assert "(fr 3, en 9)" in text
    assert "# name: starter:marian-en-fr" in text


def test_columns_named_by_language_and_nested_translations(tmp_path: Path) -> None:
    _, columns = fitted(write(tmp_path / "a.csv", "en,no\nhello,hei\ngood day,god dag\n"))
    assert columns.config.data.fields == {"source": "en", "target": "no"}
    assert (columns.config.data.source_lang, columns.config.data.target_lang) == ("en", "no")
    _, nested = fitted(write(tmp_path / "b.json", json.dumps([{"translation": {"en": "hello", "de": "hallo"}}] * 9)))
    assert nested.config.data.format == "translation"
    assert (nested.config.data.source_lang, nested.config.data.target_lang) == ("en", "de")


@pytest.mark.parametrize(("suffix", "delimiter"), [(".csv", ","), (".csv", ";"), (".tsv", "\t")])
def test_tables(tmp_path: Path, suffix: str, delimiter: str) -> None:
    path = tmp_path / f"meals{suffix}"
    with open(path, "w", encoding="utf-8-sig", newline="") as file:
        csv.writer(file, delimiter=delimiter).writerows(
            [("mr", "ref"), *[("name[A, B], area[x]", 'A "good"\nplace')] * 30]
        )
    text, loaded = fitted(path)
    assert loaded.config.data.fields == {"source": "mr", "target": "ref"}
    assert "about 30 rows" in text


def test_parquet_conversations(tmp_path: Path) -> None:
    turns = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}]
    path = tmp_path / "chat.parquet"
    pyarrow.parquet.write_table(pyarrow.table({"conversations": [turns] * 12_000}), path)
    _, loaded = fitted(path)
    assert (loaded.config.task, loaded.config.data.fields) == ("causal", {"messages": "conversations"})
    assert loaded.config.data.validation == 500
    assert loaded.config.training.eval_strategy == "steps"


def test_plain_text_and_parallel_files(tmp_path: Path) -> None:
    english = write(tmp_path / "train.en", "Two men.\nA dog.\n" * 10)
    french = write(tmp_path / "train.fr", "Deux hommes.\nUn chien.\n" * 10)
    _, pair = fitted([english, french])
    assert pair.config.data.train == {"en": str(english), "fr": str(french)}
    assert (pair.config.task, pair.config.data.target_lang) == ("translation", "fr")
    first, second = write(tmp_path / "in.txt", "a\nb\n"), write(tmp_path / "out.txt", "c\nd\n")
    _, unnamed = fitted([first, second])
    assert unnamed.config.data.train == {"source": str(first), "target": str(second)}
    assert unnamed.config.task == "seq2seq"
    _, text = fitted(write(tmp_path / "book.txt", "It was a dark night.\n" * 50))
    assert (text.config.task, text.config.data.fields) == ("causal", {})


def test_unknown_names_are_guessed_by_length_and_shown(tmp_path: Path) -> None:
    row = {"nr": "7", "Frage": "Was ist das für ein Tier?", "Antwort": "Das ist ein Hund."}
    text, loaded = fitted(write(tmp_path / "tiere.json", json.dumps([row] * 8, ensure_ascii=False)))
    assert loaded.config.data.fields == {"source": "Frage", "target": "Antwort"}
    assert '# guess: source, first row of Frage: "Was ist das' in text


def test_hostile_names_and_texts_stay_in_their_comment(tmp_path: Path) -> None:
    row = {"a\ntask: evil": "x\n\u2028y: \x1b[31m", "b: {": "z"}
    path = write(tmp_path / "we ird: #1\n.json", json.dumps([row] * 5))
    text, loaded = fitted(path)
    assert loaded.config.data.fields == {"source": "a\ntask: evil", "target": "b: {"}
    assert loaded.config.data.train == str(path)
    assert "\x1b" not in text


def test_other_encodings_are_written_down(tmp_path: Path) -> None:
    path = tmp_path / "old.csv"
    path.write_bytes("source,target\ncafé,déjà\n".encode("cp1252"))
    assert fitted(path)[1].config.data.encoding == "cp1252"


def test_the_machine_sets_batch_and_precision(tmp_path: Path) -> None:
    path = write(tmp_path / "a.json", json.dumps([WORDS] * 8))
    small, big = fitted(path, LAPTOP)[1].config.training, fitted(path, STATION)[1].config.training
    assert (small.per_device_train_batch_size, small.gradient_accumulation_steps) == (4, 4)
    assert (big.per_device_train_batch_size, big.gradient_accumulation_steps) == (16, 1)
    assert "dtype: auto  # here: bfloat16" in init_config(path, STATION)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("none.json", None, "no such file"),
        ("empty.json", "", "an empty file"),
        ("numbers.json", "[1, 2]", "no rows in it"),
        ("broken.json", '{"a": ', "no rows in it"),
        ("fields.json", '[{"a": 1, "b": [2]}]', "no text field in its rows; fields that exist: a, b"),
        ("fake.parquet", "PAR1 no", "not a Parquet file"),
    ],
)
def test_files_that_cannot_be_used(tmp_path: Path, name: str, content: str | None, message: str) -> None:
    if content is not None:
        write(tmp_path / name, content)
    with pytest.raises(DataError, match=message):
        init_config(tmp_path / name, LAPTOP)


def test_three_files_are_too_many(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="3 files; name one file of rows"):
        init_config([tmp_path / "a", tmp_path / "b", tmp_path / "c"], LAPTOP)


def test_project_is_written_once(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    init_project(folder)
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_dir()}
    assert names == {"config", "data", "data/raw", "data/processed", "models"}
    assert "desktune init data/raw/pairs.json" in (folder / "README.md").read_text(encoding="utf-8")
    assert ".env" in (folder / ".gitignore").read_text(encoding="utf-8").split()
    (folder / "README.md").write_text("mine now", encoding="utf-8")
    with pytest.raises(UserError, match="nothing was written"):
        init_project(folder)
    assert (folder / "README.md").read_text(encoding="utf-8") == "mine now"
