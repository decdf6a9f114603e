from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from transformers import AutoTokenizer

from desktune import durable
from desktune.config.schema import DataSection
from desktune.data.encode import Kit
from desktune.data.identity import tokenizer_hash
from desktune.data.ledger import Ledger, source_counts
from desktune.data.prepare import prepare, prepare_test
from desktune.data.show import render_row
from desktune.data.store import EncodedSet, open_set, write_batches
from desktune.errors import DataError
from desktune.events import Note, Table, Warn, silent
from desktune.families import FAMILIES
from desktune.rows import IGNORE, Encoded, Origin


def kit_of(folder: Path, family: str) -> Kit:
    return Kit.of(AutoTokenizer.from_pretrained(folder), FAMILIES[family], FAMILIES[family].task)


def write_pairs(file: Path, count: int, extra: bytes = b"") -> DataSection:
    lines = [
        json.dumps({"source": f"the dog sees {number}", "target": f"le chien voit {number}"}) for number in range(count)
    ]
    file.write_bytes("\n".join(lines).encode() + b"\n" + extra)
    return DataSection(train=str(file))


def test_mapped_rows_equal_those_in_memory(tmp_path: Path) -> None:
    rows = [
        Encoded(Origin("a.csv", 2), (1, 2, 3), (IGNORE, 5, 1), 1, "p", "c", "en", None, "k", True),
        Encoded(Origin("b.csv", 9), (4,), (7,), 1, "é", "", None, "fr", "", False),
    ]
    kept = EncodedSet.from_rows(rows)
    write_batches(kept.batches, tmp_path / "rows.arrow")
    mapped = open_set(tmp_path / "rows.arrow")
    assert list(kept) == list(mapped) == rows
    assert mapped[-1] == rows[1]
    assert mapped[:1] == rows[:1]
    assert len(mapped) == 2
    for name in ("input_lengths", "label_lengths", "trained_tokens", "last_labels"):
        assert np.array_equal(getattr(kept, name), getattr(mapped, name))
    assert mapped.trained_tokens.tolist() == [2, 1]
    assert mapped.last_labels.tolist() == [1, 7]
    with pytest.raises(IndexError):
        mapped[2]
    empty = EncodedSet.from_rows([])
    assert len(empty) == 0
    assert empty.trained_tokens.sum() == 0
    assert len(empty.last_labels) == 0
    (tmp_path / "bad.arrow").write_bytes(b"x" * 100)
    with pytest.raises(DataError, match="prepare again"):
        open_set(tmp_path / "bad.arrow")


def test_the_ledger_balances(tiny_t5: Path, tmp_path: Path) -> None:
    bad = b'x\n{"source": "a", "target": 7}\n{"source": "the </s> dog", "target": "chien"}\n'
    bad += json.dumps({"source": "the dog " * 300, "target": "le chien"}).encode() + b"\n"
    section = write_pairs(
        tmp_path / "rows.jsonl", 40, bad + b'{"source": "the dog sees 1", "target": "le chien voit 1"}\n'
    )
    section = section.model_copy(update={"max_rejected": 0.1})
    said: list[object] = []
    prepared = prepare(section, kit_of(tiny_t5, "t5"), 42, None, said.append)
    source = prepared.ledger.sources["train"]
    assert (source.read, source.kept, source.special_text) == (45, 42, 1)
    assert dict(source.rejected) == {"bad-json": 1, "wrong-type": 1, "overlong-source": 1}
    assert source.read == source.kept + sum(source.rejected.values())
    splits = prepared.ledger.splits
    assert (splits["train"].rows, splits["validation"].rows) == (38, 4)
    assert splits["train"].duplicates + splits["validation"].duplicates == 1
    assert splits["train"].eos_rows == 38
    assert splits["train"].untrained_rows == 0
    assert [event.title for event in said if isinstance(event, Table)] == ["rows", "tokens"]
    assert any(isinstance(event, Warn) and "special token" in event.text for event in said)
    assert Ledger.from_json(json.loads(json.dumps(prepared.ledger.to_json()))) == prepared.ledger
    assert [line["line"] for line in prepared.rejected_json()] == [41, 42, 44]
    with pytest.raises(RuntimeError, match="does not balance"):
        source_counts(3, 1, Counter({"bad-json": 1}), 0)


