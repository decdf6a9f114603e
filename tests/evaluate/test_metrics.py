"""Metrics against the tool that defines them, to the last digit."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from rouge_score.rouge_scorer import RougeScorer

from desktune.config.measures import LOWER_IS_BETTER, METRIC_NAMES, OF_THE_LOSS
from desktune.config.schema import EvaluationSection
from desktune.evaluate.metrics import LABELS, METRICS, names_for, score, sentence_chrf, statistics

OUTPUTS = [
    "le chat est sur le tapis",
    "il pleut",
    "Bonjour à tous !",
    "une maison rouge",
    "",
    "les enfants jouent dehors",
]
REFERENCES = [
    "le chat est sur la table",
    "il pleut fort",
    "Bonjour à tous !",
    "une petite maison rouge",
    "rien",
    "des enfants jouent",
]


@pytest.mark.parametrize(
    ("name", "options"),
    [("bleu", ["-m", "bleu"]), ("chrf", ["-m", "chrf", "--chrf-word-order", "2"]), ("ter", ["-m", "ter"])],
)
def test_equals_the_sacrebleu_command(name: str, options: list[str], tmp_path: Path) -> None:
    for file, lines in (("out", OUTPUTS), ("ref", REFERENCES)):
        (tmp_path / file).write_text("\n".join(lines) + "\n", encoding="utf-8")
    command = [
        sys.executable,
        "-m",
        "sacrebleu",
        str(tmp_path / "ref"),
        "-i",
        str(tmp_path / "out"),
        *options,
        "-w",
        "12",
    ]
    said = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    mine = statistics(name, OUTPUTS, REFERENCES).score()
    assert mine.value == pytest.approx(said["score"], abs=1e-11)
    assert said["signature"].split("version")[0] == mine.signature.split("version")[0]


def test_bleu_cuts_chinese_as_the_sacrebleu_command_does(tmp_path: Path) -> None:
    """13a would take a whole sentence for one word."""
    outputs, references = ["我 喜欢 吃 苹果 和 香蕉。", "今天天气很好"], ["我喜欢吃苹果和梨。", "今天的天气很好"]
    for file, lines in (("out", outputs), ("ref", references)):
        (tmp_path / file).write_text("\n".join(lines) + "\n", encoding="utf-8")
    words = [str(tmp_path / "ref"), "-i", str(tmp_path / "out"), "-m", "bleu", "--tokenize", "zh", "-w", "12"]
    done = subprocess.run([sys.executable, "-m", "sacrebleu", *words], capture_output=True, text=True, check=True)
    for code in ("zh", "zh_CN", "zho_Hans"):
        found = score(["bleu"], outputs, references, code)["bleu"]
        assert found.value == pytest.approx(json.loads(done.stdout)["score"], abs=1e-11)
        assert "tok:zh" in found.signature
    assert "tok:char" in score(["bleu"], outputs, references, "ja")["bleu"].signature
    assert "tok:13a" in score(["bleu"], outputs, references, "fr")["bleu"].signature


@pytest.mark.parametrize("kind", ["rouge1", "rouge2", "rougeL"])
def test_rouge_is_that_of_the_rouge_package(kind: str) -> None:
    """English as the package does it; ASCII words of any other language are cut the same way, unstemmed."""
    outputs = ["the dogs are running home", "a big red house", "", "it rained, and it rained again"]
    references = ["the dog runs home", "the big house is red", "nothing", "it rained and rained"]
    for language, stemmed in (("en", True), ("nl", False), (None, False)):
        scorer = RougeScorer([kind], use_stemmer=stemmed)
        pairs = zip(references, outputs, strict=True)
        expected = [scorer.score(reference, output)[kind].fmeasure for reference, output in pairs]
        found = score([kind], outputs, references, language)[kind]
        assert found.value == pytest.approx(100 * sum(expected) / 4, abs=1e-12)
        assert ("stem:porter" in found.signature) == stemmed
        assert "rouge-score:" in found.signature


@pytest.mark.parametrize(
    ("output", "reference", "expected"),
    [
        ("été là", "été là", 100.0),
        ("ete la", "été là", 0.0),  # the package alone would see the letters t and l in both
        ("मेरा घर", "मेरा घर लाल है", 200 / 3),
        ("今天很好", "今天好", 600 / 7),
    ],
)
def test_rouge_knows_letters_of_all_scripts(output: str, reference: str, expected: float) -> None:
    assert score(["rouge1"], [output], [reference], "xx")["rouge1"].value == pytest.approx(expected)


@pytest.mark.parametrize(
    ("output", "reference", "expected"),
    [("a b c d", "a b c d", 0.0), ("a b c", "a b c d", 25.0), ("b c d a", "a b c d", 25.0), ("x y z", "a", 300.0)],
)
def test_ter_counts_edits_and_shifts(output: str, reference: str, expected: float) -> None:
    found = score(["ter"], [output], [reference])["ter"]
    assert found.value == pytest.approx(expected)
    assert found.lower_is_better


def test_lower_is_better_is_said_once() -> None:
    """Scores and the choice of the best model agree."""
    lower = {
        f"eval_{name}" for name, found in score(METRIC_NAMES, OUTPUTS, REFERENCES).items() if found.lower_is_better
    }
    assert lower == LOWER_IS_BETTER - set(OF_THE_LOSS)
    assert set(METRICS) == set(METRIC_NAMES) == set(LABELS)


def test_a_part_is_scored_as_if_it_stood_alone() -> None:
    for name in METRICS:
        part = statistics(name, OUTPUTS, REFERENCES).score([0, 3])
        alone = statistics(name, [OUTPUTS[0], OUTPUTS[3]], [REFERENCES[0], REFERENCES[3]]).score()
        assert part.value == pytest.approx(alone.value)


def test_exact_match_counts_after_stripping() -> None:
    assert score(["exact_match"], ["a ", "b", "c"], ["a", "x", "c"])["exact_match"].value == pytest.approx(200 / 3)


def test_names_by_task() -> None:
    assert names_for(EvaluationSection(), "translation") == ["bleu", "chrf", "exact_match"]
    assert names_for(EvaluationSection(), "seq2seq") == ["chrf", "rougeL", "exact_match"]
    assert names_for(EvaluationSection(metrics=["bleu"]), "causal") == ["bleu"]


def test_every_score_has_a_signature() -> None:
    assert all(found.signature for found in score(list(METRICS), OUTPUTS, REFERENCES).values())


def test_sentence_score_orders_rows() -> None:
    assert (
        sentence_chrf("the cat", "the cat") == 100 > sentence_chrf("the dog", "the cat") > sentence_chrf("", "the cat")
    )
