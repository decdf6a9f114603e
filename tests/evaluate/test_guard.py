"""The language guard: each class on answers that show it, and nothing on sound ones."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tests.bundles import open_tiny, text_rows

from desktune.evaluate.guard import guard, repeats
from desktune.evaluate.report import Report, Scores
from desktune.evaluate.score import compare
from desktune.events import Event, Table, Warn
from desktune.models.load import Bundle
from desktune.rows import Encoded

ENGLISH = "The children are playing with a red ball in front of the house."
FRENCH = "Les enfants jouent avec un ballon rouge devant la maison."


def rows_of(
    bundle: Bundle, count: int, source: str, reference: str, languages: tuple[str | None, str | None] = ("en", "fr")
) -> list[Encoded]:
    row = replace(
        text_rows(bundle)[0],
        prompt=source,
        completion=reference,
        source_lang=languages[0],
        target_lang=languages[1],
    )
    return [row] * count


@pytest.fixture
def marian(tiny_marian: Path) -> Bundle:
    return open_tiny(tiny_marian)


def test_sound_answers_raise_nothing(marian: Bundle) -> None:
    found = guard(marian, rows_of(marian, 3, ENGLISH, FRENCH), [FRENCH] * 3, 200)
    assert dict(found.found) == dict.fromkeys(found.found, 0)
    assert set(found.judged.values()) == {3}
    assert found.alarming == ()


@pytest.mark.parametrize(
    ("output", "kinds"),
    [
        (ENGLISH, {"wrong_language", "copied"}),
        ("The weather will be nice in the north of the country.", {"wrong_language"}),
        ("", {"empty"}),
        ("le chat le chat le chat le chat", {"repeating"}),
    ],
)
def test_every_class_is_found(output: str, kinds: set[str], marian: Bundle) -> None:
    found = guard(marian, rows_of(marian, 3, ENGLISH, FRENCH), [output] * 3, 200)
    assert {name for name, count in found.found.items() if count == 3} == kinds
    assert set(found.alarming) == kinds
    assert "3 of 3 answers" in found.warning(next(iter(kinds)), "the model")


@pytest.mark.parametrize("code", ["fr_XX", "fra_Latn", ">>fra<<"])
def test_codes_of_models_are_understood(code: str, marian: Bundle) -> None:
    rows = rows_of(marian, 2, ENGLISH, FRENCH, ("en", code))
    assert guard(marian, rows, [FRENCH, ENGLISH], 200).rows["wrong_language"] == (1,)


@pytest.mark.parametrize("code", ["tlh", "french"])
def test_what_cannot_be_told_is_not_judged(code: str, marian: Bundle) -> None:
    rows = rows_of(marian, 2, ENGLISH, FRENCH, ("en", code))
    assert guard(marian, rows, [ENGLISH] * 2, 200).judged["wrong_language"] == 0


def test_a_reference_in_another_language_than_its_code_is_not_judged(marian: Bundle) -> None:
    rows = rows_of(marian, 2, FRENCH, ENGLISH)
    assert guard(marian, rows, [ENGLISH] * 2, 200).judged["wrong_language"] == 0


def test_a_source_that_stays_as_it_is_is_no_copy(marian: Bundle) -> None:
    found = guard(marian, rows_of(marian, 2, "Paris, 12 May!", "paris 12 may"), ["Paris 12 May"] * 2, 200)
    assert (found.judged["copied"], found.found["copied"]) == (0, 0)


def test_without_codes_the_references_say_the_language(marian: Bundle) -> None:
    rows = rows_of(marian, 4, FRENCH, ENGLISH, (None, None))
    assert guard(marian, rows, [ENGLISH, FRENCH, "yes", FRENCH], 200).rows["wrong_language"] == (1, 3)
    mixed = [*rows, *rows_of(marian, 4, ENGLISH, FRENCH, (None, None))]
    assert guard(marian, mixed, [FRENCH] * 8, 200).judged["wrong_language"] == 0


@pytest.mark.parametrize("family", ["marian", "llama", "t5"])
def test_the_length_limit_is_noticed(family: str, tiny_folders: dict[str, Path]) -> None:
    bundle = open_tiny(tiny_folders[family])
    rows = [replace(row, labels=row.labels[-3:]) for row in text_rows(bundle)[:2]]
    long = "elle lit livres ma maison est rouge deux hommes ouvrent la porte"
    assert guard(bundle, rows, [long, "oui"], 8).rows["hit_limit"] == (0,)
    assert guard(bundle, text_rows(bundle)[2:3], [long], 3).judged["hit_limit"] == 0  # the reference is longer itself


@pytest.mark.parametrize(
    "text",
    ["a dog and a cat and a dog and a cat and a dog and a cat and a dog", "tools tools tools tools tools",
     "he says: la la la la la la.", "inconnnnnnnue", "est estwowowowowowowowon", "哈哈哈哈哈哈哈"],
)  # fmt: skip
def test_loops_are_found(text: str) -> None:
    assert repeats(text)


@pytest.mark.parametrize(
    "text",
    ["", "no, no, no, never", "that that is is", "10 10 10 10 10 10", "1000000000 + 0.3333333333", "----------",
     "I like tea and you like tea and we all drink it", "the cat saw the cat that saw the dog"],
)  # fmt: skip
def test_sound_texts_are_no_loops(text: str) -> None:
    assert not repeats(text)


def test_a_reference_that_repeats_raises_nothing(marian: Bundle) -> None:
    rows = rows_of(marian, 2, "laugh", "ha ha ha ha ha ha")
    assert guard(marian, rows, ["ha ha ha ha ha ha ha"] * 2, 200).judged["repeating"] == 0


def test_compare_warns_and_writes_what_went_wrong(marian: Bundle) -> None:
    rows = rows_of(marian, 3, ENGLISH, FRENCH)
    events: list[Event] = []

    def scores(outputs: list[str]) -> Scores:
        return Scores(1.0, 9, {}, outputs, 1.0, guard(marian, rows, outputs, 200))

    report: Report = compare(scores([FRENCH] * 3), scores([FRENCH, ENGLISH, ENGLISH]), rows, events.append)
    table = next(event for event in events if isinstance(event, Table) and event.title == "Answers that went wrong")
    assert table.rows[0] == ("in the wrong language", "0 of 3 (0.0 %)", "2 of 3 (66.7 %)")
    warned = [event.text for event in events if isinstance(event, Warn)]
    assert len(warned) == 2
    assert "data.target_lang" in warned[0]
    values = report.to_json()
    assert values["tuned"]["guard"]["copied"] == {"judged": 3, "found": 2, "share": pytest.approx(2 / 3)}
    assert [row.get("tuned_flags") for row in values["rows"]] == [None, *[["wrong_language", "copied"]] * 2]
