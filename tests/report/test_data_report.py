"""The page about a data set: its facts are counted by hand here, its texts cannot break out of it."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path

import pytest
from tests.bundles import open_tiny

from desktune.cli.main import run
from desktune.config.schema import DataSection
from desktune.data.encode import Kit, encode
from desktune.data.store import EncodedSet
from desktune.data.survey import Survey, survey
from desktune.rows import Encoded, Origin, Rendered

TRAIN = [
    ("the dog sees a cat", "le chien voit un chat"),
    ("the dog sees a cat", "le chien voit un chat"),
    ("The dog sees a cat!", "Le chien voit un chat."),
    ("my house is red", "ma maison est rouge"),
    ("two men open the door near the river", "le chien voit un chat"),
]
HELD = [("My house is RED.", "ma maison est rouge"), ("two men open the door near the river", "elle lit 12 livres")]


class Page(HTMLParser):
    """Counts tags and keeps the text."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def encoded(pairs: list[tuple[str, str]], folder: Path, name: str) -> EncodedSet:
    bundle = open_tiny(folder)
    kit = Kit.of(bundle.tokenizer, bundle.family, bundle.task)
    rows = [Rendered(Origin(name, number), "pair", *pair) for number, pair in enumerate(pairs, 1)]
    return EncodedSet.from_rows(row for row in encode(rows, kit, DataSection()) if isinstance(row, Encoded))


@pytest.fixture
def found(tiny_t5: Path) -> Survey:
    train, held = encoded(TRAIN, tiny_t5, "train"), encoded(HELD, tiny_t5, "held")
    return survey({"train": train, "validation": held}, train, {"source": 8, "target": 6}, encoder_decoder=True)


def test_repeats_and_leaks_are_counted(found: Survey) -> None:
    assert (found.repeated, found.nearly_repeated) == (1, 1)
    assert found.leak_counts == {
        "the same but for case and punctuation, also in validation": 1,
        "the same source, also in validation": 1,
    }
    assert [(leak.train, leak.other) for leak in found.leaks] == [("train:4", "held:1"), ("train:5", "held:2")]
    assert found.frequent == (("le chien voit un chat", 3),)


def test_lengths_are_those_before_the_cut(found: Survey, tiny_t5: Path) -> None:
    lengths = encoded(TRAIN, tiny_t5, "train").input_lengths
    assert sum(found.lengths["source"].counts) == len(TRAIN)
    assert found.lengths["source"].over == lengths.max()
    assert found.over_limit["source"] == sum(length > 8 for length in lengths)
    assert found.scripts["source"] == {"latin": len(TRAIN)}


def test_page_through_the_command_line(tiny_t5: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A row that is HTML stays text; the limit that cuts is drawn and said; the page needs nothing from elsewhere."""
    nasty = "<script>alert('the dog')</script> & a cat </s>"
    rows = [{"input": f"the dog sees {number} cats", "output": "le chien voit"} for number in range(30)]
    rows += [{"input": f"my house {number}", "output": nasty} for number in range(9)]
    rows += [{"input": "the dog " * 40, "output": "un chat"}]
    data, page_file = tmp_path / "rows.jsonl", tmp_path / "out" / "page.html"
    data.write_text("".join(json.dumps(row) + "\n" for row in [*rows, rows[0]]), encoding="utf-8")
    config = tmp_path / "d.yaml"
    config.write_text(f"model: {{name: {tiny_t5}}}\ndata: {{train: {data}, max_source_length: 60}}\n", encoding="utf-8")
    assert run(["data", "report", str(config), "-o", str(page_file), f"output.dir={tmp_path / 'runs' / 'x'}"]) == 0
    said = " ".join("".join(capsys.readouterr()).split())
    assert "1 of 41 rows are over the limit of 60 tokens" in said
    assert "What it will cost here" in said
    text = page_file.read_text(encoding="utf-8")
    page = Page()
    page.feed(text)
    assert "script" not in page.tags
    assert "<script>alert" in "".join(page.words)
    assert page.tags.count("svg") == 2
    assert "limit 60" in "".join(page.words)
    assert "http" not in text
    assert "overlong-source" in "".join(page.words)
