"""Cleaning as a stage, on the project's own sentences with known damage; the verb and its files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.data.clean.corrupt import KINDS, Found, Pair, Row, corrupt, measured
from transformers import AutoTokenizer

from desktune.cli.main import run
from desktune.config.cleaning import PRESETS, parse_cleaning
from desktune.config.schema import DataSection
from desktune.data import pool
from desktune.data.clean import lexicon
from desktune.data.clean.apply import Cleaner, apply
from desktune.data.clean.judge import Judge, Setup, Verdict
from desktune.data.encode import Kit
from desktune.data.encoding import Encoder
from desktune.data.prepare import fingerprint_of, prepare
from desktune.errors import ConfigError, UserError
from desktune.events import Event, Table, silent
from desktune.families import FAMILIES
from desktune.rows import Example, Origin, Reject

DATA = Path(__file__).parents[3] / "src/desktune/starters/data"


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def sentences() -> list[Pair]:
    """The English to French rows that ship."""
    rows = [row for name in ("everyday", "marine") for row in lines(DATA / f"{name}.jsonl")]
    return [(row["source"], row["target"]) for row in rows if row["source_lang"] == "en" and len(row["source"]) > 30]


def cleaned(rows: list[Row], preset: str) -> tuple[dict[int, Pair], list[Reject], Table]:
    examples = (
        Example(Origin("rows", n), "pair", *row.pair, fields=(("source", row.pair[0]), ("target", row.pair[1])))
        for n, row in enumerate(rows)
    )
    said: list[Event] = []
    kept, rejects = {}, []
    for row in apply(examples, DataSection(cleaning={"preset": preset}), "train", said.append):
        if isinstance(row, Reject):
            rejects.append(row)
        else:
            assert dict(row.fields) == {"source": row.source, "target": row.target}
            kept[row.origin.line] = (row.source, row.target)
    return kept, rejects, next(event for event in said if isinstance(event, Table))


@pytest.fixture(scope="module")
def damaged() -> list[Row]:
    return corrupt(sentences(), 0.3, 5)


def recalls(found: dict[str, Found]) -> dict[str, float]:
    return {name: round(one.recall, 2) for name, one in found.items()}


def test_helpers_judge_the_same(damaged: list[Row], monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows that several processes judge have the verdicts, in the order, that one process gives them."""
    monkeypatch.setattr(pool, "CHUNK_ROWS", 100)
    rows = [Example(Origin("rows", n), "pair", *row.pair, source_lang="en") for n, row in enumerate(damaged)]
    rejected = Reject(Origin("rows", 7), "wrong-type")
    setup = Setup(parse_cleaning({"preset": "strict"}))
    found, tables = [], []
    for count in (1, 2):
        cleaner = Cleaner(setup, silent, helpers=count, many=100)
        found.append(list(cleaner.verdicts(iter([*rows[:250], rejected, *rows[250:]]))))
        tables.append(cleaner.table(""))
    assert repr(found[0]) == repr(found[1])  # 14 and 14.0 are equal, and not the same in a file
    assert tables[0] == tables[1]
    assert found[0][250] == rejected
    assert len(found[0]) == len(damaged) + 1


def test_a_judge_travels_with_its_lexicon_and_its_count_of_tokens(
    damaged: list[Row], tiny_t5: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lexicon, "LEAST_ROWS", 100)
    kit = Kit.of(AutoTokenizer.from_pretrained(tiny_t5), FAMILIES["t5"], "seq2seq")
    wish = parse_cleaning({"preset": "strict", "filters": {"token_ratio": "auto"}})
    setup = Setup(wish, Encoder(kit, DataSection()).tokens, features=True)
    rows = [Example(Origin("rows", n), "pair", *row.pair, source_lang="en") for n, row in enumerate(damaged)]
    judge = Judge.taught(setup, rows, silent)
    said = json.loads(json.dumps(judge.pack(tmp_path)))
    again = Judge.unpack(said, tmp_path)
    verdicts = judge.work(rows)
    assert repr(again.work(rows)) == repr(verdicts)
    scored = {name for verdict in verdicts if isinstance(verdict, Verdict) for name in verdict.scores}
    assert {"lexicon", "token_ratio", "truncated"} <= scored
    assert Judge.taught(Setup(setup.cleaning, len), rows, silent).pack(tmp_path) is None  # a function cannot travel


