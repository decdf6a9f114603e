"""The page about a data set: its facts are counted by hand here, its texts cannot break out of it."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path

import pytest
from tests.bundles import open_tiny

from desktune.cli.main import run
from desktune.config.schema import DataSection
from desktune.data.clean.scores import Near, score_rows
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
    assert found.private == {}


def test_lengths_are_those_before_the_cut(found: Survey, tiny_t5: Path) -> None:
    lengths = encoded(TRAIN, tiny_t5, "train").input_lengths
    assert sum(found.lengths["source"].counts) == len(TRAIN)
    assert found.lengths["source"].edges[-1] == lengths.max()
    assert found.over_limit["source"] == sum(length > 8 for length in lengths)
    assert found.scripts["source"] == {"latin": len(TRAIN)}


def test_page_through_the_command_line(tiny_t5: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A row that is HTML stays text; the limit that cuts is drawn and said; the page needs nothing from elsewhere."""
    nasty = "<script>alert('the dog')</script> & a cat </s>"
    rows = [{"input": f"the dog sees {number} cats", "output": "le chien voit"} for number in range(30)]
    rows += [{"input": f"my house {number}", "output": nasty} for number in range(9)]
    rows += [{"input": "the dog " * 40, "output": "un chat"}]
    rows += [{"input": f"собака видит дом {number}", "output": "le chien voit"} for number in range(12)]
    rows += [{"input": "write to me@dogs.org", "output": "hf_" + "a1" * 12}]
    data, page_file = tmp_path / "rows.jsonl", tmp_path / "out" / "page.html"
    data.write_text("".join(json.dumps(row) + "\n" for row in [*rows, rows[0]]), encoding="utf-8")
    config = tmp_path / "d.yaml"
    config.write_text(f"model: {{name: {tiny_t5}}}\ndata: {{train: {data}, max_source_length: 60}}\n", encoding="utf-8")
    assert run(["data", "report", str(config), "-o", str(page_file), f"output.dir={tmp_path / 'runs' / 'x'}"]) == 0
    said = " ".join("".join(capsys.readouterr()).split())
    assert "1 of 54 rows are over the limit of 60 tokens" in said
    assert "What it will cost here" in said
    assert "one target for" in said
    assert "source: written in several scripts (latin" in said
    assert "1 training rows hold e-mail addresses" in said
    assert "1 training rows hold keys or tokens" in said
    text = page_file.read_text(encoding="utf-8")
    page = Page()
    page.feed(text)
    assert "script" not in page.tags
    assert "<script>alert" in "".join(page.words)
    pictures = re.findall('<svg[^>]*aria-label="([^"]*)"', text)
    assert pictures[:2] == ["tokens of source", "tokens of target"]
    assert {"max_characters", "copied", "length_ratio"} <= set(pictures)
    assert "limit 60" in "".join(page.words)
    assert "http" not in text
    assert "overlong-source" in "".join(page.words)


def test_scores_of_filters_and_nearly_equal_rows(tmp_path: Path) -> None:
    """Each limit is that of the settings, of strict where a filter is off; what lies outside is what it would drop."""
    rows = [{"source": f"The dog number {i} sees {i} cats in house {i * 7}.",
             "target": f"Le chien numéro {i} voit {i} chats dans la maison {i * 7}."} for i in range(60)]  # fmt: skip
    rows[9]["target"] = "Le chien numéro 9 voit 4 chats dans la maison 63."
    rows.append({"source": "A very different sentence stands here, for once.",
                 "target": "Ici se trouve une phrase toute différente, pour une fois."})  # fmt: skip
    rows.append({"source": "A very different sentence stands here for once!",
                 "target": "Ici se trouve une phrase toute différente, pour une fois."})  # fmt: skip
    data = tmp_path / "rows.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    settings = {"preset": "none", "filters": {"numbers": 0.9, "max_characters": 50}}
    found = score_rows(DataSection(train=str(data), source_lang="en", target_lang="fr", cleaning=settings))
    known = {one.name: one for one in found.filters}
    assert found.rows == 62
    assert (known["numbers"].drops, known["numbers"].limit, known["numbers"].outside) == (True, "≥ 0.9", 1)
    assert (known["copied"].drops, known["copied"].outside) == (False, 0)
    longest = [max(len(row["source"]), len(row["target"])) for row in rows]
    assert known["max_characters"].outside == sum(length > 50 for length in longest)
    histogram = known["max_characters"].histogram
    assert histogram is not None
    assert (histogram.most, sum(histogram.counts)) == (50, 62)
    assert "rows.jsonl:62" in {one.place.rsplit("/", 1)[-1] for one in score_near(data)}


def score_near(data: Path) -> Sequence[Near]:
    """Only the last rows, so that the numbered ones, which are like each other, do not fill the list."""
    lines = data.read_text(encoding="utf-8").splitlines(keepends=True)
    data.write_text("\n" * 60 + "".join(lines[60:]), encoding="utf-8")
    return score_rows(DataSection(train=str(data), source_lang="en", target_lang="fr")).near
