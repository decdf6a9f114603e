"""What is loaded is what the checkpoint says: precision, head, BOS, punctuation, special tokens."""

from __future__ import annotations

import shutil
import tomllib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tests.bundles import open_tiny, text_rows

from desktune import durable
from desktune.batches.collate import collate, shape_of
from desktune.config.schema import AdapterSection, EvaluationSection, GenerationSection, ModelSection, TrainingSection
from desktune.data.encode import Kit
from desktune.data.store import EncodedSet
from desktune.generate.decode import decode, decoding
from desktune.models.adapters import make_trainable
from desktune.models.load import load_tokenizer, locate
from desktune.models.save import save_model
from desktune.rows import IGNORE, Example, Origin
from desktune.ship.merge import merge
from desktune.train.loop import Loop, Recipe, TrainingRows

Zoo = Callable[[str], Path]
UNTIED = ["t5-v1.1", "mt5", "byt5", "madlad", "llama"]
KINDS = ["t5", "byt5", "madlad", "bart", "pegasus", "t5gemma", "marian", "marian-multi", "m2m100", "nllb", "mbart",
         "mbart50", "llama", "opt", "gpt2", "qwen3", "gemma"]  # fmt: skip


@pytest.mark.parametrize("name", UNTIED)
@pytest.mark.parametrize("kind", ["lora", "none"])
def test_a_head_of_its_own_survives(name: str, kind: str, zoo: Zoo, tmp_path: Path) -> None:
    """X14: through loading, saving, merging and loading again; in the file it stands beside the embedding."""
    head = load_file(zoo(name) / "model.safetensors")["lm_head.weight"]
    bundle = open_tiny(zoo(name), AdapterSection(type=kind, r=4))
    assert torch.equal(bundle.model.get_output_embeddings().weight, head)
    with torch.no_grad():
        bundle.model.get_input_embeddings().weight.add_(0.01 if kind == "none" else 0)
    with durable.staging(tmp_path / "model") as staged:
        save_model(bundle, staged)
    base = open_tiny(zoo(name))
    merge(base, tmp_path / "model", tmp_path / "x_merged", text_rows(base), lambda event: None)
    merged = load_file(tmp_path / "x_merged/model.safetensors")
    assert torch.equal(merged["lm_head.weight"], head)
    again = open_tiny(tmp_path / "x_merged").model
    assert torch.equal(again.get_output_embeddings().weight, head)
    assert not torch.equal(again.get_input_embeddings().weight, head)


def test_llama_from_its_bare_model_file_adds_bos(zoo: Zoo, tmp_path: Path) -> None:
    """X16: and a saved tokenizer keeps it."""
    for file in ("config.json", "model.safetensors", "tokenizer.model"):
        shutil.copy(zoo("llama") / file, tmp_path / file)
    tokenizer = load_tokenizer(locate(ModelSection(name=str(tmp_path))))
    ids = tokenizer("the dog")["input_ids"]
    assert ids[0] == tokenizer.bos_token_id
    assert ids.count(tokenizer.bos_token_id) == 1
    tokenizer.save_pretrained(tmp_path)
    assert load_tokenizer(locate(ModelSection(name=str(tmp_path))))("the dog")["input_ids"] == ids


def test_marian_normalises_punctuation(zoo: Zoo) -> None:
    """X17: sacremoses is a dependency of the package itself, and is at work."""
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert any(one.startswith("sacremoses") for one in project["dependencies"])
    tokenizer = load_tokenizer(locate(ModelSection(name=str(zoo("marian")))))
    assert tokenizer.normalize("«the dog» …") == '"the dog" ...'
    assert tokenizer("«the dog»")["input_ids"] == tokenizer('"the dog"')["input_ids"]


@pytest.mark.parametrize("name", KINDS)
def test_special_text_of_a_row_is_text(name: str, zoo: Zoo) -> None:
    """No special token of any kind of tokenizer comes out of a value, and the row is counted as changed."""
    bundle = open_tiny(zoo(name))
    kit = Kit.of(bundle.tokenizer, bundle.family, bundle.task)
    inner = set(kit.tokenizer.all_special_ids) - {kit.tokenizer.unk_token_id}
    texts = [str(token) for token in kit.tokenizer.all_special_tokens if len(str(token)) > 1]
    assert texts
    for token in texts[:12] + texts[-3:]:
        example = Example(Origin("rows", 1), "pair", f"the {token} dog", f"le {token}{token} chien")
        cleaned = kit.specials.clean_example(example)
        assert cleaned is not example, token
        for text in (cleaned.source, cleaned.target):
            assert not inner & set(kit.tokenizer(text, add_special_tokens=False)["input_ids"]), (token, text)


def test_eos_that_also_pads_is_trained_and_stops(zoo: Zoo, tmp_path: Path) -> None:
    """GPT-2 has one special token for everything: it stays a label, and a tuned model ends its answers with it."""
    base = open_tiny(zoo("gpt2"))
    assert base.tokenizer.pad_token_id == base.tokenizer.eos_token_id
    rows = text_rows(base)
    batch = collate(rows, shape_of(base.family, base.tokenizer, base.located.config))
    ends = batch["labels"] == base.tokenizer.eos_token_id
    assert ends.sum(dim=1).tolist() == [1] * len(rows)
    assert (batch["labels"][batch["attention_mask"] == 0] == IGNORE).all()
    bundle = make_trainable(base, AdapterSection(type="none"), 1, lambda event: None)
    section = TrainingSection(max_steps=60, learning_rate=1e-2, eval_strategy="no", save_strategy="no")
    recipe = Recipe(section, EvaluationSection(), 4096, None)
    Loop(bundle, TrainingRows(EncodedSet.from_rows(rows), None), recipe, tmp_path, lambda event: None).run()
    how = decoding(GenerationSection(num_beams=1, max_new_tokens=60))
    answers = decode(bundle, [row.input_ids[: row.prompt_length] for row in rows], how)
    assert answers == [row.completion for row in rows]


def test_weights_are_loaded_in_the_precision_that_was_asked_for(zoo: Zoo) -> None:
    """X12: a float32 checkpoint in bfloat16 and back; the checkpoint's own precision is never taken."""
    from desktune.models.load import load_base

    bundle = open_tiny(zoo("opt"))
    for dtype in (torch.bfloat16, torch.float32):
        placement = replace(bundle.placement, dtype=dtype)
        model = load_base(bundle.located, bundle.tokenizer, bundle.task, placement).model
        assert {parameter.dtype for parameter in model.parameters()} == {dtype}