def test_damage_is_found(damaged: list[Row]) -> None:
    """Floors of recall per kind and preset; swapped rows need a larger corpus than this for the lexicon."""
    assert len(damaged) > 300
    assert {row.kind for row in damaged} == {None, *KINDS}
    sure = {"wrong_language", "both_in_one_language", "copied", "duplicate", "empty", "mojibake", "broken_address"}
    for preset, floor in (("light", 0.55), ("strict", 0.8)):
        kept, rejects, table = cleaned(damaged, preset)
        found, precision, lost = measured(damaged, kept)
        assert len(kept) + len(rejects) == len(damaged)
        assert precision > 0.9, (lost, [reject for reject in rejects if damaged[reject.origin.line].kind is None])
        assert {name: one for name, one in recalls(found).items() if name in sure and one < 0.85} == {}
        whole = sum(one.rows for one in found.values())
        assert sum(one.dropped + one.mended for one in found.values()) / whole > floor, recalls(found)
        assert table.rows[-1] == (
            "all", f"{len(damaged):,}", f"{len(rejects):,}", table.rows[-1][3], f"kept {len(kept):,}",
        )  # fmt: skip
        assert sum(int(row[2]) for row in table.rows[:-1] if row[2].isdigit()) == len(rejects)
    strict = recalls(found)
    assert min(strict[name] for name in KINDS if name not in ("swapped", "ocr")) > 0.8, strict


def test_nothing_is_touched_without_settings() -> None:
    row = Example(Origin("a", 1), "pair", "  a\u200b ", "b")
    assert list(apply(iter([row]), DataSection(), "train", silent)) == [row]
    assert list(apply(iter([row]), DataSection(cleaning={"preset": "none"}), "train", silent)) == [row]


def test_one_filter_alone() -> None:
    rows = [Example(Origin("a", n), "pair", "in 1998", f"en {year}") for n, year in enumerate((1998, 1989), start=1)]
    section = DataSection(cleaning={"filters": {"numbers": 1.0}}, source_lang="en", target_lang="fr")
    kept, dropped = list(apply(iter(rows), section, "train", silent))
    assert kept == rows[0]
    assert isinstance(dropped, Reject)
    assert (dropped.reason, dropped.detail) == ("clean:numbers", "score 0, limit ≥ 1")


def test_a_row_that_becomes_empty_is_a_reject() -> None:
    rows = [Example(Origin("a", 1), "text", text="\u200b\u200b"), Example(Origin("a", 2), "text", text="a dog")]
    section = DataSection(cleaning={"filters": {"control": True, "whitespace": True}})
    first, second = apply(iter(rows), section, "train", silent)
    assert isinstance(first, Reject)
    assert first.reason == "clean:empty"
    assert second == rows[1]


def test_faults_of_settings_end_it() -> None:
    with pytest.raises(ConfigError, match="no such filter"):
        list(apply(iter([]), DataSection(cleaning={"filters": {"x": 1}}), "train", silent))
    section = DataSection(cleaning={"filters": {"token_ratio": 2.0}})
    with pytest.raises(UserError, match="tokenizer"):
        list(apply(iter([]), section, "train", silent))


def test_prepare_counts_what_was_cleaned(tmp_path: Path, tiny_t5: Path) -> None:
    """The ledger balances, the fingerprint covers the settings, and rows like the held-out ones go."""
    kit = Kit.of(AutoTokenizer.from_pretrained(tiny_t5), FAMILIES["t5"], "seq2seq")
    pairs = sentences()[:60]
    held = pairs[0][0].upper(), pairs[0][1]
    for name, rows in (("train", [*pairs, pairs[3], (pairs[5][0], pairs[5][0])]), ("held", [held])):
        text = "".join(json.dumps({"source": one, "target": other}) + "\n" for one, other in rows)
        (tmp_path / f"{name}.jsonl").write_text(text, encoding="utf-8")
    files = {"train": str(tmp_path / "train.jsonl"), "validation": str(tmp_path / "held.jsonl")}
    section = DataSection(**files, source_lang="en", target_lang="fr", cleaning={"preset": "light"})
    prepared = prepare(section, kit, 1, tmp_path / "cache", silent)
    counts = prepared.ledger.sources["train"]
    assert counts.rejected == {"clean:copied": 1, "clean:duplicates": 2}
    assert counts.read == 62 == counts.kept + 3
    assert {reject.reason for reject in prepared.rejected} == {"clean:copied", "clean:duplicates"}
    assert any("held.jsonl:1" in reject.detail for reject in prepared.rejected)
    assert prepared.ledger.sources["validation"].kept == 1
    plain = section.model_copy(update={"cleaning": {}})
    assert fingerprint_of(plain, kit, 1) != fingerprint_of(section, kit, 1)


