"""Codes of models, and languages of texts: too little said is better than a false alarm."""

from __future__ import annotations

import json

import pytest

from desktune import starters
from desktune.evaluate.languages import agreed, identified, known, primary

ENGLISH = "The children are playing with a red ball in front of the house."
FRENCH = "Les enfants jouent avec un ballon rouge devant la maison."


@pytest.mark.parametrize(
    ("code", "expected"),
    [("fr", "fr"), ("fr_XX", "fr"), ("fra_Latn", "fr"), (">>fra<<", "fr"), ("pt_br", "pt"), ("zho_Hans", "zh"),
     ("en-GB", "en"), ("french", None), ("", None), (None, None), ("not a code", None)],
)  # fmt: skip
def test_codes_of_models(code: str | None, expected: str | None) -> None:
    assert primary(code) == expected


def test_languages_that_are_written_alike_count_as_one() -> None:
    assert known("cmn") == known("yue") == known("zh") is not None
    assert known("nb") == known("nn") == known("da") is not None
    assert known("tlh") is None


def test_short_texts_names_and_figures_are_not_told() -> None:
    assert [identified(text) for text in ("", "Bonjour", "Paris, Berlin", "12 345 678", "Salut à tous")] == [None] * 5


@pytest.mark.parametrize(
    ("text", "expected"),
    [(ENGLISH, "en"), (FRENCH, "fr"), ("今天天气很好，我们一起去公园散步吧，然后再去吃午饭。", "zh")],
)
def test_sentences_are_told(text: str, expected: str) -> None:
    assert identified(text) == expected


@pytest.mark.parametrize("name", ["marine", "everyday"])
def test_no_sample_sentence_is_taken_for_another_language(name: str) -> None:
    lines = [json.loads(line) for line in starters.sample(name).read_text(encoding="utf-8").splitlines()]
    texts = [(row["source"], row["source_lang"]) for row in lines]
    told = [(identified(text), language) for text, language in texts]
    assert not [pair for pair in told if pair[0] not in (None, pair[1])]
    assert sum(found is not None for found, _ in told) > len(told) / 2


def test_references_agree_or_do_not() -> None:
    assert agreed([FRENCH] * 9 + [ENGLISH]) == "fr"
    assert agreed([FRENCH] * 8 + [ENGLISH] * 2) is None
    assert agreed([FRENCH, *["oui"] * 5]) is None
