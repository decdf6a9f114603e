"""Groups of rows: directions with their own words, and lengths."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from tests.bundles import open_tiny, text_rows

from desktune.evaluate.metrics import score
from desktune.evaluate.report import Scores
from desktune.evaluate.score import compare
from desktune.events import Event, Note, Table
from desktune.rows import Encoded

CHINESE = ["我喜欢吃苹果和梨。", "今天的天气很好"]
FRENCH = ["le chat est sur la table", "il pleut fort ce soir"]


@pytest.fixture
def rows(tiny_marian: Path) -> list[Encoded]:
    row = text_rows(open_tiny(tiny_marian))[0]
    chinese = [replace(row, completion=text, source_lang="en", target_lang="zh") for text in CHINESE]
    return [*chinese, *(replace(row, completion=text, source_lang="en", target_lang="fr") for text in FRENCH)]


def scores(rows: list[Encoded], outputs: list[str], names: tuple[str, ...] = ("bleu", "rougeL", "ter")) -> Scores:
    return Scores(1.0, 9, score(names, outputs, [row.completion for row in rows]), outputs)


def test_every_direction_cuts_words_its_own_way(rows: list[Encoded]) -> None:
    outputs = ["我喜欢吃苹果", "今天天气很好", "le chat est sous la table", "il pleut fort ce soir"]
    events: list[Event] = []
    report = compare(scores(rows, ["x"] * 4), scores(rows, outputs), rows, events.append, bootstrap_samples=0)
    assert list(report.directions) == ["en → fr", "en → zh"]
    chinese = report.directions["en → zh"]
    assert chinese.rows == 2
    assert chinese.tuned["bleu"] == pytest.approx(score(["bleu"], outputs[:2], CHINESE, "zh")["bleu"].value)
    assert "tok:zh" in chinese.signatures["bleu"]
    assert "tok:13a" in report.tuned.metrics["bleu"].signature
    average = report.macro_average
    assert average is not None
    assert average.tuned["bleu"] == pytest.approx(sum(part.tuned["bleu"] for part in report.directions.values()) / 2)
    table = next(event for event in events if isinstance(event, Table) and event.title.startswith("Language"))
    assert [line[0] for line in table.rows] == ["en → fr", "en → zh", "macro average"]
    assert any("over all languages" in event.text for event in events if isinstance(event, Note))
    assert json.loads(json.dumps(report.to_json()))["macro_average"]["rows"] == 4


def test_one_direction_and_few_rows_have_no_groups(rows: list[Encoded]) -> None:
    report = compare(scores(rows[2:], FRENCH), scores(rows[2:], FRENCH), rows[2:], bootstrap_samples=0)
    assert (report.files, report.directions, report.lengths, report.macro_average) == ({}, {}, {}, None)


def test_quarters_of_the_length(rows: list[Encoded]) -> None:
    many = [replace(rows[2], labels=(5,) * length, completion=f"mot {length}") for length in range(1, 21)]
    tuned = [row.completion if row.trained_tokens <= 10 else "x" for row in many]
    names = ("exact_match",)
    report = compare(scores(many, ["x"] * 20, names), scores(many, tuned, names), many, bootstrap_samples=50)
    assert {name: (part.rows, part.tuned["exact_match"]) for name, part in report.lengths.items()} == {
        "1 to 5 tokens": (5, 100.0),
        "6 to 10 tokens": (5, 100.0),
        "11 to 15 tokens": (5, 0.0),
        "16 to 20 tokens": (5, 0.0),
    }
    found = report.to_json()["bootstrap"]["exact_match"]
    assert found["tuned"]["low"] < 50 < found["tuned"]["high"]


def test_rows_of_one_length_are_one_group(rows: list[Encoded]) -> None:
    same = [replace(rows[2], labels=(5,) * 4)] * 20
    outputs = [FRENCH[0]] * 20
    assert compare(scores(same, outputs), scores(same, outputs), same, bootstrap_samples=0).lengths == {}


def test_files_of_one_name_are_told_apart(rows: list[Encoded]) -> None:
    french = [replace(row, origin=replace(row.origin, file=f"{place}/a.txt")) for place, row in enumerate(rows[2:])]
    report = compare(scores(french, FRENCH), scores(french, FRENCH), french, bootstrap_samples=0)
    assert list(report.files) == ["0/a.txt", "1/a.txt"]
