"""Each filter as a table: texts that it keeps, texts that it drops."""

from __future__ import annotations

import pytest

from desktune.config.cleaning import (
    PRESETS,
    Cleaning,
    Limits,
    allowed,
    cleaning_faults,
    meanings,
    parse_cleaning,
    resolved,
)
from desktune.data.clean import lengths, lexicon, match, mend, noise
from desktune.data.clean.duplicates import Seen, folded
from desktune.data.clean.filters import _WAYS, Means, build
from desktune.data.clean.language import detector, language, script
from desktune.data.clean.learn import Learnt
from desktune.data.clean.texts import Texts
from desktune.errors import ConfigError
from desktune.events import Event, Warn, silent
from desktune.rows import Origin


def pair(source: str, target: str, langs: tuple[str | None, ...] = ("en", "fr")) -> Texts:
    return Texts((source, target), langs, True)


@pytest.mark.parametrize(
    ("change", "before", "after"),
    [
        ("repair", "Le cafÃ© est fermÃ©.", "Le café est fermé."),
        ("repair", "“Quoted”, l’été ﬁn", "“Quoted”, l’été ﬁn"),
        ("normalise", "e\u0301te\u0301", "été"),
        ("control", "a\u200bb\x07c\ufeff\xad", "abc"),
        ("control", "می\u200cخواهم 👨\u200d👩", "می\u200cخواهم 👨\u200d👩"),
        ("whitespace", "  a \t b\u3000c\n", "a b c"),
        ("whitespace", "Vraiment\u00a0?", "Vraiment\u00a0?"),
        ("linebreaks", "a cut sen-\ntence and\r\n\r\nmore", "a cut sentence and more"),
    ],
)
def test_changes(change: str, before: str, after: str) -> None:
    limits = {**dict.fromkeys(PRESETS, False), change: "space" if change == "linebreaks" else True}
    changes = mend.changes_of(limits)
    assert list(changes) == [change]
    assert changes[change](before) == after
    assert changes[change](after) == after


@pytest.mark.parametrize(
    ("score", "text", "low", "high"),
    [
        (noise.letters, "Two dogs run.", 0.8, 1.0),
        (noise.letters, "12.5 | 33.1 | 8 %", 0.0, 0.1),
        (noise.letters, "नमस्ते दुनिया", 0.9, 1.0),
        (noise.ocr_faults, "The water of the harbour is cold in 1998.", 0, 0),
        (noise.ocr_faults, "Plan B is a vitamin C pill from the 3rd USA team.", 0, 0.1),
        (noise.ocr_faults, "T h e w a t e r of the harb0ur is co1d", 0.3, 1.0),
        (noise.ocr_faults, "l ' eau et l ' air d ' un port", 0.3, 1.0),
        (noise.repetition, "A brown dog chases a black dog in the deep snow.", 0, 0),
        (noise.repetition, "the cat the cat the cat the cat the cat", 0.6, 1.0),
        (noise.references, "Figure 3. Map of the gulf.", 1.0, 1.0),
        (noise.references, "Fish were caught in the gulf (Smith et al. 1998).", 0.05, 0.4),
        (noise.references, "The figure of a man at a table.", 0, 0),
        (noise.dates, "12 March 1998", 0.9, 1.0),
        (noise.dates, "le 3 février 2011", 0.6, 1.0),
        (noise.dates, "We may march on.", 0, 0),
        (noise.abstract, "A short text. It ends.", 0, 0.2),
        (noise.abstract, "Abstract " + "Fish swim in the cold sea. " * 20, 1.0, 1.0),
        (noise.breakage(), "Le caf\ufffd", 1.0, 9.0),
        (noise.breakage(), "naïve café à Zürich – „gut“", 0.0, 0.0),
    ],
)
def test_scores_of_one_text(score: object, text: str, low: float, high: float) -> None:
    assert low <= score(text) <= high  # type: ignore[operator]


@pytest.mark.parametrize(
    ("source", "target", "score"),
    [
        ("It has 1,250 rows.", "Il a 1 250 lignes.", 1.0),
        ("It costs 3.5 euros.", "Il coûte 3,5 euros.", 1.0),
        ("It costs 2.00 euros.", "Il coûte 2 euros.", 1.0),
        ("Five dogs", "5 chiens", None),
        ("In 1998", "En 1989", 0.0),
        ("5 dogs in 1998", "6 chiens en 1998", 0.5),
        ("Nothing", "Rien", None),
    ],
)
def test_numbers(source: str, target: str, score: float | None) -> None:
    assert match.numbers(pair(source, target)) == score


def test_scores_of_pairs() -> None:
    assert match.urls(pair("See www.a.org.", "Voir www.a.org")) == 1.0
    assert match.urls(pair("See https://a.org", "Voir https://b.org")) == 0.0
    assert match.punctuation(pair("One. Two.", "Un. Deux.")) == 0.0
    assert match.punctuation(pair("One.", "Un... deux. trois.")) < -2
    assert match.brackets(pair("A (b) [c]", "A (b) {c}")) == 0
    assert match.brackets(pair("A (b)", "A (b")) == 1
    cut = match.Truncated(1.0)
    assert cut(pair("The dog sleeps in the garden.", "Le chien dort")) == pytest.approx(13 / 29)
    assert cut(pair("The dog sleeps.", "Le chien dort.")) is None
    assert match.likeness()(pair("The Dog.", "the dog.")) == 1.0
    assert lengths.ratio(pair("12345", "123456789012345")) == 2.0
    assert lengths.token_ratio(lambda text: len(text.split()))(pair("a b c d e", "a")) == 0.6
    assert lengths.fewest_words(pair("two words", "二つの単語です")) == 2