def test_the_verb(tmp_path: Path, damaged: list[Row], capsys: pytest.CaptureFixture[str]) -> None:
    """Streams into three files that add up; both directions; scores as columns."""
    file = tmp_path / "rows.jsonl"
    rows = [{"source": row.pair[0], "target": row.pair[1], "pub_number": "7", "x": 1} for row in damaged]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    out, dropped, harder = (tmp_path / name for name in ("out.jsonl", "dropped.jsonl", "harder.jsonl"))
    words = ["data", "clean", str(file), "-o", str(out), "--rejected", str(dropped)]
    assert run([*words, "--preset", "strict", "--holdout", str(harder)]) == 0
    assert "near_duplicates" in capsys.readouterr().out
    kept, lost, hard = lines(out), lines(dropped), lines(harder)
    assert len(kept) + len(lost) == len(rows)
    assert {tuple(row) for row in kept} == {("source", "target", "source_lang", "pub_number")}
    assert {row["source_lang"] for row in kept} == {"en"}
    assert 0 < len(hard) < len(lost)
    assert {row["source"] + row["target"] for row in hard} <= {row.get("source", "") + row["target"] for row in lost}
    assert not {(row["source"], row["target"]) for row in hard} & {(row["source"], row["target"]) for row in kept}
    assert run(["data", "clean", str(out), "-o", str(tmp_path / "both.jsonl"), "--both-directions"]) == 0
    both = lines(tmp_path / "both.jsonl")
    assert sorted(row["source_lang"] for row in both) == ["en"] * len(kept) + ["fr"] * len(kept)
    assert run([*words, "--preset", "none", "--features", "--set", "numbers=1.0"]) == 0
    assert {"numbers", "ocr", "language", "length_ratio"} <= set(lines(out)[0])
    against = ["data", "clean", str(file), "-o", str(tmp_path / "left.jsonl"), "--against", str(out)]
    assert run(against) == 2
    assert "cleaning leaves none" in capsys.readouterr().err
    assert not (tmp_path / "left.jsonl").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["-o", "IN"], "is an input too"),
        (["-o", "OUT", "--rejected", "OUT"], "name one file twice"),
        (["-o", "OUT", "--holdout", "IN.x"], "add --preset strict"),
        (["-o", "OUT", "--set", "numers=1"], "did you mean 'numbers'?"),
        (["-o", "OUT", "--preset", "hard"], "allowed: none, light or strict"),
        (["-o", "OUT", "--linebreaks", "cut"], "allowed: keep, space"),
        (["-o", "OUT", "--tokenizer", "IN"], "no tokenizer can be read"),
    ],
)
def test_the_verb_refuses(tmp_path: Path, words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "in.jsonl"
    file.write_text('{"source": "a dog", "target": "un chien"}\n', encoding="utf-8")
    places = [word.replace("IN", str(file)).replace("OUT", str(tmp_path / "out.jsonl")) for word in words]
    assert run(["data", "clean", str(file), *places]) == 2
    assert said in capsys.readouterr().err
    assert lines(file) == [{"source": "a dog", "target": "un chien"}]


def test_texts_conversations_and_parallel_files(tmp_path: Path) -> None:
    (tmp_path / "a.en").write_text("The dog sleeps.\nA cat runs.\n", encoding="utf-8")
    (tmp_path / "a.fr").write_text("Le chien dort.\nUn chat court.\n", encoding="utf-8")
    out = tmp_path / "out.jsonl"
    sides = [f"en={tmp_path / 'a.en'}", f"fr={tmp_path / 'a.fr'}"]
    assert run(["data", "clean", *sides, "-o", str(out)]) == 0
    assert lines(out)[0] == {"source": "The dog sleeps.", "target": "Le chien dort.", "source_lang": "en"}
    (tmp_path / "a.txt").write_text("The dog  sleeps.\nThe dog sleeps.\nA cat runs.\n", encoding="utf-8")
    for file, keys, count in ((DATA / "talks.jsonl", ("messages",), 149), (tmp_path / "a.txt", ("text",), 2)):
        assert run(["data", "clean", str(file), "-o", str(out)]) == 0
        assert [tuple(row) for row in lines(out)] == [keys] * count


def test_filters_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["data", "clean", "--filters"]) == 0
    said = capsys.readouterr().out
    assert [line.split()[0] for line in said.splitlines()] == list(PRESETS)
    assert "at least (a number from 0 to 1, false)" in said