def test_prepared_rows_are_taken_again_until_a_byte_changes(tiny_t5: Path, tmp_path: Path) -> None:
    section = write_pairs(tmp_path / "rows.jsonl", 20, b"x\n")
    kit, cache = kit_of(tiny_t5, "t5"), tmp_path / "cache"
    first = prepare(section, kit, 42, cache, silent)
    said: list[object] = []
    again = prepare(section, kit, 42, cache, said.append)
    assert any(isinstance(event, Note) and "18 to train on, 2 held out" in event.text for event in said)
    assert again.fingerprint == first.fingerprint
    assert list(again.train) == list(first.train)
    assert again.ledger == first.ledger
    assert again.rejected == first.rejected
    assert (
        prepare(section.model_copy(update={"test": "other.csv"}), kit, 42, cache, silent).fingerprint
        == first.fingerprint
    )
    assert prepare(section, kit, 43, cache, silent).fingerprint != first.fingerprint
    arrow = cache / first.fingerprint[:16] / "train.arrow"
    data = bytearray(arrow.read_bytes())
    data[len(data) // 2] ^= 1
    arrow.write_bytes(data)
    said.clear()
    repaired = prepare(section, kit, 42, cache, said.append)
    assert any(isinstance(event, Warn) and "made anew" in event.text for event in said)
    assert durable.verify(arrow.parent) == []
    assert list(repaired.train) == list(prepare(section, kit, 42, None, silent).train)
    file = tmp_path / "rows.jsonl"
    file.write_bytes(file.read_bytes().replace(b"voit 3", b"voit 4"))
    assert prepare(section, kit, 42, cache, silent).fingerprint != first.fingerprint


def test_rows_that_are_held_out_are_not_trained_on(tiny_t5: Path, tmp_path: Path) -> None:
    section = write_pairs(tmp_path / "rows.jsonl", 20)
    held_out = str(tmp_path / "held.jsonl")
    write_pairs(tmp_path / "held.jsonl", 3)
    section = section.model_copy(update={"validation": held_out, "test": held_out})
    said: list[object] = []
    prepared = prepare(section, kit_of(tiny_t5, "t5"), 42, None, said.append)
    assert prepared.validation is not None
    assert (len(prepared.train), len(prepared.validation)) == (17, 3)
    assert prepared.ledger.sources["train"].rejected == {"in-validation": 3}
    assert any(isinstance(event, Warn) and "3 rows" in event.text for event in said)
    assert len(prepare_test(section, kit_of(tiny_t5, "t5"), silent)) == 3
    with pytest.raises(DataError, match="holds every row"):
        prepare(section.model_copy(update={"train": held_out}), kit_of(tiny_t5, "t5"), 42, None, silent)
    none = prepare(section.model_copy(update={"validation": 0}), kit_of(tiny_t5, "t5"), 42, None, silent)
    assert none.validation is None
    assert len(none.train) == 20


def test_when_every_row_is_too_long_that_is_said(tiny_t5: Path, tmp_path: Path) -> None:
    section = write_pairs(tmp_path / "rows.jsonl", 5).model_copy(update={"max_source_length": 2})
    with pytest.raises(DataError, match=r"none of its 5 rows can be used; .*rows\.jsonl:1: overlong-source"):
        prepare(section, kit_of(tiny_t5, "t5"), 42, None, silent)


@pytest.mark.parametrize("family", ["t5", "marian", "llama"])
def test_a_tokenizer_keeps_its_hash(request: pytest.FixtureRequest, tmp_path: Path, family: str) -> None:
    folder = request.getfixturevalue(f"tiny_{family}")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    expected = tokenizer_hash(tokenizer)
    tokenizer(["some text", "and more"], padding=family != "llama", truncation=True, max_length=4)
    tokenizer.save_pretrained(tmp_path)
    assert tokenizer_hash(tokenizer) == tokenizer_hash(AutoTokenizer.from_pretrained(tmp_path)) == expected
    tokenizer.add_tokens(["marine"])
    assert tokenizer_hash(tokenizer) != expected


def test_a_hash_is_the_same_in_another_process(tiny_marian: Path) -> None:
    code = (
        "import sys; from transformers import AutoTokenizer; from desktune.data.identity import tokenizer_hash;"
        "print(tokenizer_hash(AutoTokenizer.from_pretrained(sys.argv[1])))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tiny_marian)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == tokenizer_hash(AutoTokenizer.from_pretrained(tiny_marian))


@pytest.mark.parametrize("family", ["t5", "marian", "llama"])
def test_shown_rows_tell_trained_tokens_apart_without_colour(
    request: pytest.FixtureRequest, tmp_path: Path, family: str
) -> None:
    kit = kit_of(request.getfixturevalue(f"tiny_{family}"), family)
    prepared = prepare(write_pairs(tmp_path / "rows.jsonl", 3), kit, 42, None, silent)
    text = render_row(prepared.train[0], kit.tokenizer, kit.family, True)
    assert text.plain.count("[") == prepared.train[0].trained_tokens + 1  # the legend has one
    assert "[</s>]" in text.plain
    assert "rows.jsonl:" in text.plain
    assert str(prepared.train[0].input_ids[0]) in text.plain
    assert any("green" in str(span.style) for span in text.spans)
    assert max(map(len, text.plain.splitlines()[1:])) <= 101
