"""Aligning documents: sentences, groups against a known alignment, files that training reads, bad input."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.data.align.made import Made, Pair, aligned, made, measure
from transformers import AutoTokenizer

from desktune.cli.main import run
from desktune.config.schema import DataSection
from desktune.data.align.dynamic import align
from desktune.data.align.evidence import Bead, Document, Evidence
from desktune.data.align.sentences import splitter
from desktune.data.encode import Kit
from desktune.data.prepare import prepare
from desktune.events import silent
from desktune.families import FAMILIES

DATA = Path(__file__).parents[3] / "src/desktune/starters/data"
WAY = ["--source-lang", "en", "--target-lang", "fr"]


def sentences() -> list[Pair]:
    """The English and French sentences that ship, each once."""
    rows = [json.loads(line) for line in (DATA / "marine.jsonl").read_text(encoding="utf-8").splitlines()]
    rows += [json.loads(line) for line in (DATA / "everyday.jsonl").read_text(encoding="utf-8").splitlines()]
    return list(dict.fromkeys((row["source"], row["target"]) for row in rows if row["source_lang"] == "en"))


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def folders(documents: list[Made], here: Path) -> None:
    sides: dict[str, Callable[[Made], list[str]]] = {"en": lambda one: one.source, "fr": lambda one: one.target}
    for language, side in sides.items():
        (here / language).mkdir()
        for number, one in enumerate(documents):
            text = "\n\n".join([" ".join(side(one)[:20]), " ".join(side(one)[20:])])
            (here / language / f"{number:03d}.{language}.txt").write_text(text, encoding="utf-8")


@pytest.mark.parametrize(("noise", "first", "second"), [(0.02, 0.97, 0.99), (0.1, 0.88, 0.95), (0.25, 0.75, 0.88)])
def test_known_alignments_are_found(noise: float, first: float, second: float) -> None:
    """Floors of F1 without and with the lexicon that the first pass teaches."""
    documents = made(sentences(), noise, seed=4)
    assert sum(len(one.source) for one in documents) > 400
    found, lexicon = aligned(documents, None)
    assert measure(documents, found)[2] > first
    better, _ = aligned(documents, lexicon)
    assert measure(documents, better)[2] > second
    for one, beads in zip(documents, better, strict=True):
        spans = [(bead.source_start, bead.source_end, bead.target_start, bead.target_end) for bead in beads]
        assert [place for span in spans for place in range(*span[:2])] == list(range(len(one.source)))
        assert [place for span in spans for place in range(*span[2:])] == list(range(len(one.target)))


def test_sentences_that_stand_together() -> None:
    source = ["The boat left at 8.", "It carried 120 sacks of salt to the island of Ouessant.", "Nobody saw it again."]
    target = ["Le bateau partit à 8 heures avec 120 sacs de sel pour l'île d'Ouessant.", "Nul ne l'a revu."]
    assert align(Evidence(Document(source), Document(target))) == [Bead(0, 2, 0, 1), Bead(2, 3, 1, 2)]
    assert [bead.kind for bead in align(Evidence(Document(target), Document(source)))] == ["1-2", "1-1"]


def test_a_chapter_that_one_side_lacks() -> None:
    """A gap longer than the usual one is walked around, since the band widens with the document."""
    pairs = sentences()[:300]
    source, target = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    found = align(Evidence(Document(source), Document(target[:100] + target[140:])))
    right = {
        bead
        for bead in found
        if bead.kind == "1-1" and bead.target_start in (bead.source_start, bead.source_start - 40)
    }
    assert len(right) > 235
    assert sum(bead.kind == "1-0" for bead in found) >= 35


@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        ("en", "See Fig. 3 for it. Smith et al. (1998) agree.", ["See Fig. 3 for it.", "Smith et al. (1998) agree."]),
        ("en", "Mytilus sp. lives here, vol. 3. He came.", ["Mytilus sp. lives here, vol. 3.", "He came."]),
        ("en", "He said no. Then he left.", ["He said no.", "Then he left."]),
        ("en", "It was No. 5 of approx. 12. Good.", ["It was No. 5 of approx. 12.", "Good."]),
        ("en", "A title\n\nA text. And more", ["A title", "A text.", "And more"]),
        ("fr", "Des mots, p. ex. ceux-ci. C'est, c.-à-d. cela.", ["Des mots, p. ex. ceux-ci.", "C'est, c.-à-d. cela."]),
        ("fr", "Mme Curie vient. Cf. le tableau 2.", ["Mme Curie vient.", "Cf. le tableau 2."]),
    ],
)
def test_sentences_of_a_document(language: str, text: str, expected: list[str]) -> None:
    assert splitter(language)[0](text) == expected


def test_own_abbreviations_and_languages_without_rules() -> None:
    split, known = splitter("sv", ["tillsfkt."])
    assert not known
    assert split("Den tillsfkt. Nivå är hög. Ja.") == ["Den tillsfkt. Nivå är hög.", "Ja."]


def test_folders_become_rows_that_training_reads(
    tiny_marian: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    documents = made(sentences()[:360], 0.05, seed=1)
    folders(documents, tmp_path)
    (tmp_path / "en" / "900.en.txt").write_text("Alone.", encoding="utf-8")
    words = ["data", "align", "en", "fr", *WAY, "-o", "pairs.jsonl", "--rejected", "gaps.jsonl", "--both-directions"]
    assert run(words) == 0
    said = "".join(capsys.readouterr())
    assert "900.en.txt: no document of the other side" in said
    assert "learnt from" in said
    rows, gaps = lines(Path("pairs.jsonl")), lines(Path("gaps.jsonl"))
    assert {tuple(row) for row in rows} == {("source", "target", "source_lang", "pub_number")}
    assert {row["source_lang"] for row in rows} == {"en", "fr"}
    assert {row["pub_number"] for row in rows} == {f"{number:03d}" for number in range(len(documents))}
    assert {row["reason"] for row in gaps} <= {"no-counterpart", "low-score"}
    true = set(sentences())
    english = [(row["source"], row["target"]) for row in rows if row["source_lang"] == "en"]
    assert sum(pair in true for pair in english) > 0.85 * len(english)
    assert {(target, source) for source, target in english} == {
        (row["source"], row["target"]) for row in rows if row["source_lang"] == "fr"
    }
    kit = Kit.of(AutoTokenizer.from_pretrained(tiny_marian), FAMILIES["marian"], "translation")
    section = DataSection(train="pairs.jsonl", source_lang="en", target_lang="fr", max_rejected=0.0)
    prepared = prepare(section, kit, 1, None, silent)
    assert len(prepared.train) + len(prepared.validation or ()) + len(prepared.rejected) == len(rows)
    assert {reject.reason for reject in prepared.rejected} == {"other-language"}
    assert run([*words, "--features"]) == 0
    scores = sorted(row["score"] for row in lines(Path("pairs.jsonl")))
    assert {row["type"] for row in lines(Path("pairs.jsonl"))} <= {"1-1", "1-2", "2-1", "2-2"}
    middle = (scores[0] + scores[-1]) / 2
    assert run([*words, "--features", "--min-score", f"{middle}"]) == 0
    assert [row["score"] >= middle for row in lines(Path("pairs.jsonl"))] == [True] * sum(
        one >= middle for one in scores
    )
    assert {row["score"] < middle for row in lines(Path("gaps.jsonl")) if row["reason"] == "low-score"} == {True}


def test_two_word_documents_and_a_file_of_documents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import docx

    monkeypatch.chdir(tmp_path)
    pairs = sentences()[:30]
    for name, side in (("a-12.docx", 0), ("b.docx", 1)):
        document = docx.Document()
        for start in range(0, 30, 5):
            document.add_paragraph(" ".join(pair[side] for pair in pairs[start : start + 5]))
        document.save(name)
    assert run(["data", "align", "a-12.docx", "b.docx", *WAY, "-o", "word.jsonl", "--min-score", "0"]) == 0
    rows = [
        {"text": " ".join(pair[side] for pair in pairs), "pub_number": "12", "language": language}
        for side, language in ((1, "fr"), (0, "en-GB"))
    ]
    Path("rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    assert run(["data", "align", "rows.jsonl", *WAY, "-o", "lines.jsonl", "--min-score", "0"]) == 0
    assert lines(Path("word.jsonl")) == lines(Path("lines.jsonl"))
    found = {(row["source"], row["target"]) for row in lines(Path("word.jsonl"))}
    assert len(found & set(pairs)) > 24
    assert {row["pub_number"] for row in lines(Path("word.jsonl"))} == {"12"}


GOOD = "Two boats are in the harbour. They leave at 9."


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["a.txt", "nowhere.txt", *WAY, "-o", "o.jsonl"], "nowhere.txt: no such file"),
        (["a.txt", "folder", *WAY, "-o", "o.jsonl"], "folder is a folder and a.txt a file"),
        (["folder", "other", *WAY, "-o", "o.jsonl"], "no document of folder has the number of one of other"),
        (["twice", "other", *WAY, "-o", "o.jsonl"], "have one number (7)"),
        (["void", "other", *WAY, "-o", "o.jsonl"], "void: no document in it"),
        (["a.txt", "empty.txt", *WAY, "-o", "o.jsonl"], "empty.txt: an empty document"),
        (["a.txt", "latin.txt", *WAY, "-o", "o.jsonl"], "latin.txt: byte 0 of the file is not utf-8"),
        (["a.txt", "a.pdf", *WAY, "-o", "o.jsonl"], "a.pdf"),
        (["a.txt", "b.txt", *WAY, "-o", "a.txt"], "is an input too"),
        (["a.txt", "b.txt", *WAY, "-o", "no/o.jsonl"], "make it first"),
        (["a.txt", "b.txt", *WAY, "-o", "o.jsonl", "--rejected", "o.jsonl"], "name one file"),
        (["a.txt", "b.txt", "--source-lang", "en", "--target-lang", "qq9", "-o", "o.jsonl"], "qq9: no language code"),
        (["a.txt", "b.txt", "--source-lang", "en", "--target-lang", "en-GB", "-o", "o.jsonl"], "the same language"),
        (["a.txt", "b.txt", "--source-lang", "en"], "needs --target-lang, -o"),
        (["rows.jsonl", *WAY, "-o", "o.jsonl"], "rows.jsonl:2: 'pub_number' is 7, a text is due"),
        (["a.txt", *WAY, "-o", "o.jsonl"], "a.txt:1: not a document"),
    ],
)
def test_what_cannot_be_aligned(
    words: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One error, exit code 2, and no file is left behind."""
    monkeypatch.chdir(tmp_path)
    for folder, names in {"folder": ["7.txt"], "other": ["8.txt"], "twice": ["7.txt", "7.en.txt"], "void": []}.items():
        Path(folder).mkdir()
        for name in names:
            Path(folder, name).write_text(GOOD, encoding="utf-8")
    for name in ("a.txt", "b.txt"):
        Path(name).write_text(GOOD, encoding="utf-8")
    Path("empty.txt").write_text(" \n", encoding="utf-8")
    Path("latin.txt").write_bytes("été".encode("latin-1") * 2)
    Path("a.pdf").write_bytes(b"%PDF-1.4")
    good = {"text": GOOD, "pub_number": "7", "language": "en"}
    Path("rows.jsonl").write_text(
        json.dumps(good) + "\n" + json.dumps({**good, "pub_number": 7}) + "\n", encoding="utf-8"
    )
    before = Path("a.txt").read_bytes()
    assert run(["data", "align", *words]) == 2
    error = capsys.readouterr().err
    assert said in error.replace("\n", " ")
    assert "Traceback" not in error
    assert not Path("o.jsonl").exists()
    assert Path("a.txt").read_bytes() == before
