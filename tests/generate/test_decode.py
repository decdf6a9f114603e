"""Decoding: a batch answers as its rows alone; settings go over the model's own."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tests.bundles import FAMILIES, open_tiny, text_rows

from desktune.config.schema import GenerationSection
from desktune.errors import ConfigError
from desktune.generate import decode as decode_module
from desktune.generate.chat import Chat, Models
from desktune.generate.decode import decode, decoding, generation_config, variants

GREEDY = decoding(GenerationSection(num_beams=1, max_new_tokens=12))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("beams", [1, 3])
def test_batch_answers_as_single_rows(family: str, beams: int, tiny_folders: dict[str, Path]) -> None:
    bundle = open_tiny(tiny_folders[family])
    prompts = [row.input_ids[: row.prompt_length] for row in text_rows(bundle)]
    how = decoding(GenerationSection(num_beams=beams, max_new_tokens=12))
    together = decode(bundle, prompts, how)
    assert together == [decode(bundle, [prompt], how)[0] for prompt in prompts]
    assert any(together) or beams > 1


@pytest.mark.parametrize("family", ["t5", "marian"])
def test_greedy_is_what_plain_transformers_answers(family: str, tiny_folders: dict[str, Path]) -> None:
    bundle = open_tiny(tiny_folders[family])
    row = text_rows(bundle)[0]
    out = bundle.model.generate(input_ids=torch.tensor([row.input_ids]), num_beams=1, max_new_tokens=12)
    assert decode(bundle, [row.input_ids], GREEDY) == [
        bundle.tokenizer.decode(out[0], skip_special_tokens=True).strip()
    ]


def test_settings_go_over_the_models_own(tiny_folders: dict[str, Path]) -> None:
    bundle = open_tiny(tiny_folders["marian"])
    config = generation_config(bundle, decoding(GenerationSection(), num_beams=2, repetition_penalty=1.5))
    assert (config.num_beams, config.repetition_penalty) == (2, 1.5)
    assert config.bad_words_ids == [[bundle.tokenizer.pad_token_id]]
    assert bundle.model.generation_config.repetition_penalty is None


def test_sampling_is_seeded(tiny_folders: dict[str, Path]) -> None:
    bundle = open_tiny(tiny_folders["llama"])
    prompts = [row.input_ids[: row.prompt_length] for row in text_rows(bundle)]
    how = decoding(GenerationSection(num_beams=1, max_new_tokens=12), do_sample=True, temperature=1.5)
    assert decode(bundle, prompts, how) == decode(bundle, prompts, how)
    assert decode(bundle, prompts, how) != decode(bundle, prompts, GREEDY)


def test_sampling_leaves_the_random_state(tiny_folders: dict[str, Path]) -> None:
    bundle = open_tiny(tiny_folders["t5"])
    torch.manual_seed(5)
    before = torch.get_rng_state()
    decode(bundle, [row.input_ids for row in text_rows(bundle)], decoding(GenerationSection(), do_sample=True))
    assert torch.equal(torch.get_rng_state(), before)


def test_batches_are_limited_by_rows_and_by_tokens(
    tiny_folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    prompts = [[1] * length for length in (3, 90, 5, 4)]
    how = decoding(GenerationSection(num_beams=2, max_new_tokens=10))
    monkeypatch.setattr(decode_module, "BATCH_TOKENS", 60)  # two rows of two beams and at most 5 + 10 tokens
    assert list(decode_module._batches(prompts, how)) == [[1], [2, 3], [0]]
    monkeypatch.setattr(decode_module, "BATCH_ROWS", 1)
    assert list(decode_module._batches(prompts, how)) == [[1], [2], [3], [0]]
    bundle = open_tiny(tiny_folders["t5"])
    rows = [row.input_ids for row in text_rows(bundle)]
    apart = decode(bundle, rows, GREEDY)
    monkeypatch.undo()
    assert decode(bundle, rows, GREEDY) == apart


def test_variants_lie_over_the_section() -> None:
    found = variants(
        GenerationSection(num_beams=2, variants={"short": {"max_new_tokens": 5}, "wide": {"num_beams": 8}})
    )
    assert {name: (how.settings["num_beams"], how.settings["max_new_tokens"]) for name, how in found.items()} == {
        "short": (2, 5),
        "wide": (8, 256),
    }
    with pytest.raises(ConfigError, match="num_beams"):
        variants(GenerationSection(variants={"wrong": {"num_beam": 1}}))


def test_nothing_in_nothing_out(tiny_folders: dict[str, Path]) -> None:
    assert decode(open_tiny(tiny_folders["t5"]), [], GREEDY) == []


@pytest.mark.parametrize(
    ("settings", "said"), [({"num_beam": 2}, "num_beams"), ({"num_beams": 0}, "num_beams"), ({"top_p": 3.0}, "top_p")]
)
def test_wrong_settings_are_named(settings: dict, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        decoding(GenerationSection(), **settings)


def test_chat_commands(tiny_folders: dict[str, Path], tmp_path: Path) -> None:
    bundle = open_tiny(tiny_folders["llama"])
    prompts: list[int] = []

    def encode(messages: object) -> list[int]:
        prompts.append(len(messages))  # type: ignore[arg-type]
        return [1, 20, 21]

    chat = Chat(Models(bundle, bundle), encode, GREEDY)
    first = chat.answer("hello")
    assert chat.answer("again") == first
    assert prompts == [1, 3]
    assert chat.command("/set num_beams 3") == "num_beams = 3"
    assert "num_beams" in chat.command("/set num_beam 3")
    assert "did you mean 'tuned'" in chat.command("/tunde")
    assert "base" in chat.command("/base")
    assert "4 turns" in chat.command(f"/save {tmp_path / 'talk.jsonl'}")
    assert "is a folder" in chat.command(f"/save {tmp_path}")
    (tmp_path / "file").touch()
    assert "cannot be a folder" in chat.command(f"/save {tmp_path / 'file' / 'talk.jsonl'}")
    assert '"role": "assistant"' in (tmp_path / "talk.jsonl").read_text(encoding="utf-8")
    chat.command("/reset")
    chat.answer("new")
    assert prompts[-1] == 1
