"""Folders, data sets of ``datasets``, Word documents, and big arrays: what no single small file shows."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from tests.corpus.build import GOOD, UNIT, UNITS_12, tmx

from desktune.config.load import loads
from desktune.config.schema import DataSection
from desktune.data.jsons import decode_objects
from desktune.data.places import SetPlace, files_of, places_of
from desktune.data.read import read
from desktune.errors import ConfigError, DataError
from desktune.events import Decision, silent
from desktune.rows import Example, Reject


def examples(place: Path | str, section: DataSection | None = None) -> list[Example]:
    return [row for row in read(str(place), section or DataSection(), silent) if isinstance(row, Example)]


def test_a_folder_is_its_files_of_one_kind(tmp_path: Path) -> None:
    for name in ("b.jsonl", "a.json", ".hidden.csv", "README.md"):
        (tmp_path / name).write_bytes(GOOD)
    assert [path.name for path in files_of(str(tmp_path))] == ["a.json", "b.jsonl"]
    assert len(examples(f"{tmp_path}/")) == 2
    assert loads(f"data: {{train: '{tmp_path}'}}", "d.yaml")
    (tmp_path / "c.csv").write_text("source,target\na,b\n")
    with pytest.raises(DataError, match=r"several kinds of files \(2 JSON, 1 tables\); name one, e\.g\. .*/\*\.json"):
        files_of(str(tmp_path))
    with pytest.raises(ConfigError, match="several kinds of files"):
        loads(f"data: {{train: '{tmp_path}'}}", "d.yaml")
    with pytest.raises(ConfigError, match="is trained on too"):
        loads(f"data: {{train: '{tmp_path}/*.json', validation: '{tmp_path}/a.json'}}", "d.yaml")


def test_languages_of_tmx_are_those_of_the_config(tmp_path: Path) -> None:
    file = tmp_path / "rows.tmx"
    other = UNIT.replace('"en"', '"en-GB"').replace('"fr"', '"fr-CA"')
    file.write_bytes(tmx(f"{UNIT}\n{other}\n{UNIT.replace('dog', 'd<ph>&lt;b></ph>o<hi>g</hi>')}"))
    rows = examples(file)  # the header's srclang comes first
    assert [(row.source, row.target, row.source_lang, row.origin.line) for row in rows] == [
        ("a dog", "un chien", "en", line) for line in (2, 3, 4)
    ]
    assert rows[0].id == "7"
    turned = examples(file, DataSection(source_lang="fr", target_lang="en"))
    assert [(row.source, row.target_lang) for row in turned] == [("un chien", "en")] * 3


def test_inline_codes_of_xliff_are_no_text(tmp_path: Path) -> None:
    (tmp_path / "rows.xlf").write_text(UNITS_12)
    kept, rejected = read(str(tmp_path / "rows.xlf"), DataSection(), silent)
    assert isinstance(kept, Example)
    assert (kept.source, kept.target, kept.source_lang, kept.id) == ("a dog", "un chien", "en", "1")
    assert isinstance(rejected, Reject)
    assert (rejected.reason, rejected.origin.line) == ("untranslated", 2)


def test_saved_data_sets(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    rows = datasets.Dataset.from_dict({"source": ["a", "b", None], "target": ["c", "d", "e"], "n": [1, 2, 3]})
    datasets.DatasetDict({"test": rows.select([0]), "train": rows}).save_to_disk(tmp_path / "splits")
    rows.save_to_disk(tmp_path / "plain")
    said: list[object] = []
    section = DataSection(max_rejected=0.5)
    found = list(read(str(tmp_path / "splits"), section, said.append))
    assert [str(row.origin) for row in found] == [f"{tmp_path / 'splits'}:train:{line}" for line in (1, 2, 3)]
    assert [row.reason for row in found if isinstance(row, Reject)] == ["wrong-type"]
    assert any(isinstance(event, Decision) and event.value.endswith("splits:train") for event in said)
    assert [row.source for row in examples(f"{tmp_path / 'splits'}:test")] == ["a"]
    assert len(examples(tmp_path / "plain", section)) == 2
    assert all(path.is_file() for path in files_of(str(tmp_path / "plain")))
    with pytest.raises(DataError, match="no such split; allowed: test, train; did you mean 'test'"):
        examples(f"{tmp_path / 'splits'}:tset")
    with pytest.raises(DataError, match="without splits"):
        examples(f"{tmp_path / 'plain'}:train")
    assert loads(f"data: {{train: '{tmp_path}/splits:train', validation: '{tmp_path}/splits:test'}}", "d.yaml")


def test_a_name_of_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("datasets")
    assert places_of("user/corpus:train") == [SetPlace("user/corpus", "train")]
    assert loads("data: {train: user/corpus}", "d.yaml")
    with pytest.raises(DataError, match=r"user/corpus: no file here, and the data set of that name cannot be opened"):
        examples("user/corpus")  # tests are offline
    with pytest.raises(ConfigError, match="no such file"):
        loads("data: {train: folder/rows.json}", "d.yaml")
    (tmp_path / "user").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="no such file"):  # a folder of that name is here: a file is meant
        loads("data: {train: user/corpus}", "d.yaml")


def test_word_documents(tmp_path: Path) -> None:
    docx = pytest.importorskip("docx")
    document = docx.Document()
    for text in ("One paragraph.", "", "Another."):
        document.add_paragraph(text)
    document.save(str(tmp_path / "plain.docx"))
    assert [row.text for row in examples(tmp_path / "plain.docx")] == ["One paragraph.", "Another."]
    table = document.add_table(rows=0, cols=2)
    for cells in (("Source", "Target"), ("a dog", "un chien"), ("a cat", "")):
        for cell, text in zip(table.add_row().cells, cells, strict=True):
            cell.text = text
    document.add_table(rows=1, cols=3)
    document.save(str(tmp_path / "pairs.docx"))
    rows = list(read(str(tmp_path / "pairs.docx"), DataSection(max_rejected=1.0), silent))
    assert [(row.source, row.target) for row in rows if isinstance(row, Example)] == [("a dog", "un chien")]
    assert [row.reason for row in rows if isinstance(row, Reject)] == ["empty-target", "ragged-row"]
    (tmp_path / "fake.docx").write_text("hello")
    with pytest.raises(DataError, match="not a Word document"):
        examples(tmp_path / "fake.docx")


def test_arrays_are_decoded_the_same_however_they_are_cut() -> None:
    rng = random.Random(3)
    values = [
        {"a": rng.choice(["x", 'q"\\\n', "é😀\u2028", ""]), "n": rng.choice([1, -2.5e10, None, True, [[], {}]])}
        for _ in range(40)
    ]
    text = json.dumps(values, indent=rng.choice([None, 1]), ensure_ascii=True)
    for width in (1, 2, 3, 7, 50, 10_000):
        pieces = (text[start : start + width] for start in range(0, len(text), width))
        assert [value for value, _ in decode_objects(Path("a.json"), pieces)] == values


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[{"a": 1},\n {"a": tru }]', "a.json:2:8: broken JSON"),
        ('[{"a": 1},\n {"a": 1} {"a": 2}]', "a.json:2:11: broken JSON: a comma is missing"),
        ('[{"a": "x\n"}]', "a.json:1:10: broken JSON: Invalid control character"),
        ('[{"a": "' + "x" * 90, "a.json:1:8: broken JSON: Unterminated string"),
        ("[1,]", "a.json:1:3: broken JSON: a comma before"),
    ],
)
def test_a_fault_has_one_place_however_the_text_is_cut(text: str, said: str) -> None:
    for width in (1, 5, 1_000):
        pieces = (text[start : start + width] for start in range(0, len(text), width))
        with pytest.raises(DataError) as raised:
            list(decode_objects(Path("a.json"), pieces))
        assert str(raised.value).startswith(said)
