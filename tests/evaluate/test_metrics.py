"""Metrics against the tool that defines them, to the last digit."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from desktune.config.schema import EvaluationSection
from desktune.evaluate.metrics import METRICS, names_for, score, sentence_chrf, statistics

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
