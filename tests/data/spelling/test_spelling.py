"""US and UK spelling: the table, nasty sentences, files that change in nothing but words."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from desktune.cli.main import run
from desktune.data.spelling.words import CONTEXT, Report, Spelling, forms, respell, spellings, table


def test_the_table_is_well_formed() -> None:
    rows = table()
    assert len(rows) > 850
    assert list(rows) == sorted(rows)
    assert {kind for _, _, kind, _ in rows} == {"n", "v", "x", "ll", "pp", "ize", "yze"}
    assert {way for *_, way in rows} == {"=", ">", "<"}
    assert all(word.isalpha() and word.islower() for us, uk, *_ in rows for word in (us, uk))
    assert all(us != uk or kind in ("ll", "pp") for us, uk, kind, _ in rows)


@pytest.mark.parametrize("to", ["us", "uk"])
@pytest.mark.parametrize("oxford", [True, False])
def test_no_word_is_changed_twice(to: Spelling, oxford: bool) -> None:
    """What comes out stays as it is, so that a file can be spelt again."""
    found = spellings(to, oxford=oxford)
    assert len(found) > 3_000
    assert not set(found.values()) & set(found)
    assert not set(found) & CONTEXT[to]


def test_there_and_back_is_the_same() -> None:
    for us, uk, kind, way in table():
        if way != "=":
            continue
        for ours, theirs in forms(us, uk, kind):
            if ours in CONTEXT["uk"] or theirs in CONTEXT["us"]:
                continue
            assert respell(ours, "uk") == theirs
            assert respell(theirs, "us") == ours
            assert respell(respell(ours, "uk", oxford=True), "us") == ours


@pytest.mark.parametrize(
    ("us", "uk"),
    [
        ("The color of the theater's center.", "The colour of the theatre's centre."),
        ("COLOR, Color and color-blind", "COLOUR, Colour and colour-blind"),
        ("He traveled, modeling canceled labels.", "He travelled, modelling cancelled labels."),
        ("Organizations organize and analyze.", "Organisations organise and analyse."),
        ("Aluminum sulfates in gray fibers", "Aluminium sulphates in grey fibres"),
        ("Leukemia, anesthesia, esophagus, diarrhea", "Leukaemia, anaesthesia, oesophagus, diarrhoea"),
        ("a skillful defense of the catalog", "a skilful defence of the catalogue"),
        ("neighborhoods, favorites, behavioral", "neighbourhoods, favourites, behavioural"),
        ("she practiced maneuvers in pajamas", "she practised manoeuvres in pyjamas"),
        ("kilometers, milliliters, centimeters", "kilometres, millilitres, centimetres"),
        ("red/gray colors\nand color", "red/grey colours\nand colour"),
        ("Judgment day", "Judgement day"),
    ],
)
def test_sentences(us: str, uk: str) -> None:
    assert respell(us, "uk") == uk
    assert respell(uk, "us") == us
    assert respell(uk, "uk") == uk
    assert respell(us, "us") == us


@pytest.mark.parametrize(
    "text",
    [
        "a size, a prize, to seize, to capsize",
        "to advise, exercise, surprise, promise, compromise, otherwise, wise, precise",
        "glamorous, humorous, vigorous, honorary, laboratory, coloration",
        "http://color.com/center and www.color.org, me@color.org, ./color/center",
        "src/color/gray.py, `color`, color.txt",
        "@color #color color_map coLor color2",
        "World Trade Center, Pearl Harbor, in Ann Arbor",
        "He has a license to program a meter, and checks a draft.",
        "a story about a tire, a curb, a ton and a disk",
        "hour, four, tour, your, pour, contour, velour; acre, massacre, ogre",
        "Cancellation of excellent travel",
    ],
)
def test_left_alone(text: str) -> None:
    assert respell(text, "uk") == text


def test_other_spellings_of_oxford() -> None:
    assert respell("organised, analysed, colored", "uk", oxford=True) == "organized, analysed, coloured"


def test_what_is_left_is_listed_with_an_example() -> None:
    report = Report()
    respell("He may check the program. A check at the Lincoln Center; the color.", "uk", report)
    assert report.left == {"check": 2, "program": 1, "Center": 1}
    assert report.changed == {("color", "colour"): 1}
    assert "Lincoln Center" in report.examples["Center"]


def test_uk_words_that_mean_one_thing_are_turned() -> None:
    text = "The programme on tyres, cheques and kerbs is a licence to practise."
    assert respell(text, "us") == "The program on tires, checks and curbs is a license to practise."


ROWS = [
    {"source": "the color", "target": "la color", "source_lang": "en", "pub_number": "7"},
    {"source": "la color", "target": "the color", "source_lang": "fr", "pub_number": "color"},
    {"translation": {"en": "a center", "fr": "un center"}},
    {"messages": [{"role": "user", "content": "gray?"}, {"role": "assistant", "content": "Gray."}], "n": 3},
    {"text": "a theater", "ok": True, "x": None},
]


def test_rows_change_on_their_english_side(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS), encoding="utf-8")
    assert run(["data", "spelling", "a.jsonl", "-o", "b.jsonl", "--to", "uk"]) == 0
    found = [json.loads(line) for line in Path("b.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [list(row) for row in found] == [list(row) for row in ROWS]
    assert found[0] == {**ROWS[0], "source": "the colour"}
    assert found[1] == {**ROWS[1], "target": "the colour"}
    assert found[2] == {"translation": {"en": "a centre", "fr": "un center"}}
    assert [turn["content"] for turn in found[3]["messages"]] == ["grey?", "Grey."]
    assert found[4] == {"text": "a theatre", "ok": True, "x": None}
    assert run(["data", "spelling", "b.jsonl", "-o", "c.jsonl", "--to", "us", "--fields", "source,text"]) == 0
    back = [json.loads(line) for line in Path("c.jsonl").read_text(encoding="utf-8").splitlines()]
    assert (back[0]["source"], back[1]["target"], back[4]["text"]) == ("the color", "the colour", "a theater")


def test_every_kind_of_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.txt").write_text("The color.\n\nA center\n", encoding="utf-8")
    Path("a.json").write_text(json.dumps([{"text": "color"}, {"text": "x"}]), encoding="utf-8")
    Path("a.csv").write_text('source,target\n"a color, and\nmore",b\n', encoding="utf-8")
    Path("a.tsv").write_text("source\ttarget\na color\tb\n", encoding="utf-8")
    for kind in ("txt", "json", "csv", "tsv"):
        assert run(["data", "spelling", f"a.{kind}", "-o", f"b.{kind}", "--to", "uk"]) == 0
    assert Path("b.txt").read_text(encoding="utf-8") == "The colour.\n\nA centre\n"
    assert json.loads(Path("b.json").read_text(encoding="utf-8")) == [{"text": "colour"}, {"text": "x"}]
    with Path("b.csv").open(encoding="utf-8", newline="") as file:
        assert list(csv.reader(file)) == [["source", "target"], ["a colour, and\nmore", "b"]]
    assert Path("b.tsv").read_text(encoding="utf-8") == "source\ttarget\na colour\tb\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["a.jsonl", "-o", "b.jsonl", "--to", "au"], "--to au: allowed are uk and us"),
        (["a.jsonl", "-o", "b.jsonl", "--to", "us", "--oxford"], "--oxford: is a UK spelling"),
        (["a.jsonl", "-o", "a.jsonl", "--to", "uk"], "would be overwritten"),
        (["a.jsonl", "-o", "b.csv", "--to", "uk"], "of the same kind"),
        (["a.jsonl", "-o", "no/b.jsonl", "--to", "uk"], "make it first"),
        (["no.jsonl", "-o", "b.jsonl", "--to", "uk"], "no.jsonl: no such file"),
        (["a.pdf", "-o", "b.pdf", "--to", "uk"], "a.pdf: allowed are"),
        (["a.jsonl", "-o", "b.jsonl", "--to", "uk", "--fields", "sorce"], "no text field sorce; there are: text"),
        (["bad.jsonl", "-o", "b.jsonl", "--to", "uk"], "bad.jsonl:2: no JSON"),
        (["latin.jsonl", "-o", "b.jsonl", "--to", "uk"], "latin.jsonl:1: byte"),
        (["bad.json", "-o", "b.json", "--to", "uk"], "bad.json: not a JSON array of rows"),
        (["bad.csv", "-o", "b.csv", "--to", "uk"], "bad.csv:3: 1 cells, the header has 2"),
    ],
)
def test_what_cannot_be_spelt(
    words: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.jsonl").write_text('{"text": "color"}\n', encoding="utf-8")
    Path("a.pdf").write_bytes(b"%PDF")
    Path("bad.jsonl").write_text('{"text": "color"}\n{"text": \n', encoding="utf-8")
    Path("latin.jsonl").write_bytes('{"text": "été"}\n'.encode("latin-1"))
    Path("bad.json").write_text('{"text": "color"}', encoding="utf-8")
    Path("bad.csv").write_text("a,b\nc,d\ne\n", encoding="utf-8")
    before = Path("a.jsonl").read_bytes()
    assert run(["data", "spelling", *words]) == 2
    error = " ".join(capsys.readouterr().err.split())
    assert said in error
    assert "Traceback" not in error
    assert Path("a.jsonl").read_bytes() == before
    assert not list(tmp_path.glob("b.*"))
