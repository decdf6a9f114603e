"""Rows that helpers encode are those that one process encodes, to the byte and in order."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from transformers import AutoTokenizer

from desktune.config.schema import DataSection, ModelSection
from desktune.data import pool
from desktune.data.encode import Kit
from desktune.data.encoding import Encoder
from desktune.data.pool import worked
from desktune.data.store import Shelf
from desktune.data.wire import error_back, error_out
from desktune.errors import ConfigError, DataError, OutOfMemory
from desktune.families import FAMILIES
from desktune.models.load import load_tokenizer, locate
from desktune.rows import Example, Origin


class OverlongRow(DataError):
    """A kind of data error that the wire does not know by name."""


CHUNK_ROWS = 512
ROWS = 3 * CHUNK_ROWS + 100


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "CHUNK_ROWS", CHUNK_ROWS)


def encoder_of(folder: Path, family: str, **settings: object) -> Encoder:
    kit = Kit.of(AutoTokenizer.from_pretrained(folder), FAMILIES[family], FAMILIES[family].task)
    return Encoder(kit, DataSection(max_source_length=12, **settings))


def rows(count: int = ROWS) -> Iterator[Example]:
    """Rows of which some are too long and some spell a special token."""
    for number in range(count):
        text = f"the dog sees {number}" + " again" * (number % 7) + " </s>" * (number % 50 == 0)
        yield Example(Origin("a", number + 1), "pair", text, f"le chien {number}", fields=(("source", text),))


@pytest.mark.parametrize("family", ["t5", pytest.param("marian", marks=pytest.mark.slow)])
def test_helpers_encode_the_same(request: pytest.FixtureRequest, family: str) -> None:
    encoder = encoder_of(request.getfixturevalue(f"tiny_{family}"), family)
    alone = list(worked(rows(), encoder, helpers=1))
    helped = list(worked(rows(), encoder, helpers=2, many=CHUNK_ROWS))
    assert len(helped) == len(alone) == 4
    for one, other in zip(alone, helped, strict=True):
        assert one.batch.equals(other.batch)
        assert one.rejects == other.rejects
        assert one.special_text == other.special_text
    assert sum(len(chunk.rejects) for chunk in helped) > 50
    assert sum(chunk.special_text for chunk in helped) == ROWS // 50 + 1
    assert sum(chunk.batch.num_rows + len(chunk.rejects) for chunk in helped) == ROWS


def test_a_fault_in_a_helper_is_told_as_in_one_process(tiny_t5: Path) -> None:
    encoder = encoder_of(tiny_t5, "t5", overlong="error")
    texts = []
    for count in (1, 2):
        with pytest.raises(DataError) as raised:
            list(worked(rows(), encoder, helpers=count, many=CHUNK_ROWS))
        texts.append(str(raised.value))
    assert texts[0] == texts[1]
    assert "overlong-source" in texts[0]


def test_helpers_take_no_modules_of_the_working_folder(
    tiny_t5: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody works in the folder of a stranger's model, whose Python files must not run."""
    for name in ("json", "zipfile", "pyarrow"):
        text = f"from pathlib import Path\nPath({str(tmp_path / 'canary')!r}).touch()\nraise SystemExit(9)\n"
        (tmp_path / f"{name}.py").write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert len(list(worked(rows(), encoder_of(tiny_t5, "t5"), helpers=2, many=CHUNK_ROWS))) == 4
    assert not (tmp_path / "canary").exists()


@pytest.mark.parametrize(
    "error",
    [OSError(28, "No space left on device", "x.arrow"), MemoryError("too much"), ConfigError(["a: b", "c: d"]),
     OutOfMemory("full"), OverlongRow("row 3"), KeyError("x")],
    ids=lambda error: type(error).__name__,
)  # fmt: skip
def test_an_error_travels_as_what_it_is(error: Exception) -> None:
    back = error_back(error_out(error))
    if isinstance(error, KeyError):
        assert isinstance(back, RuntimeError)
        assert "KeyError: 'x'" in str(back)
    elif isinstance(error, OverlongRow):
        assert (type(back), str(back)) == (DataError, "row 3")
    else:
        assert (type(back), back.args, str(back)) == (type(error), error.args, str(error))


@pytest.mark.parametrize("stored", [True, False])
def test_a_shelf_gives_back_what_was_chosen(tiny_t5: Path, tmp_path: Path, stored: bool) -> None:
    shelf = Shelf(tmp_path / "rows.arrow" if stored else None)
    for chunk in worked(rows(), encoder_of(tiny_t5, "t5"), helpers=1):
        shelf.add(chunk.batch)
    shelf.close()
    assert sum(batch.num_rows for batch in shelf.batches()) == shelf.rows == len(shelf.keys)
    odd = shelf.keys.view("u1").reshape(shelf.rows, -1)[:, 0] % 2 == 1
    lines = [line for batch in shelf.batches() for line in batch["line"].to_pylist()]
    found = [line for batch in shelf.chosen(odd) for line in batch["line"].to_pylist()]
    assert found == [line for line, taken in zip(lines, odd, strict=True) if taken]
    assert 0 < len(found) < len(lines)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["t5", "byt5", "madlad", "bart", "pegasus", "t5gemma", "bert2bert", "marian-multi",
                                  "m2m100", "nllb", "mbart50", "llama", "opt", "gpt2", "qwen3", "gemma"])  # fmt: skip
def test_every_tokenizer_travels(name: str, zoo: Callable[[str], Path]) -> None:
    """Saved and loaded again it is the same one; of another one helpers would not be asked."""
    located = locate(ModelSection(name=str(zoo(name))))
    encoder = Encoder(Kit.of(load_tokenizer(located), located.family, located.family.task), DataSection())
    with contextlib.ExitStack() as held:
        assert pool._packed(encoder, held)