def test_language_and_script() -> None:
    score = language(detector())
    right = score(pair("The dog sleeps in the garden.", "Le chien dort dans le jardin."))
    wrong = score(pair("The dog sleeps in the garden.", "Der Hund schläft heute im Garten.", ("eng_Latn", "fr_XX")))
    assert right is not None
    assert wrong is not None
    assert wrong < 0.02 < 0.5 < right
    assert score(pair("Yes", "Oui")) is None
    assert score(pair("The dog sleeps in the garden.", "x", (None, None))) is None
    assert script(pair("a dog", "собака", ("en", "ru"))) == 1.0
    assert script(pair("a dog", "sobaka", ("en", "ru"))) == 0.0
    assert script(pair("a dog", "犬が走る", ("en", "ja"))) == 1.0
    assert script(pair("12", "12")) is None


def test_lexicon_tells_swapped_rows() -> None:
    nouns = {f"noun{n}x": f"nom{n}y" for n in range(30)} | {}
    left, right = list(nouns), list(nouns.values())
    letters = str.maketrans("0123456789", "abcdefghij")
    rows = [
        pair(
            f"the {left[n % 30]} sees {left[n * 7 % 30]} and {left[n * 11 % 30]}".translate(letters),
            f"le {right[n % 30]} voit {right[n * 7 % 30]} et {right[n * 11 % 30]}".translate(letters),
        )
        for n in range(300)
    ]
    score = lexicon.learn(rows)
    sound = [score(row) for row in rows[:50]]
    swapped = [score(pair(rows[n].sides[0], rows[n + 1].sides[1])) for n in range(50)]
    assert min(value for value in sound if value is not None) > max(value for value in swapped if value is not None)
    assert score(pair("other words", "autres mots")) is None


def test_seen_rows() -> None:
    seen = Seen()
    text = folded(("A man walks  along the river today.", "Un homme marche le long de la rivière."))
    seen.add(text, Origin("a", 1), "en")
    near = folded(("So a man walks along the river today.", "Un homme marche le long de la rivière."))
    other = folded(("A child reads a book at school.", "Un enfant lit un livre à l'école."))
    assert (
        seen.equal(folded(("a MAN walks along the river today", "Un homme marche le long de la rivière"))) is not None
    )
    found = seen.nearest(near, "en")
    assert found is not None
    assert 0.8 < found.likeness < 1.0
    assert found.place == "a:1"
    assert seen.nearest(near, "fr") is None
    assert seen.nearest(other, "en") is None
    assert seen.equal(other) is None
    seen.close()


def test_every_filter_has_limits_meaning_and_way() -> None:
    mends = {"repair", "normalise", "control", "whitespace", "linebreaks", "duplicates", "near_duplicates"}
    assert list(PRESETS) == list(Limits.model_fields) == list(meanings())
    assert set(_WAYS) | mends == set(PRESETS)
    for column in (0, 1):
        parse_cleaning({"filters": {name: both[column] for name, both in PRESETS.items()}})
    assert all(allowed(name) for name in PRESETS)
    zero = resolved(parse_cleaning({"filters": {"mojibake": 0, "numbers": 1}}))
    assert zero["mojibake"] is not False
    assert zero["numbers"] is not False
    assert resolved(Cleaning()) == dict.fromkeys(PRESETS, False)
    mine = resolved(parse_cleaning({"preset": "strict", "filters": {"numbers": 0.7, "lexicon": False}}))
    assert (mine["numbers"], mine["lexicon"], mine["duplicates"]) == (0.7, False, True)


def test_faults_name_the_filter() -> None:
    found = dict(cleaning_faults({"preset": "hard", "filters": {"number": 1.0, "urls": 3.0, "lexicon": "x"}, "ocr": 1}))
    assert found["preset",] == "found the text 'hard'; allowed: none, light or strict"
    assert found["filters", "number"].startswith("no such filter; did you mean 'numbers'?")
    assert "allowed: a number from 0 to 1, false" in found["filters", "urls"]
    assert "allowed: a number, auto, false" in found["filters", "lexicon"]
    assert "write it below filters" in found["ocr",]
    with pytest.raises(ConfigError, match=r"data\.cleaning\.preset"):
        parse_cleaning({"preset": 3})


def test_embedding_is_skipped_aloud_where_it_is_not_installed() -> None:
    said: list[Event] = []
    limits = {**dict.fromkeys(PRESETS, False), "embedding": 0.5}
    assert build(limits, Learnt(), Means(None, "folder"), said.append) == []
    assert [event for event in said if isinstance(event, Warn)]
    assert build(dict.fromkeys(PRESETS, False), Learnt(), Means(), silent) == []
